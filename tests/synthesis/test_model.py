"""`Model`: every way to ask for a style, every kind of mask, and what it refuses or warns of."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import sian
from sian.errors import BadInput, MissingResource, SianWarning
from sian.files import write_png
from sian.layout import describe
from sian.networks import find_device
from sian.synthesis import Model, Style, load
from sian.synthesis.painting import Noise, encode_windows, paint

from . import toys


def picture(height: int = 256, width: int = 256, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    base = np.array([200, 150, 190]) + 30 * np.sin(np.arange(width) / (5 + seed))[None, :, None]
    return np.clip(base + rng.normal(0, 20, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    return toys.grid_mask(96, 128)


def test_an_image_is_the_painting_of_its_layout_and_vector(model: Model, mask) -> None:
    image = model.synthesize(mask, "kidney", seed=4)
    vector = torch.from_numpy(model.styles["kidney"].vector)
    assert np.array_equal(image, paint(model.painter.generator, describe(mask), vector, Noise(4)))
    assert image.shape == (96, 128, 3)
    assert image.dtype == np.uint8


def test_lists_give_lists_and_each_image_its_own_noise(model: Model, mask) -> None:
    masks = [mask, np.zeros((40, 50), np.int32), mask]
    images = model.synthesize(masks, "breast", seed=2)
    assert [image.shape for image in images] == [(96, 128, 3), (40, 50, 3), (96, 128, 3)]
    assert np.array_equal(images[2], model.synthesize(mask, "breast", seed=4))
    assert not np.array_equal(images[0], images[2])
    assert isinstance(model.synthesize((mask,), "breast"), list)
    assert model.synthesize([], "breast") == []


def test_layouts_are_taken_like_masks(model: Model, mask) -> None:
    layout = describe(mask)
    assert np.array_equal(model.synthesize(layout, "kidney"), model.synthesize(mask, "kidney"))
    window = model.synthesize(layout.window(32, 32, 64, 96), "kidney", origin=(32, 32))
    assert window.shape == (64, 96, 3)


def test_ids_do_not_matter(model: Model, mask) -> None:
    expected = model.synthesize(mask, "kidney")
    for ids in (mask.astype(np.uint8), np.where(mask > 0, mask * 7919 + 70_000, 0), mask.astype(np.int64)):
        assert np.array_equal(model.synthesize(ids, "kidney"), expected)


def test_noise_and_seed(model: Model, mask) -> None:
    still = [model.synthesize(mask, "kidney", seed=seed, noise=0) for seed in (0, 1)]
    assert np.array_equal(*still)
    assert not np.array_equal(model.synthesize(mask, "kidney", seed=1), model.synthesize(mask, "kidney", seed=0))


def test_every_way_to_ask_for_a_style(model: Model, tmp_path: Path) -> None:
    bank = model.styles
    reference = picture()
    path = tmp_path / "slide 7.png"
    write_png(path, reference)
    encoded = model.encode(reference).vector
    expected = {
        "kidney": bank["kidney"].vector,
        "Colon/frozen": bank["colon/frozen"].vector,
        "lung": bank["kidney"].vector,
        "kidney#3": bank["kidney"].sample(3).vector,
        "kidney=3 + breast=1": 0.75 * bank["kidney"].vector + 0.25 * bank["breast"].vector,
        "kidney=1,breast=1": 0.5 * bank["kidney"].vector + 0.5 * bank["breast"].vector,
        str(path): encoded,
    }
    for text, vector in expected.items():
        assert np.allclose(model.style(text).vector, vector, atol=1e-6)
    assert np.allclose(model.style({"kidney": 3, "breast": 1}).vector, expected["kidney=3 + breast=1"], atol=1e-6)
    for other in (path, reference, encoded, encoded.astype(np.float64), Style(encoded, "x"), model.encode(path)):
        assert np.array_equal(model.style(other).vector, encoded)
    assert np.array_equal(model.style(bank["kidney"]).vector, bank["kidney"].vector)
    assert np.array_equal(model.style(bank["kidney"].sample(seed=3)).vector, expected["kidney#3"])
    names = {"kidney": "kidney", "lung": "lung", str(path): "slide 7", "kidney#3": "kidney#3"}
    assert {text: model.style(text).name for text in names} == names
    assert all(model.style(text).vector.dtype == np.float32 for text in expected)


def test_every_way_paints_the_same(model: Model, mask) -> None:
    vector = model.styles["colon"].vector
    images = [model.synthesize(mask, style) for style in ("colon", vector, model.styles["colon"], {"colon": 1.0})]
    assert all(np.array_equal(image, images[0]) for image in images)
    assert not np.array_equal(images[0], model.synthesize(mask, "breast"))


def test_encode_averages_the_encoders_mean_over_windows(model: Model) -> None:
    image = picture(300, 520)
    windows = encode_windows(image, 256, 64)
    with torch.inference_mode():
        means = model.painter.encoder(windows)[0]
    assert len(windows) == 6
    assert np.allclose(model.encode(image).vector, means.mean(0).numpy(), atol=1e-5)


def test_small_references_are_mirrored(model: Model) -> None:
    small = picture(32, 45)
    mirrored = np.pad(small, ((0, 224), (0, 211), (0, 0)), "symmetric")
    assert np.allclose(model.encode(small).vector, model.encode(mirrored).vector, atol=1e-6)


def part_of_another_model():
    from sian.synthesis.styles import make_part

    return make_part("liver/ffpe", [np.zeros((3, 9), np.float32)])


BAD_STYLES = [
    (lambda: "brain", "knows no style 'brain'"),
    (lambda: "kidny", "did you mean 'kidney'"),
    (lambda: "kidney#x", "ORGAN#NUMBER"),
    (lambda: "kidney#\u00b2", "ORGAN#NUMBER"),
    (lambda: "kidny#3", "did you mean 'kidney'"),
    (lambda: "kidney=a", "found 'kidney=a'"),
    (lambda: "kidney=1+kidney=2", "each organ once"),
    (lambda: "kidney=nan", "weights"),
    (lambda: {"kidny": 1.0}, "did you mean 'kidney'"),
    (dict, "weights"),
    (lambda: np.zeros(5, np.float32), r"6 finite numbers, found \(5,\)"),
    (lambda: np.full(6, np.nan, np.float32), "6 finite numbers"),
    (lambda: Style(np.zeros(7, np.float32), "of another model"), "belong to the model that made them"),
    (part_of_another_model, "belong to the model that made them"),
    (lambda: picture(31, 400), "found 31 x 400 px, expected a style image of at least 32 x 32"),
    (lambda: picture()[..., 0], r"found \(256, 256\) uint8"),
    (lambda: picture() / 255, "float64"),
    (lambda: np.dstack([picture(), picture()[..., :1]]), r"\(256, 256, 4\)"),
    (lambda: "missing.png", "missing.png: no such file"),
    (lambda: Path("missing"), "missing: no such file"),
]


@pytest.mark.parametrize(("wanted", "sentence"), BAD_STYLES)
def test_a_style_that_cannot_be(model: Model, mask, wanted, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        model.synthesize(mask, wanted())


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (np.zeros((40, 40, 3), np.uint8), "found RGB"),
        (np.zeros((40, 40), np.float32), "found float32, expected integer ids"),
        (np.zeros((40, 40), bool), "boolean mask"),
        (np.full((40, 40), -1), "negative ids"),
        (np.zeros((0, 40), np.int32), "0 x 40"),
        (np.zeros(40, np.int32), r"found shape \(40,\)"),
    ],
)
def test_a_mask_that_is_none(model: Model, mask, bad, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        model.synthesize(bad, "kidney")
    with pytest.raises(BadInput, match=f"mask 1 of the list: .*{sentence}"):
        model.synthesize([mask, bad], "kidney")


@pytest.mark.parametrize(
    "options", [{"seed": -1}, {"noise": -0.5}, {"noise": float("nan")}, {"origin": (32, 5)}, {"noise": float("inf")}]
)
def test_arguments_out_of_range(model: Model, mask, options) -> None:
    with pytest.raises(BadInput, match="expected a seed"):
        model.synthesize(mask, "kidney", **options)


def test_an_empty_mask_is_background(model: Model) -> None:
    image = model.synthesize(np.zeros((70, 33), np.int32), "kidney")
    assert image.shape == (70, 33, 3)


@pytest.mark.parametrize(
    ("side", "ratio", "advice"), [(9, "3.7 times smaller", "0.48"), (30, "3.0 times larger", "0.14")]
)
def test_another_magnification_gets_a_warning(model: Model, side, ratio, advice) -> None:
    mask = toys.grid_mask(128, 128, side=side)
    with pytest.warns(
        SianWarning, match=f"{ratio} in area .median {side**2} px. .*300 px.*say so .* {advice} would fit"
    ):
        model.synthesize(mask, "kidney")


def test_one_pixel_nuclei_are_painted_with_a_warning(model: Model) -> None:
    with pytest.warns(SianWarning, match="300.0 times smaller"):
        image = model.synthesize(np.array([[1, 0], [0, 2]]), "kidney")
    assert image.shape == (2, 2, 3)


def test_the_warning_is_of_all_masks_together(model: Model) -> None:
    many = [toys.grid_mask(128, 128), toys.grid_mask(64, 64, side=5)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.synthesize(many, "kidney")


def test_a_reference_unlike_all_that_was_seen_gets_a_warning(tmp_path: Path) -> None:
    near = toys.toy_info(reference_distances={"median": 1.0, "high": 0.001}).reference_distances
    model = load(toys.write_toy(tmp_path / "toy.safetensors", reference_distances=near))
    with pytest.warns(SianWarning, match=r"the style image: its style lies [\d.]+ deviations .* within 0.0"):
        model.encode(picture())


def test_devices(model: Model) -> None:
    assert str(model.device) == "cpu"
    assert model.to("cpu") is model
    with pytest.raises(BadInput, match="device 'abacus': no such device"):
        model.to("abacus")
    for name in ("cpu:", "cpu:\u0660", "cuda:"):  # torch would raise errors of its own
        with pytest.raises(BadInput, match=f"device '{name}': no such device"):
            model.to(name)
    with pytest.raises(MissingResource, match="device 'cuda:99': this machine has"):
        model.to("cuda:99")
    assert str(find_device("auto")) in ("cpu", "cuda")


def test_the_model_says_what_it_is(model: Model) -> None:
    assert repr(model) == "Model('toy', 0.25 um a pixel; styles: breast, colon, kidney)"


def test_the_examples_of_the_design(toy_file: Path, tmp_path: Path, mask) -> None:
    sian.write_mask(tmp_path / "mask.png", mask)
    write_png(tmp_path / "image.png", picture())
    mask = sian.read_mask(tmp_path / "mask.png")
    image = sian.read_image(tmp_path / "image.png")
    layout = sian.describe(mask)
    model = sian.load(toy_file)
    assert model.synthesize(mask, style="kidney", seed=0).shape == (96, 128, 3)
    assert model.synthesize(layout.window(0, 0, 64, 64), style=image).shape == (64, 64, 3)
    style = model.encode(image)
    assert style.vector.shape == (6,)
    assert model.styles["kidney"].sample(seed=3).name == "kidney#3"
    assert list(model.styles) == model.info.organs


def test_a_model_whose_weights_are_changed_is_folded_again(toy_file: Path, mask) -> None:
    model = load(toy_file)
    before = model.synthesize(mask, "kidney")
    with torch.no_grad():
        model.painter.generator.to_rgb.bias += 0.3
    after = model.synthesize(mask, "kidney")
    plain = paint(model.painter.generator, describe(mask), torch.from_numpy(model.style("kidney").vector), Noise(0))
    assert not np.array_equal(before, after)
    assert np.abs(after.astype(int) - plain).max() <= 1
