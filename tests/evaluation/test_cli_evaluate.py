"""`sian evaluate` through the command line: results, and one sentence with exit code 3 for what is bad."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sian.cli.main import main
from sian.evaluation.features import InceptionFeatures
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
    arguments = ["evaluate", fake, "--real", real, "--masks", masks, "--predicted", masks, *inception]
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
    arguments = ["evaluate", data, "--real", data, "--masks", data, "--predicted", str(Path(data) / "masks")]
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
    arguments = ["evaluate", "--protocol", "reconstruction", "--data", data, "--model", "m.safetensors", "--json"]
    assert (
        main([*arguments, *inception, "--save-images", str(tmp_path / "kept"), "--blind", str(tmp_path / "b.html")])
        == 0
    )
    assert "Real or painted?" in (tmp_path / "b.html").read_text(encoding="utf-8")
    result = json.loads(capsys.readouterr().out)
    assert (result["protocol"], result["style"], result["n"], result["window"]) == ("reconstruction", "paired", 12, 256)
    assert result["inputs"]["model"] == {"path": "m.safetensors", "sha256": "f" * 64}
    assert result["inputs"]["masks"]["items"] == 12  # they were painted, though nothing segments
    assert [row["name"] for row in result["floor_rows"]] == ["other real images", "halves", "trivial painter"]
    kept = sorted((tmp_path / "kept").glob("*.png"))
    assert len(kept) == 12
    text = read_png_text(kept[0])
    assert (text["Synthetic"], text["Model"], text["Licence"]) == ("true", "f" * 64, "CC0-1.0")
    assert (text["Style"], text["Mask"]) == (kept[0].stem, kept[0].stem)


def test_memorisation(model, inception, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(toys.write_dataset(tmp_path / "data", size=300))
    arguments = ["evaluate", "--protocol", "reconstruction", "--data", data, "--memorisation", *inception]
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
        (["{fake}", "--real", "{real}", "--masks", "{masks}"], 3, "add --segmenter MODEL or --predicted"),
        (["{fake}", "--real", "{real}", "--protocol", "reconstuction"], 3, "did you mean 'reconstruction'"),
        (["--protocol", "reconstruction"], 3, "add --data DATASET"),
        (["--protocol", "reconstruction", "--data", "{real}"], 3, "dataset.json"),
        (["--protocol", "reconstruction", "--data", "{data}", "--style", "pared"], 3, "did you mean 'paired'"),
        (["--protocol", "reconstruction", "--data", "{data}", "--alias", "lung"], 3, "--alias lung=liver"),
        (["--protocol", "reconstruction", "--data", "{data}", "--fit"], 3, "--fit: fits styles"),
        (["{fake}", "--real", "{real}", "--fit", "--segmenter", "bundled"], 3, "--fit: fits styles"),
        (["--protocol", "reconstruction", "--data", "{data}", "--split", "tests"], 3, "did you mean 'test'"),
        (["{fake}", "--real", "{real}", "--memorisation"], 3, "add --data DATASET"),
        (["{fake}"], 2, "--real is missing"),
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
