"""SSIM against its plain definition and torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sian.errors import BadInput
from sian.evaluation import SsimMetric, ssim


def image_pair(seed: int, height: int = 40, width: int = 56) -> tuple[np.ndarray, np.ndarray]:
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.uniform(0, 255, (height, width, 3)), (2, 2, 0))
    other = np.clip(smooth * rng.uniform(0.5, 1.2) + rng.normal(0, 10, smooth.shape), 0, 255)
    return smooth.astype(np.uint8), other.astype(np.uint8)


def by_definition(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al. 2004, equations 6 and 13 to 17, one channel and one window of 11 x 11 at a time."""
    line = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weights = np.outer(line, line) / line.sum() ** 2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    scores = []
    for channel in range(a.shape[2]):
        windows = (np.lib.stride_tricks.sliding_window_view(z[..., channel].astype(float), (11, 11)) for z in (a, b))
        for x, y in zip(*(w.reshape(-1, 11, 11) for w in windows), strict=True):
            mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
            of_x, of_y = (weights * (x - mean_x) ** 2).sum(), (weights * (y - mean_y) ** 2).sum()
            both = (weights * (x - mean_x) * (y - mean_y)).sum()
            light = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
            scores.append(light * (2 * both + c2) / (of_x + of_y + c2))
    return float(np.mean(scores))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(11, 20), st.integers(11, 20))
def test_equals_the_definition(seed: int, height: int, width: int) -> None:
    a, b = image_pair(seed, height, width)
    assert ssim(a, b) == pytest.approx(by_definition(a, b), abs=1e-10)


def test_equals_torchmetrics_where_the_window_fits() -> None:
    # torchmetrics 1.9 averages over mirrored borders too; its map inside them is the definition's
    from torchmetrics.functional.image import structural_similarity_index_measure

    a, b = image_pair(3)
    _, similarity = structural_similarity_index_measure(
        *(torch.from_numpy(x.transpose(2, 0, 1).astype(np.float64))[None] for x in (a, b)),
        data_range=255.0,
        return_full_image=True,
    )
    assert ssim(a, b) == pytest.approx(float(similarity[..., 5:-5, 5:-5].mean()), abs=1e-10)


def test_constant_images_by_hand() -> None:
    a, b = np.full((16, 16, 3), 100, np.uint8), np.full((16, 16, 3), 200, np.uint8)
    c1 = 2.55**2
    assert ssim(a, b) == pytest.approx((2 * 100 * 200 + c1) / (100**2 + 200**2 + c1))


def test_symmetric_and_one_for_equal_images() -> None:
    a, b = image_pair(5)
    assert ssim(a, b) == pytest.approx(ssim(b, a))
    assert ssim(a, a) == 1
    assert ssim(a[..., 0], a[..., 0]) == 1


def test_metric_is_the_mean_over_pairs() -> None:
    pairs = [image_pair(0), image_pair(1)]
    metric = SsimMetric()
    for a, b in pairs:
        metric.update(a, b)
    assert metric.compute().value == pytest.approx(np.mean([ssim(a, b) for a, b in pairs]))
    assert metric.compute().images == 2


@pytest.mark.parametrize(
    ("b", "words"),
    [
        (np.zeros((16, 17, 3), np.uint8), "expected .16, 16, 3."),
        (np.zeros((16, 16, 3)), "float64"),
        (np.zeros((10, 16, 3), np.uint8), "10 x 16 pixels, expected at least 11 x 11"),
    ],
)
def test_bad_images(b: np.ndarray, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        ssim(np.zeros((16, 16, 3), np.uint8), b)
