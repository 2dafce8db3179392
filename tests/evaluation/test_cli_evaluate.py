"""`sian evaluate` through the command line: results, and one sentence with exit code 3 for what is bad."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import sian
from sian.cli.main import main
from sian.evaluation.features import InceptionFeatures
from sian.evaluation.scenes import cut_windows, window_sizes
from sian.files import read_png_text, write_png
from sian.synthesis.styles import Styles

from . import toys


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str, str]:
    fake, real, masks = toys.write_folders(tmp_path)
    return str(fake), str(real), str(masks)


@pytest.fixture
def inception(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A toy in the Inception's place, and the options that keep its cache here."""
    monkeypatch.setattr(InceptionFeatures, "load", classmethod(lambda *_, **__: toys.extractor()))
    return ["--cache", str(tmp_path / "cache")]


def test_report_and_json(folders, inception, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake, real, masks = folders
    report = tmp_path / "report"
    arguments = ["evaluate", fake, "--real", real, "--masks", masks, "--segmented", masks, *inception]
    assert main([*arguments, "-o", str(report), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((report / "evaluation.json").read_text())
    assert printed["metrics"]["pq"] == 1
    assert printed["metrics"]["fid"] is not None
    assert sorted(p.name for p in report.iterdir()) == ["evaluation.json", "images.csv", "report.html"]


def test_a_table_for_people(folders, inception, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake, real, _ = folders
    assert main(["evaluate", fake, "--real", real, "--floor", real, *inception, "-o", str(tmp_path / "r")]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0].split() == ["measured", "floor"]
    assert "too small for FID" in captured.out
    assert "report.html" in captured.err


def test_names_without_a_partner_are_printed(folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake, real, _ = folders
    for index in range(5):
        (Path(real) / f"w{index}.png").rename(Path(real) / f"x{index}.png")
    assert main(["evaluate", fake, "--real", real, "--no-fid", "-o", str(tmp_path / "r")]) == 0
    printed = capsys.readouterr().out
    assert "in fake but not in real: w0, w1, w2, w3, w4\n" in printed
    assert "in real but not in fake: x0, x1, x2, x3, x4\n" in printed


def test_data_sets_stand_for_folders(inception, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(toys.write_dataset(tmp_path / "data"))
    (tmp_path / "found").mkdir()
    for number in range(3):  # those of the split
        shutil.copy(Path(data) / "masks" / f"tile{number}.png", tmp_path / "found")
    arguments = ["evaluate", data, "--real", data, "--masks", data, "--segmented", str(tmp_path / "found")]
    assert main([*arguments, "--split", "test", *inception, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["organs"] == {"breast": 1, "kidney": 2}


class ToyModel:
    """What a model is to the protocol."""

    sha256 = "f" * 64
    has_style = True
    styles = Styles({})
    info = SimpleNamespace(training=SimpleNamespace(version="0"), licence="CC0-1.0")

    def synthesize(self, layout, style, *, seed, noise):
        assert seed >= 0
        assert noise == 0
        return np.where(layout.semantic[..., None], 80, style.mean()).astype(np.uint8) * np.ones(3, np.uint8)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> None:
    from sian import synthesis

    monkeypatch.setattr(synthesis, "load", lambda *_: ToyModel())


def test_reconstruction(model, inception, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(toys.write_dataset(tmp_path / "data", size=300))
    (named := tmp_path / "m.safetensors").write_bytes(b"a toy stands in for it")
    arguments = ["evaluate-model", "--data", data, "--model", str(named), "--json"]
    assert (
        main([*arguments, *inception, "--save-images", str(tmp_path / "kept"), "--blind", str(tmp_path / "b.html")])
        == 0
    )
    assert "Real or painted?" in (tmp_path / "b.html").read_text(encoding="utf-8")
    result = json.loads(capsys.readouterr().out)
    assert (result["protocol"], result["style"], result["n"], result["window"]) == ("reconstruction", "paired", 12, 256)
    assert result["inputs"]["model"] == {"path": str(named), "sha256": "f" * 64}
    assert result["inputs"]["masks"]["items"] == 12  # they were painted, though nothing segments
    assert [row["name"] for row in result["floor_rows"]] == ["other real images", "halves", "trivial painter"]
    kept = sorted((tmp_path / "kept").glob("*.png"))
    assert len(kept) == 12
    text = read_png_text(kept[0])
    assert (text["Synthetic"], text["Model"], text["Licence"]) == ("true", "f" * 64, "CC0-1.0")
    assert (text["Style"], text["Mask"]) == (kept[0].stem, kept[0].stem)


def test_memorisation(model, inception, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(toys.write_dataset(tmp_path / "data", size=300))
    arguments = ["evaluate-model", "--data", data, "--memorisation", *inception]
    assert main([*arguments, "-o", str(tmp_path / "report")]) == 0
    assert "possible copies of training images" in capsys.readouterr().out
    html = (tmp_path / "report" / "report.html").read_text()
    assert "Copies of training images" in html
    assert "style: paired · noise: 0 · windows of 256 px" in html


def _broken(folder: Path) -> None:
    (folder / "w3.png").write_bytes((folder / "w3.png").read_bytes()[:100])


def _other_size(folder: Path) -> None:
    write_png(folder / "w2.png", np.zeros((40, 32, 3), np.uint8))


def _only_one(folder: Path) -> None:
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()


def _grey(folder: Path) -> None:
    from PIL import Image

    Image.new("L", (32, 32)).save(folder / "w1.png")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_broken, "w3.png"),
        (_other_size, "w2 is 40 x 32 and its real image 32 x 32"),
        (_only_one, "found 1 image, expected at least 2"),
        (_grey, "found a grey picture"),
    ],
)
def test_bad_images_are_one_sentence_and_nothing_is_written(
    folders, inception, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil, words: str
) -> None:
    fake, real, _ = folders
    spoil(Path(fake))
    report = tmp_path / "report"
    assert main(["evaluate", fake, "--real", real, *inception, "-o", str(report)]) == 3
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sian: error: ")]
    assert len(error) == 1
    assert words in error[0]
    assert not report.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["absent", "--real", "{real}"], 3, "no such folder"),
        (["{fake}", "--real", "{real}", "--masks", "{masks}"], 3, "add --segmenter MODEL or --segmented"),
        (["{fake}", "--real", "{real}", "--protocol", "reconstuction"], 2, "No such option: --protocol"),
        (["{fake}", "--real", "{real}", "--split", "tset", "--memorisation", "--data", "{data}"], 3, "mean 'test'"),
        (["{fake}", "--real", "{real}", "--memorisation"], 3, "add --data DATASET"),
        (["{fake}"], 2, "Missing option '--real'"),
        (["{fake}", "--real", "{real}", "--weights", "absent"], 3, "absent"),
    ],
)
def test_bad_arguments(folders, model, tmp_path: Path, capsys, arguments: list[str], code: int, words: str) -> None:
    fake, real, masks = folders
    data = toys.write_dataset(tmp_path / "data")
    filled = [a.format(fake=fake, real=real, masks=masks, data=data) for a in arguments]
    report = tmp_path / "report"
    no_fid = [] if "--weights" in filled or "--memorisation" in filled else ["--no-fid"]
    assert main(["evaluate", *filled, *no_fid, "-o", str(report)]) == code
    assert words in capsys.readouterr().err
    assert not report.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "Missing option '--data'"),
        (["--data", "{real}"], 3, "dataset.json"),
        (["--data", "{data}", "--style-from", "pared"], 2, "'pared' is not one of 'paired'"),
        (["--data", "{data}", "--alias", "lung"], 3, "--alias lung=liver"),
        (["--data", "{data}", "--fit"], 3, "--fit: fits styles"),
        (["--data", "{data}", "--fit", "--segmenter", "bundled", "--style-from", "prior"], 3, "other than prior"),
        (["--data", "{data}", "--split", "tests"], 3, "did you mean 'test'"),
        (["--data", "{data}", "--model", "absent"], 3, "absent: no such file"),
        (["--data", "{data}", "--memorisation"], 3, "and Inception"),
    ],
)
def test_bad_arguments_of_a_model(folders, model, tmp_path, capsys, arguments, code, words) -> None:
    data = toys.write_dataset(tmp_path / "data")
    filled = [a.format(real=folders[1], data=data) for a in arguments]
    report = tmp_path / "report"
    assert main(["evaluate-model", *filled, "--no-fid", "-o", str(report)]) == code
    assert words in capsys.readouterr().err
    assert not report.exists()


@pytest.mark.parametrize("protocol", [["--protocol", "reconstruction"], ["--protocol=reconstruction"]])
def test_the_protocol_s_former_spelling_does_the_same(model, inception, tmp_path, capsys, protocol) -> None:
    data = str(toys.write_dataset(tmp_path / "data", size=300))
    results = []
    for verb in (["evaluate", *protocol], ["evaluate-model"]):
        assert main([*verb, "--data", data, *inception, "--json"]) == 0
        results.append(json.loads(capsys.readouterr().out))
    assert results[0] == results[1]
    assert results[0]["protocol"] == "reconstruction"


def test_the_other_protocol_s_former_spelling_does_the_same(folders, capsys) -> None:
    fake, real, _ = folders
    assert main(["evaluate", fake, "--real", real, "--no-fid", "--json"]) == 0
    now = capsys.readouterr().out
    assert main(["evaluate", fake, "--real", real, "--protocol", "folders", "--no-fid", "--json"]) == 0
    assert capsys.readouterr().out == now


def test_a_target_is_needed(folders, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", folders[0], "--real", folders[1]]) == 2
    assert "-o REPORT" in capsys.readouterr().err


def test_missing_weights_are_named(folders, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("SIAN_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("sian.files.weights.cache_folder", lambda: tmp_path)
    assert main(["evaluate", folders[0], "--real", folders[1], "-o", str(tmp_path / "report")]) == 4
    assert "inception_fid" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


def test_a_segmenter_file_is_used_and_named(folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sian.files import sha256_file
    from sian.segmentation import save, untrained

    fake, real, masks = folders
    path = save(untrained("unet", 4), tmp_path / "segmenter.safetensors")
    arguments = ["evaluate", fake, "--real", real, "--masks", masks, "--segmenter", str(path), "--no-fid", "--json"]
    assert main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["inputs"]["segmenter"] == {"path": str(path), "sha256": sha256_file(path)}
    assert [row["name"] for row in result["floor_rows"]] == ["segmenter on real images"]
    assert result["metrics"]["pq"] is not None


def test_something_else_than_a_segmenter(folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake, real, masks = folders
    (tmp_path / "x.safetensors").write_bytes(b"no")
    arguments = ["evaluate", fake, "--real", real, "--masks", masks, "--segmenter", str(tmp_path / "x.safetensors")]
    assert main([*arguments, "--no-fid", "-o", str(tmp_path / "report")]) == 3
    assert "x.safetensors" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


# Another segmenter's masks


def _spoiled(masks: str, how: str) -> None:
    """Make one of the masks what it should not be."""
    first, second = sorted(Path(masks).glob("*.png"))[:2]
    if how == "missing":
        first.unlink()
    elif how == "extra":
        (Path(masks) / "another.png").write_bytes(first.read_bytes())
    elif how == "wrong-sized":
        sian.write_mask(first, sian.read_mask(second)[:-1])
    else:
        write_png(first, np.zeros((*sian.read_mask(second).shape, 3), np.uint8))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("missing", "no mask of w0"),
        ("extra", "masks without an image: another"),
        ("wrong-sized", "w0 of 31 x 32 px where 32 x 32 are expected"),
        ("rgb", "w0.png"),
    ],
)
@pytest.mark.parametrize("side", ["--segmented", "--segmented-real"])
def test_bad_segmentations_are_one_sentence_before_anything(
    folders, tmp_path, monkeypatch, capsys, how, words, side
) -> None:
    fake, real, masks = folders
    given = shutil.copytree(masks, tmp_path / "given")
    _spoiled(given, how)
    monkeypatch.setattr(InceptionFeatures, "load", classmethod(lambda *_, **__: pytest.fail("something was computed")))
    options = ["--segmented", str(given)] if side == "--segmented" else ["--segmented", masks, side, str(given)]
    report = tmp_path / "report"
    assert main(["evaluate", fake, "--real", real, "--masks", masks, *options, "-o", str(report)]) == 3
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sian: error: ")]
    assert len(error) == 1
    assert words in error[0]
    assert not report.exists()


def test_another_judge_has_a_name_and_a_floor(folders, inception, tmp_path, capsys) -> None:
    """What it finds on the real images stands beside: half of the nuclei, so DQ is 2/3 as the definition has it."""
    fake, real, masks = folders
    less = tmp_path / "less"
    for path in Path(masks).glob("*.png"):
        mask = sian.read_mask(path)
        kept = np.unique(mask)[1::2]
        sian.write_mask(less / path.name, np.where(np.isin(mask, kept), mask, 0))
    options = ["--segmented", masks, "--segmented-real", str(less), "--judge", "stardist"]
    assert main(["evaluate", fake, "--real", real, "--masks", masks, *options, *inception, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["inputs"]["segmenter"]["name"] == "stardist"
    assert result["inputs"]["segmenter"]["items"] == len(list(Path(masks).glob("*.png")))
    assert result["metrics"]["pq"] == 1
    found = [len(np.unique(sian.read_mask(p))) - 1 for p in sorted(less.glob("*.png"))]
    true = [len(np.unique(sian.read_mask(Path(masks) / p.name))) - 1 for p in sorted(less.glob("*.png"))]
    expected = np.mean([2 * f / (f + t) for f, t in zip(found, true, strict=True)])
    assert result["floors"]["dq"] == pytest.approx(expected)
    assert result["floors"]["sq"] == 1


def test_another_judge_of_a_model(model, inception, tmp_path, capsys) -> None:
    data = toys.write_dataset(tmp_path / "data", size=300)
    windows = cut_windows(sian.open_dataset(data).split("test"))
    for window in windows:
        sian.write_mask(tmp_path / "found" / f"{window.name}.png", window.mask)
    assert window_sizes(sian.open_dataset(data).split("test")) == {w.name: w.mask.shape for w in windows}
    words = ["evaluate-model", "--data", str(data), *inception, "--json"]
    assert main([*words, "--segmented", str(tmp_path / "found")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["metrics"]["pq"] == 1
    assert result["inputs"]["segmenter"]["name"] == "found"
    next((tmp_path / "found").iterdir()).unlink()
    assert main([*words, "--segmented", str(tmp_path / "found")]) == 3
    assert "expected one instance mask for each of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--segmented", "{masks}", "--segmenter", "bundled"], "leave one of them out"),
        (["--judge", "stardist"], "belong to --segmented FOLDER"),
    ],
)
def test_judges_that_contradict(folders, tmp_path, capsys, options, words) -> None:
    fake, real, masks = folders
    filled = [option.format(masks=masks) for option in options]
    assert main(["evaluate", fake, "--real", real, "--masks", masks, *filled, "--no-fid", "--json"]) == 3
    assert words in capsys.readouterr().err
    assert main(["evaluate", fake, "--real", real, "--segmented", masks, "--no-fid", "--json"]) == 3
    assert "add --masks MASKS" in capsys.readouterr().err
