"""`sian.fit_style` and `sian style`: from a picture to a style's file, and from there into every command."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.synthesis import toys

import sian
from sian.cli.main import main
from sian.data import DatasetInfo, DatasetWriter
from sian.files import sha256_file, write_png
from sian.production.restyle import restyle_dataset
from sian.synthesis.magnification import rescale_image, rescale_mask
from sian.synthesis.stylefile import StyleFile, write_style


@pytest.fixture(scope="module")
def toy_file(tmp_path_factory):
    return toys.write_toy(tmp_path_factory.mktemp("toy") / "toy.safetensors")


@pytest.fixture(scope="module")
def model(toy_file):
    return sian.load(toy_file)


@pytest.fixture
def slide(tmp_path, model):
    """A picture in a style of its own, and its mask."""
    mask = toys.grid_mask(140, 150)
    vector = np.linspace(1, -1, toys.STYLE_DIM).astype(np.float32)
    path = tmp_path / "slide.png"
    write_png(path, model.synthesize(mask, vector))
    sian.write_mask(tmp_path / "nuclei.png", mask)
    return path


def test_the_mask_may_come_from_a_segmenter(model, slide):
    image, mask = sian.read_image(slide), sian.read_mask(slide.with_name("nuclei.png"))
    seen = []
    found = sian.fit_style(image, model=model, segment=lambda pixels: seen.append(pixels) or mask)
    assert np.array_equal(seen[0], image)
    assert np.array_equal(found.style.vector, sian.fit_style(image, model=model, mask=mask).style.vector)


def test_another_magnification_is_rescaled(model, slide):
    image, mask = sian.read_image(slide), sian.read_mask(slide.with_name("nuclei.png"))
    found = sian.fit_style(image, model=model, mask=mask, mpp=0.5)
    larger = rescale_image(image, (280, 300)), rescale_mask(mask, (280, 300))
    expected = sian.fit_style(larger[0], model=model, mask=larger[1])
    assert np.array_equal(found.style.vector, expected.style.vector)
    with pytest.raises(sian.BadInput, match="found a mask of 150 x 140"):
        sian.fit_style(image, model=model, mask=mask.T.copy())


def test_of_a_large_picture_the_middle_is_segmented(model, monkeypatch):
    monkeypatch.setattr("sian.production.fit_style.MOST_SEGMENTED", 130)
    image = np.random.default_rng(0).integers(0, 255, (200, 140, 3), dtype=np.uint8)
    seen = []
    sian.fit_style(image, model=model, segment=lambda pixels: seen.append(pixels) or np.zeros((130, 130), np.int32))
    assert np.array_equal(seen[0], image[35:165, 5:135])


def test_a_model_with_classes_needs_a_mask(tmp_path):
    classed = sian.load(toys.write_classed(tmp_path / "classed.safetensors", ["dead", "alive"]))
    with pytest.raises(sian.BadInput, match="which no segmenter knows"):
        sian.fit_style(np.zeros((128, 128, 3), np.uint8), model=classed)


def test_a_style_called_as_an_organ_is_not_taken_for_it(model, slide, tmp_path):
    """A restyled data set is painted again when the style of that name is another one."""
    mask = sian.read_mask(slide.with_name("nuclei.png"))
    writer = DatasetWriter(tmp_path / "data", DatasetInfo(name="mine", licence="CC0-1.0"))
    writer.add("a", sian.read_image(slide), mask, organ="kidney", split="train")
    data = sian.open_dataset(tmp_path / "data")
    content = StyleFile(model=model.sha256, vector=[0.5] * toys.STYLE_DIM)
    write_style(tmp_path / "kidney.json", content)
    done = [
        restyle_dataset(data, str(style), tmp_path / "out", model=model) for style in (tmp_path / "kidney.json",) * 2
    ]
    assert done == [1, 0]
    assert restyle_dataset(data, "kidney", tmp_path / "out", model=model) == 1
    assert sian.open_dataset(tmp_path / "out").items[0].style == "kidney"


def test_on_the_command_line_and_into_the_others(toy_file, model, slide, tmp_path, capfd):
    target, nuclei = tmp_path / "slide.json", slide.with_name("nuclei.png")
    words = ["style", slide, "--mask", nuclei, "--model", toy_file, "-o", target, "--threads", 1]
    assert main([str(word) for word in words]) == 0
    said = capfd.readouterr()
    assert said.out.strip() == str(target)
    assert "distance in stain" in said.err
    content = json.loads(target.read_text())
    assert (content["format"], content["model"]) == ("sian.style/1", model.sha256)
    assert content["reference"] == sha256_file(slide)
    assert content["after"] < content["before"]

    mask = sian.read_mask(nuclei)
    expected = model.synthesize(mask, np.array(content["vector"], np.float32))
    assert np.array_equal(model.synthesize(mask, str(target)), expected)
    out = tmp_path / "out"
    words = ["synthesize", nuclei, "--style", target, "--model", toy_file, "-o", out]
    assert main([str(word) for word in words]) == 0
    assert np.array_equal(sian.read_image(out / "nuclei_slide.png"), expected)
    words = ["restyle", slide, "--mask", nuclei, "--style", target, "--model", toy_file, "-o", out]
    assert main([str(word) for word in words]) == 0
    assert np.array_equal(sian.read_image(out / "slide_slide.png"), expected)

    plan = tmp_path / "plan.yaml"
    plan.write_text(
        f"name: mine\nimages: 2\nmodel: {{file: {toy_file}}}\nform: folders\n"
        f"masks: {{source: nuclei, size: 64}}\nstyles: [{{style: slide.json, masks: kidney, organ: skin}}]\n"
    )
    data = tmp_path / "data"
    assert main(["dataset", str(plan), "-o", str(data)]) == 0
    item = sian.open_dataset(data).items[0]
    assert (item.style, item.organ) == ("slide", "skin")
    layout = sian.describe(sian.open_dataset(data).mask(item))
    painted = model.synthesize(layout, str(target), seed=item.seed)
    assert np.array_equal(sian.open_dataset(data).image(item), painted)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"model": "ab" * 32}, "is a style of the model abababababab..., found the model"),
        ({"vector": [1.0]}, "s.json: found a vector of 1 numbers, expected 6"),
        ({"vector": []}, "is not a style's file (vector"),
        ({"vector": ["x"] * 6}, "is not a style's file (vector.0"),
        ({"format": "sian.style/9"}, "is not a style's file (format"),
        ({"more": 1}, "is not a style's file (more"),
        ({"vector": [1e308] * 6}, "is not a style's file (vector.0"),
        ({"vector": [True] * 6}, "is not a style's file (vector.0"),
        ({"a\x1b[31m": 1}, "is not a style's file ('a\\x1b[31m'"),
        ({"model": "ab" * 600000}, "found more than 1 MB"),
    ],
)
def test_files_that_are_no_style_of_this_model(toy_file, model, tmp_path, capfd, change, sentence):
    path = tmp_path / "s.json"
    good = {"format": "sian.style/1", "model": model.sha256, "vector": [0.0] * toys.STYLE_DIM}
    path.write_text(json.dumps({**good, **change}))
    mask = sian.write_mask(tmp_path / "mask.png", toys.grid_mask(64, 64))
    words = ["synthesize", mask, "--style", path, "--model", toy_file, "-o", tmp_path / "out"]
    assert main([str(word) for word in words]) == 3
    assert sentence in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_json_that_is_none(toy_file, tmp_path, capfd):
    mask = sian.write_mask(tmp_path / "mask.png", toys.grid_mask(64, 64))
    for text, sentence in (("{", "is not JSON"), ('{"vector": [NaN]}', "is not JSON"), (None, "no such file")):
        path = tmp_path / "s.json"
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
        words = ["synthesize", mask, "--style", path, "--model", toy_file, "-o", tmp_path / "out"]
        assert main([str(word) for word in words]) == 3
        assert sentence in capfd.readouterr().err


@pytest.mark.parametrize(
    ("more", "code", "sentence"),
    [
        (["-o", "style.txt"], 3, "expected the name of a .json file"),
        (["--mask", "small.png"], 3, "small.png: found a mask of 32 x 32"),
        (["--mpp", "0.1"], 3, "slide.png: found a reference image of 56 x 60 px"),
        (["--mask", "small.png", "--segmenter", "x"], 3, "leave one of them out"),
        (["--mask", "none.png"], 3, "none.png"),
    ],
)
def test_a_style_that_cannot_be_fitted(toy_file, slide, tmp_path, monkeypatch, capfd, more, code, sentence):
    monkeypatch.chdir(tmp_path)
    sian.write_mask(tmp_path / "small.png", np.zeros((32, 32), np.int32))
    assert main(["style", str(slide), "--model", str(toy_file), *more]) == code
    assert sentence in capfd.readouterr().err
    assert not list(tmp_path.glob("*.json"))
