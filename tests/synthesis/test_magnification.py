"""Other magnifications: rescaled on request, both ways, and said."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.transform import downscale_local_mean

import sian
from sian.cli.main import main
from sian.errors import BadInput
from sian.files import read_png_text
from sian.layout import describe
from sian.synthesis.magnification import rescale_image, rescale_mask, scaling

from . import toys


def test_ids_by_nearest_neighbour():
    mask = np.array([[0, 70000], [3, 3]], np.int32)
    large = rescale_mask(mask, (4, 6))
    assert large.dtype == mask.dtype
    assert np.array_equal(large, np.kron(mask, np.ones((2, 3), np.int32)))
    assert np.array_equal(rescale_mask(large, (2, 2)), mask)
    odd = rescale_mask(np.arange(25).reshape(5, 5), (3, 3))
    assert odd.tolist() == [[0, 2, 4], [10, 12, 14], [20, 22, 24]]


def test_images_are_averaged_down():
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    expected = downscale_local_mean(image, (2, 2, 1))
    assert np.abs(rescale_image(image, (4, 6)) - expected).max() <= 1
    assert rescale_image(image, (8, 12)) is image
    assert rescale_image(np.full((5, 5, 3), 77, np.uint8), (13, 11)).tolist() == np.full((13, 11, 3), 77).tolist()


@pytest.mark.parametrize("mpp", [0.125, 0.5])
def test_a_mask_of_another_magnification_is_painted_at_the_models(model, mpp):
    assert model.info.mpp == 0.25
    mask = toys.grid_mask(64, 96, pitch=40, side=round(17 * 0.25 / mpp))  # as large in micrometres as the model's
    at_model = rescale_mask(mask, (round(64 * mpp * 4), round(96 * mpp * 4)))
    direct = model.synthesize(at_model, "kidney", seed=3)
    painted = model.synthesize(mask, "kidney", seed=3, mpp=mpp)
    assert painted.shape == (64, 96, 3)
    assert np.array_equal(painted, rescale_image(direct, (64, 96)))


@pytest.mark.parametrize("mpp", [0, -1, float("nan"), float("inf"), 11, 0.01])
def test_absurd_numbers(model, mpp):
    with pytest.raises(BadInput, match=r"--mpp .*: expected 0\.02 to 10 micrometres a pixel"):
        model.synthesize(toys.grid_mask(64, 64), "kidney", mpp=mpp)


def test_what_cannot_be_rescaled(model):
    with pytest.raises(BadInput, match="does not know its own"):
        scaling(0.5, None)
    with pytest.raises(BadInput, match="cut it into tiles"):
        scaling(10, 0.25).shape((4000, 4000))
    with pytest.raises(BadInput, match="a layout cannot be rescaled"):
        model.synthesize(describe(toys.grid_mask(64, 64)), "kidney", mpp=0.5)


def test_the_warning_is_gone_with_the_right_number(toy_file, tmp_path, capfd):
    path = sian.write_mask(
        tmp_path / "large.png", toys.grid_mask(128, 128, pitch=42, side=34)
    )  # 1156 px, four times the model's
    words = ["synthesize", str(path), "--style", "kidney", "--model", str(toy_file), "-o", str(tmp_path / "out")]
    assert main(words) == 0
    assert "say so (--mpp, mpp=); 0.13 would fit" in capfd.readouterr().err
    assert main([*words, "--mpp", "0.125"]) == 0
    err = capfd.readouterr().err
    assert "warning" not in err
    said = "0.125 um a pixel: painted at the model's 0.25 (ids x 0.5 by nearest neighbour), brought back x 2 by cubic"
    assert said in err
    assert read_png_text(tmp_path / "out" / "large_kidney.png")["Rescaled"].startswith(said)
    assert sian.read_image(tmp_path / "out" / "large_kidney.png").shape == (128, 128, 3)


@pytest.mark.parametrize("mpp", ["0", "nan", "-0.5", "400"])
def test_absurd_numbers_on_the_command_line(toy_file, tmp_path, capfd, mpp):
    path = sian.write_mask(tmp_path / "a.png", toys.grid_mask(64, 64))
    words = ["synthesize", str(path), "--model", str(toy_file), "-o", str(tmp_path / "out"), "--mpp", mpp]
    assert main(words) == 3
    err = capfd.readouterr().err
    assert "micrometres a pixel" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def classed(tmp_path_factory):
    """A model of two classes; its file."""
    return toys.write_classed(tmp_path_factory.mktemp("classed") / "toy.safetensors", ["dead", "tumour"])


def test_classes_are_rescaled_with_their_mask(classed):
    """As the rescaled mask is painted with the classes described on it; a lost nucleus takes its class along."""
    model = sian.load(classed)
    mask = toys.grid_mask(128, 128, pitch=42, side=34)
    mask[0, 0] = 100  # half the size keeps every second pixel, and not this one
    small = rescale_mask(mask, (64, 64))
    assert 100 not in small
    ids = np.unique(small[small > 0]).tolist()
    named = {number: ("dead", "tumour")[number % 2] for number in ids}
    expected = model.synthesize(describe(small, named), "kidney", seed=3)
    painted = model.synthesize(mask, "kidney", seed=3, mpp=0.125, classes={**named, 100: "dead"})
    assert np.array_equal(painted, rescale_image(expected, (128, 128)))
    other = model.synthesize(mask, "kidney", seed=3, mpp=0.125, classes=dict.fromkeys([*ids, 100], "dead"))
    assert not np.array_equal(painted, other)
    both = model.synthesize([small, small], "kidney", seed=3, classes=[named, dict.fromkeys(ids, "dead")])
    assert np.array_equal(both[0], expected)
    assert not np.array_equal(both[1], model.synthesize(small, "kidney", seed=4, classes=named))


def test_a_layout_brings_its_own_classes(classed):
    mask = toys.grid_mask(64, 64)
    layout = describe(mask, dict.fromkeys(np.unique(mask[mask > 0]).tolist(), "dead"))
    with pytest.raises(BadInput, match="beside a layout"):
        sian.load(classed).synthesize(layout, "kidney", classes={1: "dead"})


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (None, r"trained with nuclear classes \(dead, tumour\), found a mask without"),
        ({77: "dead"}, "a class for nucleus 77, which the mask does not hold"),
        ({1: "daed"}, "did you mean 'dead'"),
        ([{1: "dead"}], "a list of as many for a list of masks, found 1 for 1"),
    ],
)
def test_classes_that_do_not_fit(classed, classes, said):
    with pytest.raises(BadInput, match=said):
        sian.load(classed).synthesize(toys.grid_mask(64, 64), "kidney", mpp=0.125, classes=classes)


def test_classes_and_another_magnification_on_the_command_line(classed, tmp_path, capfd):
    mask = toys.grid_mask(128, 128, pitch=42, side=34)
    path = sian.write_mask(tmp_path / "large.png", mask)
    ids = np.unique(mask[mask > 0]).tolist()
    words = ["synthesize", str(path), "--style", "kidney", "--model", str(classed), "-o", str(tmp_path / "out")]
    assert main([*words, "--mpp", "0.125"]) == 3
    assert "large.png: this model was trained with nuclear classes" in capfd.readouterr().err
    (tmp_path / "large.classes.json").write_text(f'{{"dead": {ids[::2]}, "tumour": {ids[1::2]}}}')
    assert main([*words, "--mpp", "0.125"]) == 0
    small = rescale_mask(mask, (64, 64))
    named = {number: ("dead", "tumour")[place % 2] for place, number in enumerate(ids)}
    painted = sian.load(classed).synthesize(describe(small, named), "kidney")
    assert np.array_equal(sian.read_image(tmp_path / "out" / "large_kidney.png"), rescale_image(painted, (128, 128)))


def test_advice_on_magnification_knows_what_was_said(model):
    """The same nuclei, said to be of another mpp, get the same advice."""
    mask, said = np.kron(toys.grid_mask(64, 64), np.ones((3, 3), np.int32)), set()
    for mpp in (None, model.info.mpp * 2):
        with pytest.warns(sian.SianWarning, match="would fit") as caught:
            model.synthesize(mask, "kidney", mpp=mpp)
        said.add(next(str(w.message).split("; ")[-1] for w in caught if "would fit" in str(w.message)))
    assert len(said) == 1
