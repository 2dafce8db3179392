"""Repainting: same nuclei, size and classes; another style; and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from tests.synthesis import toys

import sian
from sian.cli.main import main
from sian.data import DatasetInfo, DatasetWriter, open_dataset
from sian.files import read_png_text, write_png
from sian.synthesis.magnification import rescale_image, rescale_mask


@pytest.fixture(scope="module")
def toy_file(tmp_path_factory):
    return toys.write_toy(tmp_path_factory.mktemp("toy") / "toy.safetensors")


@pytest.fixture(scope="module")
def model(toy_file):
    return sian.load(toy_file)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "slide.png"
    write_png(path, np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8))
    return path


def halves(image):
    """A segmenter of two nuclei."""
    mask = np.zeros(image.shape[:2], np.int32)
    mask[10:20, 10:20], mask[30:45, 30:40] = 1, 2
    return mask


def test_by_hand(model, picture):
    image = sian.read_image(picture)
    made = sian.restyle(image, "kidney", model=model, segment=halves, seed=4)
    assert np.array_equal(made.mask, halves(image))
    assert np.array_equal(made.image, model.synthesize(halves(image), "kidney", seed=4))
    assert made.scaling == ""
    own = sian.restyle(image, "own", model=model, mask=halves(image))
    assert np.allclose(own.style.vector, model.encode(image).vector)
    assert own.style.name == "own"


def test_another_magnification(model, picture):
    image = sian.read_image(picture)
    seen = []
    made = sian.restyle(image, "kidney", model=model, segment=lambda x: seen.append(x) or halves(x), mpp=0.5)
    assert seen[0].shape == (140, 180, 3)
    painted = model.synthesize(halves(seen[0]), "kidney")
    assert np.array_equal(made.image, rescale_image(painted, (70, 90)))
    assert np.array_equal(made.mask, rescale_mask(halves(seen[0]), (70, 90)))
    assert "brought back x 0.5 by area average" in made.scaling


def test_an_image_on_the_command_line(toy_file, model, picture, tmp_path, capfd):
    mask = halves(sian.read_image(picture))
    given = sian.write_mask(tmp_path / "mask.png", mask)
    out = tmp_path / "out"
    words = ["restyle", str(picture), "--style", "breast", "--model", str(toy_file), "-o", str(out), "--seed", "2"]
    assert main([*words, "--mask", str(given)]) == 0
    assert "2 nuclei of the mask" in capfd.readouterr().err
    assert sorted(p.name for p in out.iterdir()) == [
        "slide_breast.png", "slide_breast_mask.png", "slide_breast_sheet.png",
    ]  # fmt: skip
    assert np.array_equal(sian.read_image(out / "slide_breast.png"), model.synthesize(mask, "breast", seed=2))
    assert np.array_equal(sian.read_mask(out / "slide_breast_mask.png"), mask)
    text = read_png_text(out / "slide_breast.png")
    assert (text["Synthetic"], text["Repainted from"], text["Seed"]) == ("true", "slide.png", "2")
    height, width = sian.read_image(out / "slide_breast_sheet.png").shape[:2]
    assert height > 70
    assert width > 3 * 90


def test_a_class_of_a_nucleus_that_rescaling_loses(model, picture):
    """Half the size leaves nothing of a nucleus of one pixel; the others keep their classes."""
    image = sian.read_image(picture)
    mask = halves(image)
    mask[0, 0] = 3
    seen = []

    class Classified:
        takes_tissue = False
        info = model.info.model_copy(update={"classes": ["dead", "tumour"]})
        style = staticmethod(model.style)
        encode = staticmethod(model.encode)

        def synthesize(self, layout, style, **options):
            seen.append(layout)
            return model.synthesize(layout, style, **options)

    made = sian.restyle(
        image, "kidney", model=Classified(), mask=mask, mpp=0.125, classes={1: "dead", 2: "tumour", 3: "dead"}
    )
    assert np.array_equal(made.mask, mask)
    assert seen[0].class_names == ("dead", "tumour")
    assert seen[0].classes[7, 7] == 1
    assert seen[0].classes[18, 18] == 2


@pytest.fixture(scope="module")
def classed(tmp_path_factory):
    """The file of a model that was trained with classes."""
    return toys.write_classed(tmp_path_factory.mktemp("classed") / "toy.safetensors", ["tumour", "dead"])


def test_an_image_with_the_classes_beside_its_mask(classed, picture, tmp_path, capfd):
    mask = halves(sian.read_image(picture))
    given = sian.write_mask(tmp_path / "mask.png", mask)
    out = tmp_path / "out"
    words = ["restyle", str(picture), "--style", "breast", "--model", str(classed), "-o", str(out)]
    words += ["--mask", str(given)]
    assert main(words) == 3
    assert "trained with nuclear classes (tumour, dead), found a mask without" in capfd.readouterr().err
    (tmp_path / "mask.classes.json").write_text('{"dead": [2], "tumour": [1]}')
    assert main(words) == 0
    painted = sian.load(classed).synthesize(sian.describe(mask, {1: "tumour", 2: "dead"}), "breast")
    assert np.array_equal(sian.read_image(out / "slide_breast.png"), painted)
    (tmp_path / "mask.classes.json").write_text('{"dead": [3]}')
    assert main(words) == 3
    assert "a class for nucleus 3, which the mask does not hold" in capfd.readouterr().err


@pytest.fixture
def data(tmp_path):
    writer = DatasetWriter(tmp_path / "mine", DatasetInfo(name="mine", licence="CC0", classes=["tumour"], mpp=0.25))
    for number in range(3):
        image = np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        mask = halves(image) if number else np.zeros((64, 64), np.int32)
        classes = {"tumour": [2]} if number else None
        writer.add(f"i{number}", image, mask, organ="skin", split="test", patient="p", mpp=0.25, classes=classes)
    return tmp_path / "mine"


def test_a_data_set(toy_file, model, data, tmp_path, capfd):
    out = tmp_path / "restyled"
    words = ["restyle", str(data), "--style", "kidney", "--model", str(toy_file), "-o", str(out), "--seed", "5"]
    assert main(words) == 0
    assert "3 items in the style kidney, 3 painted now" in capfd.readouterr().out
    before, after = open_dataset(data), open_dataset(out)
    assert after.info.synthetic
    assert after.info.classes == ["tumour"]
    assert after.info.licence == "CC BY-NC-SA 4.0 (paintings) and CC0 (masks)"
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        kept = ("id", "sha256_mask", "organ", "split", "patient", "mpp", "classes", "width", "height")
        assert [getattr(old, key) for key in kept] == [getattr(new, key) for key in kept]
        assert (new.model, new.style, new.seed) == (model.sha256, "kidney", 5 + number)
        assert np.array_equal(after.image(new), model.synthesize(before.mask(old), "kidney", seed=5 + number))
        assert read_png_text(out / new.image)["Synthetic"] == "true"
    assert main(words) == 0
    assert "0 painted now" in capfd.readouterr().out
    assert main([*words, "--noise", "0.5"]) == 0  # another painting is not taken for this one
    assert "3 painted now" in capfd.readouterr().out
    assert {item.style for item in open_dataset(out)} == {"kidney, noise 0.5"}


def test_a_data_set_with_classes(classed, data, tmp_path, capfd):
    out = tmp_path / "restyled"
    words = ["restyle", str(data), "--style", "kidney", "--model", str(classed), "-o", str(out)]
    assert main(words) == 0  # nucleus 1 has no class
    assert "some nuclei have no class" in capfd.readouterr().err
    mask = open_dataset(data).mask(open_dataset(data).items[2])
    after = open_dataset(out)
    with pytest.warns(sian.SianWarning, match="some nuclei have no class"):
        painted = sian.load(classed).synthesize(sian.describe(mask, {2: "tumour"}), "kidney", seed=2)
    assert np.array_equal(after.image(after.items[2]), painted)
    assert after.items[2].classes == {"tumour": [2]}
    (data / "items.jsonl").write_text((data / "items.jsonl").read_text().replace(', "classes": {"tumour": [2]}', ""))
    assert main([*words, "--seed", "9"]) == 3
    assert "mine: item i1: this model was trained with nuclear classes (tumour)" in capfd.readouterr().err.replace(
        ", dead", ""
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.png", "--style", "kidney"], "no such file"),
        (["slide.png", "--style", "kidny"], "did you mean 'kidney'"),
        (["slide.png", "--style", "kidney", "--mask", "small.png"], "expected equal sizes"),
        (["slide.png", "--style", "kidney", "--mask", "empty.png"], "found no nucleus in the image"),
        (["slide.png", "--style", "kidney", "--mask", "mask.png", "--mpp", "nan"], "micrometres a pixel"),
        (["slide.png", "--style", "kidney", "--split", "test"], "is not a data set"),
        (["mine", "--style", "kidney", "--mask", "mask.png"], "has masks of its own"),
        (["mine", "--style", "kidney", "--split", "train"], "no items of split"),
        (["mine", "--style", "kidney", "--mpp", "0"], "micrometres a pixel"),
        (["empty", "--style", "kidney"], "holds no images"),
    ],
)
def test_refused(toy_file, picture, data, tmp_path, monkeypatch, capfd, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    image = sian.read_image(picture)
    sian.write_mask("mask.png", halves(image))
    sian.write_mask("small.png", halves(image)[:50])
    sian.write_mask("empty.png", np.zeros(image.shape[:2], np.int32))
    assert main(["restyle", *words, "--model", str(toy_file), "-o", "out"]) == 3
    err = capfd.readouterr().err
    assert said in err
    assert len([line for line in err.splitlines() if "error" in line]) == 1
    assert not list((tmp_path / "out").glob("*.png"))
