"""Fitting a style: a reference that the model itself has painted, whose style is known; what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.synthesis import toys

import sian
from sian.errors import BadInput
from sian.synthesis.model import Model
from sian.synthesis.style_fitting import fit_style

FAR = np.linspace(-2, 2, toys.STYLE_DIM).astype(np.float32)


@pytest.fixture(scope="module")
def mask():
    return toys.grid_mask(160, 288)


@pytest.fixture(scope="module")
def painted(model: Model, mask):
    return model.synthesize(mask, FAR, seed=5)


def density(image):
    return -np.log10((image.astype(float) + 1) / 256).mean((0, 1))


def test_a_style_that_the_encoder_does_not_know_is_found(model: Model, mask, painted):
    fitted = fit_style(model, painted, mask, name="far")
    assert fitted.after < 0.5 * fitted.before
    assert fitted.style.name == "far"
    other = toys.grid_mask(96, 96)
    wanted, encoded, found = (
        density(model.synthesize(other, style, seed=1)) for style in (FAR, model.encode(painted), fitted.style)
    )
    assert np.abs(found - wanted).max() < 0.5 * np.abs(encoded - wanted).max()  # where it was not fitted either


def test_the_same_again(model: Model, mask, painted):
    threads = torch.get_num_threads()
    first, again = (fit_style(model, painted, mask, steps=12) for _ in range(2))
    assert np.array_equal(first.style.vector, again.style.vector)
    assert torch.get_num_threads() == threads
    assert not any(part.requires_grad for part in model.painter.parameters())


def test_whoever_is_told_can_end_the_search(model: Model, mask, painted):
    told: list[tuple[int, int]] = []

    def report(done: int, total: int) -> None:
        told.append((done, total))
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_style(model, painted, mask, steps=12, report=report)
    assert told == [(step, 12) for step in range(4)]


def test_where_nothing_better_is_found_the_encoders_style_stays(model: Model, mask, painted):
    fitted = fit_style(model, painted, mask, steps=0)
    assert fitted.before == fitted.after
    assert np.array_equal(fitted.style.vector, model.encode(painted).vector)


def test_a_mask_without_nuclei_and_a_white_picture_are_no_reason_to_stop(model: Model):
    white = np.full((128, 128, 3), 255, np.uint8)
    fitted = fit_style(model, white, np.zeros((128, 128), np.int32), steps=4)
    assert np.isfinite(fitted.style.vector).all()
    assert fitted.after <= fitted.before


def test_unusual_references_are_not_warned_of_while_they_are_fitted(tmp_path, mask, painted, recwarn):
    picky = sian.load(toys.write_toy(tmp_path / "toy.safetensors", reference_distances={"median": 0.0, "high": 0.0}))
    fit_style(picky, painted, mask, steps=1)
    assert not recwarn
    with pytest.warns(sian.SianWarning, match=r"fit a style to it \(`sian style`"):
        picky.encode(painted)


@pytest.mark.parametrize(("height", "width"), [(127, 200), (200, 127), (40, 40)])
def test_a_small_reference_is_refused(model: Model, height, width):
    with pytest.raises(BadInput, match="at least 128 x 128"):
        fit_style(model, np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.int32))


def test_a_mask_of_another_size_is_refused(model: Model, painted):
    with pytest.raises(BadInput, match="a mask of 128 x 128 and an image of 160 x 288"):
        fit_style(model, painted, np.zeros((128, 128), np.int32))


def test_classes_are_told_to_a_model_that_knows_some(tmp_path, mask, painted):
    model = sian.load(toys.write_classed(tmp_path / "classed.safetensors", ["dead", "alive"]))
    classes = {number: "dead" if number % 2 else "alive" for number in np.unique(mask)[1:].tolist()}
    assert fit_style(model, painted, mask, classes=classes, steps=2).after >= 0
    corner = {number: kind for number, kind in classes.items() if number in mask[:40, :40]}
    with pytest.warns(sian.SianWarning, match="class"):  # once, for the picture, and not for every part without any
        assert fit_style(model, painted, mask, classes=corner, steps=1).after >= 0
    with pytest.raises(BadInput, match="nuclear classes"):
        fit_style(model, painted, mask)
