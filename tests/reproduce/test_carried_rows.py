"""Rows without their weights: carried, judged, and made into tables and figures without any work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from maintainers.carried_rows import main as carried
from PIL import Image

from sian.cli.main import main
from sian.data import open_dataset
from sian.evaluation.scenes import open_scene
from sian.files import read_image, read_png_text
from sian.reproduce import bench as benches
from sian.reproduce import running
from sian.reproduce.bench import Bench
from sian.reproduce.figures import windows_shown

from . import toys

pytestmark = [
    pytest.mark.usefixtures("toy_world"),
    pytest.mark.filterwarnings("ignore::sian.errors.SianWarning"),  # toys know few styles
]


@pytest.fixture
def home(finished_runs, tmp_path) -> Path:
    return Path(shutil.copytree(finished_runs[1], tmp_path / "home"))


@pytest.fixture
def away(data_folder, home, tmp_path) -> Path:
    """The rows without their weights, "first" with a second judge."""
    run("paint", "first", data_folder, home)
    real, found, found_real = windows(data_folder), tmp_path / "found", tmp_path / "real"
    for name, image in real.items():
        write_mask(found_real / f"{name}.png", toys.segment(image))
        painted = read_image(home / "tiny" / "first" / "paintings" / f"{name}.png")
        write_mask(found / f"{name}.png", toys.segment(painted))
    judged = ["--segmented", str(found), "--segmented-real", str(found_real), "--judge", "other"]
    run("judge", "first", data_folder, home, *judged)
    for name in ("first", "second"):
        run("carry", name, data_folder, home, "--into", str(tmp_path / "away"))
    return tmp_path / "away"


def run(verb: str, row: str, data_folder: Path, runs: Path, *more: str) -> None:
    assert carried([verb, row, "-d", str(data_folder), "-o", str(runs), "--scale", "tiny", *more]) == 0


def windows(data_folder: Path) -> dict[str, np.ndarray]:
    return {window.name: window.image for window in open_scene(open_dataset(data_folder), a_tile=2).windows}


def write_mask(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(mask.astype(np.uint16)).save(path)


def reproduce(verb: str, data_folder: Path, runs: Path, *more: str) -> int:
    return main(["reproduce", verb, "-d", str(data_folder), "-o", str(runs), "--device", "cpu", *more])


@pytest.fixture
def idle(monkeypatch):
    """Whatever would be work is refused, and no weights can be found."""

    def refuse(*_, **__):
        raise AssertionError("nothing is to be done")

    monkeypatch.setattr(Bench, "train_run", refuse)
    monkeypatch.setattr(benches, "find_weights", refuse)
    for name in ("export_run", "measure_row", "measure_floors"):
        monkeypatch.setattr(running, name, refuse)


def test_the_table_of_carried_rows_is_the_table_at_home(data_folder, home, away, idle, capsys):
    assert sorted(path.name for path in (away / "tiny" / "second").iterdir()) == ["job.json", "report.json", "shown"]
    assert reproduce("table1", data_folder, home) == 0
    at_home = capsys.readouterr().out
    assert reproduce("table1", data_folder, away, "--from-reports") == 0
    assert capsys.readouterr().out == at_home
    assert "PQ by other" in at_home


def test_a_judge_is_measured_as_by_evaluate_model(data_folder, home, away, tmp_path):
    """The way of docs/results/reproduce.md, which paints again, gives the same numbers."""
    model = home / "tiny" / "first" / "model.safetensors"
    seen, found = tmp_path / "seen", tmp_path / "again"
    whole = ["evaluate-model", "--model", str(model), "--data", str(data_folder), "--no-fid"]
    assert main([*whole, "--save-images", str(found / "images"), "-o", str(seen)]) == 0
    for path in sorted((found / "images").glob("*.png")):
        write_mask(found / path.name, toys.segment(read_image(path)))
    shutil.rmtree(found / "images")
    assert main([*whole, "--segmented", str(found), "--judge", "other", "-o", str(tmp_path / "judged")]) == 0
    wide = json.loads((tmp_path / "judged" / "evaluation.json").read_text())
    assert wide["n"] == 12  # all windows; the toy scale has two of four a tile
    row = json.loads((home / "tiny" / "first" / "judge-other.json").read_text())
    assert row["inputs"]["model"]["sha256"] == wide["inputs"]["model"]["sha256"]
    assert row["inputs"]["segmenter"]["name"] == wide["inputs"]["segmenter"]["name"]
    assert row.keys() <= wide.keys()
    assert row["metrics"]["pq"] is not None


def test_another_bundled_segmenter_changes_no_table_of_reports(data_folder, away, idle, monkeypatch, capsys):
    monkeypatch.setattr(Bench, "_segmenter_file_sha256", "f00d" * 16)
    assert reproduce("table1", data_folder, away, "--from-reports") == 0
    assert "not run" not in capsys.readouterr().out
    monkeypatch.setattr(benches, "find_weights", lambda *_: None)
    monkeypatch.setattr(running, "measure_floors", lambda bench: json.loads(bench.floors_path().read_text()))
    assert reproduce("table1", data_folder, away) == 3  # and trains nothing anew unasked
    assert "its model is not here to be measured again" in capsys.readouterr().err


def test_a_row_of_another_judge_is_refused(data_folder, away, idle, capsys):
    path = away / "tiny" / "first" / "report.json"
    report = json.loads(path.read_text())
    report["inputs"]["segmenter"]["sha256"] = "f00d" * 16
    path.write_text(json.dumps(report))
    assert reproduce("table1", data_folder, away, "--from-reports") == 3
    captured = capsys.readouterr()
    assert "another segmenter than this table" in captured.err
    assert "| Second | 6 |" in captured.out


def test_rows_that_are_not_there_are_not_run(data_folder, away, idle, capsys):
    shutil.rmtree(away / "tiny" / "second")
    assert reproduce("table1", data_folder, away, "--from-reports") == 0
    assert "| Second | not run |" in capsys.readouterr().out
    (away / "tiny" / "floors.json").unlink()
    assert reproduce("table1", data_folder, away, "--from-reports") == 3
    assert "floors.json: not found, expected the floors" in capsys.readouterr().err.splitlines()[-1]


def test_figures_show_what_rows_keep(data_folder, home, away, idle, capsys):
    rows = ["--rows", "first,second"]
    assert reproduce("figures", data_folder, home, *rows) == 0
    assert reproduce("figures", data_folder, away, *rows, "--from-reports") == 0
    names = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert names[5:] == [f"figure{n}.png" for n in (2, 5, 6, 7)]
    for name in names[5:]:
        painted, kept = (runs / "tiny" / "figures" / name for runs in (home, away))
        assert read_png_text(painted) == read_png_text(kept)
        difference = np.abs(read_image(painted).astype(int) - read_image(kept).astype(int))
        assert difference.mean() < 6  # lossy; another window or another row differs by far more
    assert read_png_text(away / "tiny" / "figures" / "figure6.png")["Licence"] == "CC0-1.0"


def test_kept_paintings_are_those_that_were_measured(data_folder, home, away):
    scene = open_scene(open_dataset(data_folder), a_tile=2)
    shown = [scene.windows[index].name for index in windows_shown(scene)]
    kept = away / "tiny" / "first" / "shown"
    assert sorted(path.stem for path in kept.iterdir()) == sorted(shown)
    for name in shown:
        measured = read_image(home / "tiny" / "first" / "paintings" / f"{name}.png").astype(int)
        assert np.abs(measured - read_image(kept / f"{name}.webp")).mean() < 6
    with Image.open(kept / f"{shown[0]}.webp") as picture:
        assert picture.getexif()[0x010E].startswith("Synthetic H&E image")


def test_kept_paintings_that_lack_or_do_not_fit(data_folder, away, idle, capsys):
    kept = sorted((away / "tiny" / "first" / "shown").iterdir())
    Image.new("RGB", (64, 32)).save(kept[0])
    arguments = ["--rows", "first", "--from-reports"]
    assert reproduce("figures", data_folder, away, *arguments) == 3
    assert "is of 32 x 64 px, expected 256 x 256" in capsys.readouterr().err.splitlines()[-1]
    shutil.rmtree(away / "tiny" / "first" / "shown")
    assert reproduce("figures", data_folder, away, *arguments) == 3
    assert "neither a model nor a report with the folder shown" in capsys.readouterr().err.splitlines()[-1]


def test_paintings_of_two_models_are_not_judged(data_folder, home, away, tmp_path, capsys):
    run("paint", "second", data_folder, home)
    paintings = home / "tiny" / "second" / "paintings"
    one = sorted((home / "tiny" / "first" / "paintings").iterdir())[0]
    shutil.copyfile(one, paintings / one.name)
    found = ["--segmented", str(tmp_path / "found"), "--segmented-real", str(tmp_path / "real"), "--judge", "other"]
    arguments = ["judge", "second", "-d", str(data_folder), "-o", str(home), "--scale", "tiny", *found]
    assert carried(arguments) == 3
    assert "found paintings of 2 models, expected one" in capsys.readouterr().err
