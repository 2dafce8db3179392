"""`sian synthesize` and `sian demo`: pictures that say what they are, and nothing written when an input is bad."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sian
from sian.cli.main import main
from sian.files import read_png_text, write_png
from sian.synthesis import Model

from . import toys


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    return sian.write_mask(tmp_path / "masks" / "a.png", toys.grid_mask(64, 96))


@pytest.fixture
def synthesize(toy_file: Path, tmp_path: Path, capfd):
    """Run the verb on the toy; gives exit code, stdout, stderr and the names of what was written."""

    def call(*words: object) -> tuple[int, str, str, list[str]]:
        output = tmp_path / "out"
        code = main(["synthesize", *map(str, words), "--model", str(toy_file), "-o", str(output)])
        out, err = capfd.readouterr()
        return code, out, err, sorted(path.name for path in output.glob("*")) if output.exists() else []

    return call


def test_every_organ_by_default(synthesize, mask: Path, tmp_path: Path, model: Model) -> None:
    code, out, err, names = synthesize(mask, "--seed", 5)
    assert code == 0
    assert names == ["a_breast.png", "a_colon.png", "a_kidney.png"]
    assert out.startswith("3 pictures in ")
    assert "not for diagnosis" in out
    assert "painting: 3 images" in err
    painted = sian.read_image(tmp_path / "out" / "a_colon.png")
    assert np.array_equal(painted, model.synthesize(sian.read_mask(mask), "colon", seed=5))


def test_a_picture_says_what_it_is(synthesize, mask: Path, tmp_path: Path, model: Model) -> None:
    assert synthesize(mask, "--style", "colon/frozen", "--seed", 5)[0] == 0
    text = read_png_text(tmp_path / "out" / "a_colon-frozen.png")
    assert text["Synthetic"] == "true"
    assert "Synthetic" in text["Title"]
    assert text["Model"] == model.sha256
    assert text["Style"] == "colon/frozen"
    assert text["Seed"] == "5"
    assert text["Licence"] == "CC BY-NC-SA 4.0"
    assert text["Mask"] == "a.png"
    assert "not for diagnosis" in text["Disclaimer"]


def test_styles_of_every_kind_and_the_sheet(synthesize, mask: Path, tmp_path: Path) -> None:
    reference = tmp_path / "my slide.png"
    write_png(reference, np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    styles = ["lung", "kidney#3", "kidney=0.7+breast=0.3", str(reference)]
    code, _, _, names = synthesize(mask, *(word for style in styles for word in ("--style", style)), "--sheet")
    assert code == 0
    expected = ["a_kidney-3.png", "a_kidney=0.7+breast=0.3.png", "a_lung.png", "a_my-slide.png", "sheet.png"]
    assert names == expected
    assert read_png_text(tmp_path / "out" / "sheet.png")["Style"] == "several"
    sheet = sian.read_image(tmp_path / "out" / "sheet.png")
    assert sheet.shape[1] > 5 * 96


def test_folders_and_json(synthesize, mask: Path, tmp_path: Path, model: Model) -> None:
    np.save(mask.parent / "b.npy", toys.grid_mask(70, 64))
    sian.write_mask(mask.parent / "c.tif", toys.grid_mask(64, 96))
    (mask.parent / ".hidden.png").write_bytes(b"")
    (mask.parent / "notes.txt").write_text("no mask")
    code, out, err, names = synthesize(mask.parent, "--style", "kidney", "--json", "--sheet")
    assert code == 0
    assert names == ["a_kidney.png", "b_kidney.png", "c_kidney.png", "sheet.png"]
    told = json.loads(out)
    assert told["model"] == model.sha256
    assert [(Path(line["image"]).name, line["seed"]) for line in told["written"][:3]] == [
        ("a_kidney.png", 0),
        ("b_kidney.png", 1),
        ("c_kidney.png", 2),
    ]
    assert told["written"][0] == {
        "image": str(tmp_path / "out" / "a_kidney.png"),
        "mask": str(mask),
        "style": "kidney",
        "seed": 0,
    }
    assert "painting" in err


def bad_files(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    write_png(folder / "rgb.png", np.zeros((40, 40, 3), np.uint8))
    np.save(folder / "float.npy", np.full((40, 40), 0.5))
    np.save(folder / "negative.npy", np.full((40, 40), -1))
    (folder / "zero.png").write_bytes(b"")
    (folder / "half.png").write_bytes((folder / "rgb.png").read_bytes()[:60])
    (folder / "mask.jpg").write_bytes(b"x")
    write_png(folder / "small.png", np.zeros((20, 31, 3), np.uint8))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["rgb.png"], "rgb.png: expected one id a nucleus in a single channel, found RGB"),
        (["float.npy"], "float.npy: found numbers that are not whole, expected integers"),
        (["negative.npy"], "negative.npy: found negative ids"),
        (["zero.png"], "zero.png: found an empty file"),
        (["half.png"], "half.png: cannot be read"),
        (["mask.jpg"], "mask.jpg: found .jpg"),
        (["none.png"], "none.png: no such file"),
        (["rgb.png", "--style", "kidny"], "did you mean 'kidney'"),
        (["--style", "brain"], "knows no style 'brain'"),
        (["--style", "small.png"], "small.png: found 20 x 31 px, expected a style image of at least 32 x 32"),
        (["--style", "none.png"], "none.png: no such file"),
        (["--style", "zero.png"], "zero.png: found an empty file"),
        (["--style", "kidney=x"], "each organ once"),
        (["--style", "kidney", "--style", "all"], "two styles are called 'kidney'"),
        (["../masks/a.png"], "two masks are called 'a'"),
        (["--device", "abacus"], "device 'abacus'"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(synthesize, mask, tmp_path, monkeypatch, words, sentence):
    bad_files(tmp_path / "bad")
    monkeypatch.chdir(tmp_path / "bad")
    code, out, err, names = synthesize(mask, *words)
    assert code == 3
    assert sentence in err
    assert err.startswith("sian: error: ")
    assert len(err.splitlines()) == 1
    assert out == ""
    assert names == []


def test_an_empty_folder_of_masks(synthesize, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err, _ = synthesize(tmp_path / "empty")
    assert code == 3
    assert "holds no masks" in err


def test_no_picture_overwrites_an_input(toy_file, mask: Path, capfd) -> None:
    given = sian.write_mask(mask.parent / "a_kidney.png", toys.grid_mask(64, 64)).read_bytes()
    words = ["synthesize", str(mask.parent), "--style", "kidney", "--model", str(toy_file), "-o", str(mask.parent)]
    assert main(words) == 3
    assert "a_kidney.png: is an input and would be overwritten" in capfd.readouterr().err
    assert (mask.parent / "a_kidney.png").read_bytes() == given


@pytest.mark.parametrize("content", [None, b"", b"not a model"])
def test_a_model_that_is_none(mask: Path, tmp_path: Path, capfd, content) -> None:
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)
    assert main(["synthesize", str(mask), "--model", str(path), "-o", str(tmp_path / "out")]) == 3
    err = capfd.readouterr().err
    assert err.startswith(f"sian: error: {path}: ")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words", [["--frob"], ["--seed", "-1"], ["--seed", "x"], ["--noise", "3"], ["--noise", "nan"], ["--threads", "0"]]
)
def test_usage(synthesize, mask: Path, words) -> None:
    code, _, err, names = synthesize(mask, *words)
    assert code == 2
    assert "see `sian synthesize --help`" in err
    assert names == []


def test_output_and_masks_are_asked_for(capfd) -> None:
    assert main(["synthesize"]) == 2
    assert main(["synthesize", "a.png"]) == 2
    assert "--output" in capfd.readouterr().err


def test_an_output_that_is_a_file(toy_file: Path, mask: Path, tmp_path: Path, capfd) -> None:
    (tmp_path / "out").write_text("a file")
    assert main(["synthesize", str(mask), "--model", str(toy_file), "-o", str(tmp_path / "out")]) == 3
    assert "cannot be written" in capfd.readouterr().err


def test_the_warning_of_another_magnification_is_a_line(synthesize, tmp_path: Path) -> None:
    path = sian.write_mask(tmp_path / "large.png", toys.grid_mask(128, 128, side=30))
    code, _, err, names = synthesize(path)
    assert code == 0
    assert len(names) == 3
    assert [line for line in err.splitlines() if line.startswith("sian: warning: ")] == [
        "sian: warning: the masks' nuclei are 3.0 times larger in area (median 900 px) than those the model saw "
        "(300 px); if the magnification differs, say so (--mpp, mpp=); 0.14 would fit"
    ]


def test_legal_masks_at_the_limits(synthesize, tmp_path: Path) -> None:
    empty = sian.write_mask(tmp_path / "empty.png", np.zeros((33, 50), np.int32))
    pixel = sian.write_mask(tmp_path / "pixel.png", np.array([[0, 900], [3, 0]]))
    code, _, _, names = synthesize(empty, pixel, "--style", "kidney")
    assert code == 0
    assert names == ["empty_kidney.png", "pixel_kidney.png"]
    assert sian.read_image(tmp_path / "out" / "empty_kidney.png").shape == (33, 50, 3)
    assert sian.read_image(tmp_path / "out" / "pixel_kidney.png").shape == (2, 2, 3)


@pytest.mark.filterwarnings("ignore::sian.SianWarning")  # the toy's idea of a nucleus is not the bundled mask's
def test_demo(toy_file: Path, tmp_path: Path, capfd) -> None:
    output = tmp_path / "demo"
    assert main(["demo", "--model", str(toy_file), "-o", str(output), "--seed", "1"]) == 0
    assert "not for diagnosis" in capfd.readouterr().out
    organs = ["breast", "colon", "kidney"]
    pictures = [f"{name}_{organ}.png" for name in ("real", "invented") for organ in organs]
    assert sorted(path.name for path in output.iterdir()) == sorted(
        [*pictures, "real_mask.png", "invented_mask.png", "sheet.png"]
    )
    for name in ("real", "invented"):
        height, width = sian.read_mask(output / f"{name}_mask.png").shape
        assert sian.read_image(output / f"{name}_kidney.png").shape == (height, width, 3)
        assert read_png_text(output / f"{name}_kidney.png")["Synthetic"] == "true"
    height, width = sian.read_image(output / "sheet.png").shape[:2]
    assert height > 2 * 256
    assert width > 4 * 256


def test_demo_refuses_before_it_writes(tmp_path: Path, capfd) -> None:
    assert main(["demo", "--model", str(tmp_path / "none"), "-o", str(tmp_path / "demo")]) == 3
    assert "no such file" in capfd.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_as_a_process(toy_file: Path, mask: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sian", "synthesize", str(mask), "--model", str(toy_file), "--json"]
    bad = subprocess.run([*command, "--style", "kidny", "-o", str(tmp_path / "bad")], capture_output=True, text=True)
    assert bad.returncode == 3
    assert bad.stdout == ""
    assert bad.stderr.count("\n") == 1
    assert not (tmp_path / "bad").exists()
