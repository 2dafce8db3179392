"""Kernel distance between two sets of features (Binkowski et al. 2018), with its spread over subsets.

The squared maximum mean discrepancy under the kernel (x.y / d + 1)^3, by the unbiased estimator, over random
subsets drawn without replacement. Unlike FID it is unbiased at any n, so small sets can be compared; it can
come out below 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sian import seeds
from sian.errors import BadInput
from sian.evaluation.features import as_features
from sian.evaluation.two_sides import TwoSides

if TYPE_CHECKING:
    from sian.evaluation.arrays import Features, Floats
    from sian.evaluation.features import Featurable, InceptionFeatures


class KidScore(NamedTuple):
    """Mean and standard deviation of the kernel distance over subsets."""

    mean: float
    std: float


def kid(
    real: Featurable,
    fake: Featurable,
    subset_size: int = 50,
    subsets: int = 100,
    seed: int = 0,
    extractor: InceptionFeatures | None = None,
) -> KidScore:
    """Kernel distance between two sets of images or of their features.

    Args:
        real: (n, d) floating features, or an iterable of (H, W, 3) uint8 images.
        fake: the same; n may differ, d may not.
        subset_size: images of each side in a subset; at most the smaller n.
        subsets: how many subsets are drawn.
        seed: which subsets; the same seed gives the same number.
        extractor: makes features of images; by default the FID Inception, looked up among the weights.

    Returns:
        Mean and standard deviation (over subsets, divided by their number) of the squared discrepancy.

    Raises:
        BadInput: fewer rows than a subset needs, features that are not finite or of different length.
        MissingResource: images were given and the Inception weights are not on this machine.

    >>> x = np.eye(4)
    >>> kid(x, x[::-1], subset_size=4, subsets=2).std
    0.0
    """
    x, y = as_features(real, "real", extractor), as_features(fake, "fake", extractor)
    if x.shape[1] != y.shape[1]:
        raise BadInput(
            f"fake features: found {y.shape[1]} numbers an image, expected {x.shape[1]} "
            "as the real ones have; make both with one extractor"
        )
    if not 2 <= subset_size <= min(len(x), len(y)) or subsets < 1:
        raise BadInput(
            f"subset_size: found {subset_size} (and {subsets} subsets), expected 2 to "
            f"{min(len(x), len(y))}, the smaller number of images; try a smaller one"
        )
    rng = seeds.generator(seed, "kid")
    values = [_discrepancy(_subset(x, subset_size, rng), _subset(y, subset_size, rng)) for _ in range(subsets)]
    return KidScore(float(np.mean(values)), float(np.std(values)))


def _subset(features: Floats, size: int, rng: np.random.Generator) -> Floats:
    chosen = np.arange(size) if size == len(features) else rng.choice(len(features), size, replace=False)
    subset: Floats = features[chosen]
    return subset


def _discrepancy(x: Floats, y: Floats) -> float:
    """The unbiased estimate of the squared maximum mean discrepancy of two samples of one size."""
    m = len(x)
    within = _kernel(x, x), _kernel(y, y)
    pairs = sum(float(k.sum() - np.trace(k)) for k in within) / (m * (m - 1))
    return pairs - 2 * float(_kernel(x, y).mean())


def discrepancy_parts(real: Features, fake: Features) -> tuple[float, list[float]]:
    """The unbiased squared discrepancy of two whole samples, and each fake row's part in it.

    The parts of two fakes of the same masks differ row by row; twice the standard error of the mean of that difference
    is the standard error of the difference of the two distances, to first order (Hoeffding 1948).

    Args:
        real: (n, d).
        fake: (m, d); n and m at least 2.

    Returns:
        The distance, and (m,): a row's mean kernel with the other fakes less that with the real ones.
    """
    x, y = as_features(real, "real"), as_features(fake, "fake")
    of_real, of_fake, across = _kernel(x, x), _kernel(y, y), _kernel(x, y)
    among = (of_fake.sum(1) - np.diag(of_fake)) / (len(y) - 1)
    within = (of_real.sum() - np.trace(of_real)) / (len(x) * (len(x) - 1))
    distance = float(within + among.mean() - 2 * across.mean())
    return distance, [float(part) for part in among - across.mean(0)]


def _kernel(x: Floats, y: Floats) -> Floats:
    kernel: Floats = (x @ y.T / x.shape[1] + 1) ** 3
    return kernel


class KidMetric(TwoSides):
    """Kernel distance accumulated over batches of features or images."""

    def __init__(
        self,
        subset_size: int = 50,
        subsets: int = 100,
        seed: int = 0,
        extractor: InceptionFeatures | None = None,
    ) -> None:
        self.subset_size, self.subsets, self.seed = subset_size, subsets, seed
        super().__init__(extractor)

    def compute(self) -> KidScore:
        """The distance between everything added so far."""
        return kid(*self.both(), self.subset_size, self.subsets, self.seed)
