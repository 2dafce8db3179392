"""Unusual references: stain and sharpness against scipy, what is caught, and the way through a model file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis

import sian
from sian.errors import SianWarning
from sian.synthesis.looks import Looks, look, measure
from sian.synthesis.modelfile import write_model
from sian.synthesis.styles import Styles

from . import toys


def tissue(seed: int, side: int = 64) -> np.ndarray:
    """Two colours near one another's, blurred noise: (side, side, 3) uint8."""
    random = np.random.default_rng(seed)
    base = np.array([200, 140, 190]) + random.normal(0, 8, 3)
    coarse = random.normal(0, 25, (side // 8, side // 8, 1)).repeat(8, 0).repeat(8, 1)
    return np.clip(base + coarse + random.normal(0, 6, (side, side, 3)), 0, 255).astype(np.uint8)


def tensor(*images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


@pytest.fixture(scope="module")
def looks() -> Looks:
    measured = measure([look(tensor(*(tissue(100 * t + i) for i in range(6)))) for t in range(10)])
    assert measured is not None
    return measured


def test_the_distance_is_mahalanobis(looks):
    window = tensor(tissue(999))
    expected = mahalanobis(look(window)[0], looks.mean, looks.precision) / 13**0.5
    assert looks.distance(window) == pytest.approx(expected)
    assert looks.quantile(0) == 0
    assert looks.quantile(1e9) > 1 - 1e-9
    assert looks.quantile(float(looks.quantiles[50])) == pytest.approx(0.5)


def test_sharpness_and_stain_by_hand():
    flat = look(tensor(np.full((64, 64, 3), 255, np.uint8)))[0]
    assert flat[:3] == pytest.approx(np.log(0.01), abs=0.01)  # white has no density
    checks = np.indices((64, 64)).sum(0) % 2 * 200
    fine = look(tensor(np.repeat(checks[..., None], 3, 2).astype(np.uint8)))[0]
    density = np.log10(256) - np.log10(201)
    spread = (np.log10(256) - density) / 2  # of two values, the mean of which is taken away
    assert np.exp(fine[9]) - 1e-3 == pytest.approx(spread, rel=0.01)
    assert fine[10:] == pytest.approx(np.log(1e-3), abs=0.05)  # nothing is left for the coarser octaves


def test_strange_pictures_are_caught_and_ordinary_ones_not(looks):
    ordinary = tissue(4321)
    assert looks.distance(tensor(ordinary)) <= looks.high
    grey = np.repeat(ordinary.mean(2, keepdims=True), 3, 2).astype(np.uint8)
    for strange in (grey, ordinary[..., [1, 0, 2]], np.full_like(ordinary, 243)):
        assert looks.distance(tensor(strange)) > looks.high


def test_few_tiles_say_nothing():
    assert measure([look(tensor(tissue(0)))] * 7) is None
    assert Looks.from_tensors({}) is None


def test_through_a_model_file(looks, tmp_path):
    path = tmp_path / "model.safetensors"
    weights, bank = toys.toy_painter().state_dict(), Styles(toys.toy_bank()).tensors()
    write_model(path, toys.toy_info(), weights, bank, looks=looks.tensors())
    model = sian.load(path)
    style = model.encode(tissue(4321, 256))
    assert 0 <= style.quantile <= 1
    with pytest.warns(SianWarning, match="stain or sharpness is unlike all that the model saw"):
        strange = model.encode(tissue(4321, 256)[..., [1, 0, 2]].copy())
    assert strange.quantile >= 0.99
    assert model.style("kidney").quantile is None
