"""FID and KID against torchmetrics (given our feature module) and the definition with a matrix square
root."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from sian.errors import BadInput
from sian.evaluation import FidMetric, KidMetric, fid, kid
from sian.evaluation.features import InceptionFeatures


class Pooled(torch.nn.Module):
    """A feature module small enough for a test: 4 x 4 pooled colours, 48 numbers."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(images.float() / 255, 4).flatten(1)


def sample(seed: int, n: int, d: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + shift


def by_definition(x: np.ndarray, y: np.ndarray) -> float:
    s, t = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    shift = x.mean(0) - y.mean(0)
    return float(shift @ shift + np.trace(s + t - 2 * np.real(sqrtm(s @ t))))


@pytest.mark.parametrize(("n", "m", "d"), [(100, 80, 5), (40, 300, 12), (12, 500, 10)])
def test_fid_equals_the_definition(n: int, m: int, d: int) -> None:
    x, y = sample(0, n, d), sample(1, m, d, 0.5)
    assert fid(x, y) == pytest.approx(by_definition(x, y), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(20, 30), (20, 200), (200, 20)])
def test_fid_of_few_images_equals_the_definition_in_their_span(n: int, m: int) -> None:
    # the definition on rank-deficient covariances needs eigenvalues; these come from a general eigensolver
    x, y = sample(0, n, 64), sample(1, m, 64, 0.1)
    s, t = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    roots = np.sqrt(np.clip(np.linalg.eigvals(s @ t).real, 0, None)).sum()
    shift = x.mean(0) - y.mean(0)
    assert fid(x, y) == pytest.approx(shift @ shift + np.trace(s) + np.trace(t) - 2 * roots, rel=1e-6)


def test_fid_equals_torchmetrics() -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    real, fake = images(0, 90), images(1, 70)
    theirs = FrechetInceptionDistance(feature=Pooled(), input_img_size=(3, 20, 24))
    theirs.set_dtype(torch.float64)
    theirs.update(channels_first(real), real=True)
    theirs.update(channels_first(fake), real=False)
    ours = fid(real, fake, InceptionFeatures(Pooled()))
    assert ours == pytest.approx(float(theirs.compute()), rel=1e-4, abs=1e-6)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`:UserWarning")
def test_kid_equals_torchmetrics() -> None:
    from torchmetrics.image.kid import KernelInceptionDistance

    real, fake = images(0, 30), images(1, 30) // 2
    # subsets of all images: which images a subset draws is the only freedom
    theirs = KernelInceptionDistance(feature=Pooled(), subset_size=30, subsets=2)
    theirs.update(channels_first(real), real=True)
    theirs.update(channels_first(fake), real=False)
    mean, std = theirs.compute()
    ours = kid(real, fake, subset_size=30, subsets=2, extractor=InceptionFeatures(Pooled()))
    assert ours.mean == pytest.approx(float(mean), rel=1e-4)
    assert ours.std == pytest.approx(float(std), abs=1e-6)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`:UserWarning")
def test_kid_over_subsets_agrees_with_torchmetrics_within_its_error() -> None:
    from torchmetrics.image.kid import KernelInceptionDistance

    torch.manual_seed(0)
    real, fake = images(0, 60), images(1, 60) // 2
    theirs = KernelInceptionDistance(feature=Pooled(), subset_size=20, subsets=200)
    theirs.update(channels_first(real), real=True)
    theirs.update(channels_first(fake), real=False)
    mean, std = (float(v) for v in theirs.compute())
    ours = kid(real, fake, subset_size=20, subsets=200, extractor=InceptionFeatures(Pooled()))
    assert ours.mean == pytest.approx(mean, abs=4 * std / np.sqrt(200))
    assert ours.std == pytest.approx(std, rel=0.3)


def test_kid_by_hand() -> None:
    # one-dimensional features x = (0, 1), y = (1, 1): k(a, b) = (ab + 1)^3
    x, y = np.array([[0.0], [1.0]]), np.array([[1.0], [1.0]])
    assert kid(x, y, subset_size=2, subsets=1).mean == pytest.approx(1 + 8 - 2 * (1 + 1 + 8 + 8) / 4)


def test_kid_draws_no_image_twice() -> None:
    """Each value is that of one of the nine pairs of subsets; an image drawn twice would give another."""
    x, y = sample(0, 3, 2), sample(1, 3, 2)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 2 + 1) ** 3)

    def by_hand(a: np.ndarray, b: np.ndarray) -> float:
        between = np.mean([kernel(one, other) for one in a for other in b])
        return kernel(a[0], a[1]) + kernel(b[0], b[1]) - 2 * between

    pairs = [[0, 1], [0, 2], [1, 2]]
    possible = np.array([by_hand(x[list(a)], y[list(b)]) for a in pairs for b in pairs])
    found = [kid(x, y, subset_size=2, subsets=1, seed=seed).mean for seed in range(40)]
    nearest = [int(np.abs(possible - value).argmin()) for value in found]
    assert found == pytest.approx(possible[nearest])
    assert len(set(nearest)) > 5


def test_kid_is_unbiased_where_fid_is_not() -> None:
    x, y = sample(0, 400, 6)[:200], sample(0, 400, 6)[200:]
    score = kid(x, y, subset_size=20, subsets=400)
    assert abs(score.mean) < 4 * score.std / np.sqrt(400) * np.sqrt(20)
    assert fid(x[:20], y[:20]) > fid(x, y) > 0


def test_kid_is_seeded() -> None:
    x, y = sample(0, 40, 5), sample(1, 40, 5)
    first = kid(x, y, subset_size=10, subsets=5, seed=1)
    assert kid(x, y, subset_size=10, subsets=5, seed=1) == first
    assert kid(x, y, subset_size=10, subsets=5, seed=2) != first


@settings(max_examples=25)
@given(st.integers(0, 99), st.integers(2, 40), st.integers(1, 20), st.floats(-5, 5))
def test_fid_of_a_shift_is_its_square(seed: int, n: int, d: int, shift: float) -> None:
    x = np.random.default_rng(seed).normal(size=(n, d))
    assert fid(x, x) == pytest.approx(0, abs=1e-9)
    assert fid(x, x + shift) == pytest.approx(d * shift**2, rel=1e-6, abs=1e-9)


@settings(max_examples=25)
@given(st.integers(0, 99), st.integers(2, 30), st.integers(2, 30), st.integers(1, 12))
def test_fid_is_symmetric_real_and_blind_to_order(seed: int, n: int, m: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    value = fid(x, y)
    assert isinstance(value, float)
    assert value >= 0
    assert fid(y, x) == pytest.approx(value)
    assert fid(x[rng.permutation(n)], y) == pytest.approx(value)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    assert fid(x @ turn, y @ turn) == pytest.approx(value)


def test_metrics_accumulate_to_the_functions() -> None:
    x, y = sample(0, 60, 5), sample(1, 70, 5)
    frechet, kernel = FidMetric(), KidMetric(subset_size=20)
    for metric in (frechet, kernel):
        for part in np.array_split(x, 7):
            metric.update(part, real=True)
        for part in np.array_split(y, 70):  # one row at a time
            metric.update(part, real=False)
    assert frechet.compute() == pytest.approx(fid(x, y))
    assert kernel.compute() == pytest.approx(kid(x, y, subset_size=20))


@pytest.mark.parametrize("metric", [FidMetric, KidMetric])
def test_a_side_without_features_is_refused(metric) -> None:
    with pytest.raises(BadInput, match="fake features: found none"):
        metric().update(np.ones((3, 2)), real=True).compute()


@pytest.mark.parametrize("distance", [fid, kid])
@pytest.mark.parametrize(
    ("fake", "words"),
    [
        (np.zeros((1, 4)), "found 1, expected at least 2"),
        (np.full((60, 4), np.nan), "not finite"),
        (np.zeros((60, 5)), "found 5 numbers an image, expected 4"),
    ],
)
def test_bad_features(distance, fake: np.ndarray, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        distance(np.zeros((60, 4)), fake)


def test_a_subset_larger_than_the_set_is_refused() -> None:
    with pytest.raises(BadInput, match=r"found 50 .*expected 2 to 20"):
        kid(np.zeros((20, 3)), np.zeros((30, 3)))


def images(seed: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    tint = rng.uniform(0.5, 1, (n, 1, 1, 3))
    return (rng.integers(0, 256, (n, 20, 24, 3)) * tint).astype(np.uint8)


def channels_first(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
