"""The code in the docs runs, at toy size."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import sian
from sian.cli.main import main
from sian.data import DatasetInfo, DatasetWriter
from sian.nuclei import scatter

DOCS = Path(__file__).resolve().parents[1] / "docs"
PYTHON = re.compile(r"^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SIZES = re.compile(r"^SIZE, BATCH, STEPS = .*$", re.MULTILINE)
BLOCKS = dict(PYTHON.findall((DOCS / "torch.md").read_text(encoding="utf-8")))


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with a data set of two small tiles, as the docs name it."""
    writer = DatasetWriter(tmp_path / "data" / "mine", DatasetInfo(name="mine", mpp=0.25))
    for number in range(2):
        image = np.random.default_rng(number).integers(0, 256, (96, 128, 3), dtype=np.uint8)
        writer.add(f"tile-{number}", image, scatter(96, 128, number), organ="kidney", split="train", mpp=0.25)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(title: str) -> dict:
    code, changed = SIZES.subn("SIZE, BATCH, STEPS = 64, 4, 2", BLOCKS[title])
    assert changed == 1
    names: dict = {"__name__": "docs"}
    exec(compile(code, f"docs/torch.md: {title}", "exec"), names)  # noqa: S102 - our own
    return names


def test_every_section_with_code_is_here():
    assert set(BLOCKS) == {"Plain torch", "Painted on the fly", "MONAI", "StarDist and Cellpose"}


def test_plain_torch(workplace):
    assert np.isfinite(run("Plain torch")["loss"].item())


def test_painted_on_the_fly(workplace):
    names = run("Painted on the fly")
    assert names["image"].shape == (4, 3, 64, 64)
    assert len(names["mixed"]) == 8


@pytest.mark.filterwarnings("ignore")  # MONAI's own
def test_monai(workplace):
    assert np.isfinite(run("MONAI")["loss"].item())


def test_stardist_and_cellpose(workplace):
    run("StarDist and Cellpose")
    painted = sian.open_dataset("data/painted")
    for item in painted:
        mask = painted.mask(item)
        star, cell = (Path("out") / name / "train" for name in ("stardist", "cellpose"))
        assert np.array_equal(tifffile.imread(star / "masks" / f"{item.id}.tif"), mask)
        assert np.array_equal(tifffile.imread(star / "images" / f"{item.id}.tif"), painted.image(item))
        assert np.array_equal(np.asarray(Image.open(cell / f"{item.id}_masks.png")), mask)


TOUR = re.findall(r"^    (sian .+)$", (DOCS / "tour.md").read_text(encoding="utf-8"), re.MULTILINE)
SMALLER = {  # of the tour's numbers, so that it takes a minute
    "stages.0.images=32": "stages.0.images=8",
    "stages.1.images=96": "stages.1.images=8",
    "--set losses.perceptual=0": "--set losses.perceptual=0 --set every.samples=1000000",
    "docs/tour/plan.yaml": "docs/tour/plan.yaml --set images=2 --set masks.size=128 --workers 0",
    "-n 2": "-n 1 --size 128",
    "--set images=400": "--set images=8 --set data.size=96",
}


def test_the_tour(tmp_path, monkeypatch, capsys):
    from sian.synthesis import adjusting

    shutil.copytree(DOCS / "tour", tmp_path / "docs" / "tour")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(adjusting, "NORM_BATCHES", 1)
    used = set()
    for command in TOUR:
        for large, small in SMALLER.items():
            if large in command and (large != "docs/tour/plan.yaml" or "--verify" not in command):
                used.add(large)
                command = command.replace(large, small)  # noqa: PLW2901
        assert main(shlex.split(command)[1:]) == 0, f"{command}\n{capsys.readouterr().err}"
    assert used == set(SMALLER)
    assert (tmp_path / "tour" / "painted" / "sheet.png").is_file()
    assert len(sian.open_dataset("tour/dataset")) == 2
    assert sian.load("tour/run/model.safetensors").info.training.tiles == ["kidney-1", "kidney-2", "kidney-3"]
    assert (tmp_path / "tour" / "restyled" / "kidney-4_breast.png").is_file()
    report = json.loads((tmp_path / "tour" / "report" / "evaluation.json").read_text())
    assert report["n"] == 4


def test_the_tour_names_every_stop():
    verbs = [command.split()[1:3] for command in TOUR]
    stops = [
        "data import",
        "data inspect",
        "train",
        "synthesize",
        "restyle",
        "dataset",
        "segment train",
        "segment evaluate",
    ]
    places = [next(n for n, verb in enumerate(verbs) if " ".join(verb).startswith(stop)) for stop in stops]
    assert places == sorted(places)


def test_the_tour_s_tiles_are_small_and_say_their_licence():
    files = [path for path in (DOCS / "tour").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000
    assert "CC BY-NC-SA 4.0" in (DOCS / "tour" / "LICENCE.txt").read_text()


def _from_code():
    import runpy

    return runpy.run_path(str(DOCS / "from_code.py"))


def test_the_page_of_commands_has_every_verb_and_every_option():
    import typer.main

    from sian.cli.main import app

    made = _from_code()
    text = made["filled"]((DOCS / "commands.md").read_text(encoding="utf-8"))
    assert "<!--" not in text
    for words, command in made["commands"](typer.main.get_command(app)):
        section = text.split(f"## {' '.join(words)}\n")[1].split("\n## ")[0]
        names = {name for parameter in command.params for name in parameter.opts if name.startswith("--")} - {"--help"}
        assert not [name for name in names if name not in section]


def lines_of_commands():
    """(file, what follows `sian`) of all that the pages and the Makefile give to copy or name."""
    root = DOCS.parent
    for page in [*DOCS.rglob("*.md"), *root.glob("*.md"), root / "Makefile"]:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ").replace("$(ALIASES)", "")
        for line in re.findall(r"^(?:    |\t@?)(?:\$\(BIN\)/)?sian (.*)$|`sian ([^`\n]+)`", text, re.MULTILINE):
            yield page.name, re.sub(r"\[[^\]]*\]", "", re.split(r"\s(?:[#>|;]|\|\||&&)", "".join(line))[0])


def test_every_command_takes_the_options_that_pages_give_it():
    """Values too: `--noise` without its number takes the next word for one."""
    import typer.main

    from sian.cli.main import app

    wrong, count = [], 0
    for page, line in lines_of_commands():
        words, command = shlex.split(line), typer.main.get_command(app)
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        if hasattr(command, "commands"):
            continue  # several in one, e.g. train|predict
        count += 1
        try:
            command.make_context("sian", words)
        except typer.TyperException as error:
            if type(error).__name__ not in ("MissingParameter", "BadOptionUsage"):  # a page may name an option alone
                wrong.append(f"{page}: sian {line}: {error.format_message()}")
    assert not wrong
    assert count > 250


def test_the_page_of_models_names_every_recipe_and_every_file():
    text = _from_code()["filled"]((DOCS / "models.md").read_text(encoding="utf-8"))
    package = Path(sian.__file__).parent
    recipes = {path.stem for path in (package / "recipes").glob("*.yaml")}
    assert recipes
    assert all(f"| `{name}` |" in text for name in recipes)
    files = [path.name for path in (package / "assets").iterdir() if path.suffix in (".safetensors", ".json")]
    assert all(f"`{name}`" in text for name in files)


def places_of(page: Path) -> set[str]:
    """What a page's headings are called in links, as GitHub and MyST make it of them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    words = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in words}


def test_every_page_can_be_found_and_every_link_leads_somewhere():
    root = DOCS.parent
    pages = [*DOCS.rglob("*.md"), *root.glob("*.md")]
    listed = (DOCS / "index.md").read_text(encoding="utf-8")
    for page in pages:
        text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            target, _, place = link.partition("#")
            if "://" in target or target.startswith("mailto:"):
                continue
            aim = page.parent / target if target else page
            assert aim.exists(), f"{page}: {link}"
            if place:
                assert place in places_of(aim), f"{page}: {link}"
        if page.parent == DOCS and page.name != "index.md":
            assert f"\n{page.stem}\n" in listed, f"{page} stands in no index"
