"""Structural similarity of two images (Wang et al. 2004), with the parameters of the original.

Gaussian window 11 x 11 with sigma 1.5, population covariance, K1 = 0.01, K2 = 0.03, dynamic range 255; each
channel on its own, then averaged; only where the window lies inside the image. The same numbers as
scikit-image's with `gaussian_weights=True, sigma=1.5, use_sample_covariance=False`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput
from sian.evaluation.means import Mean, mean_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sian.evaluation.arrays import Floats, Image

RADIUS = 5  # an 11 x 11 window
SIGMA = 1.5
DYNAMIC_RANGE = 255.0
C1 = (0.01 * DYNAMIC_RANGE) ** 2
C2 = (0.03 * DYNAMIC_RANGE) ** 2


def ssim(a: Image, b: Image) -> float:
    """Structural similarity of two images, in [-1, 1].

    Args:
        a: (H, W, 3) uint8, at least 11 x 11; (H, W) is taken as one channel.
        b: the same size.

    Raises:
        BadInput: not uint8, different sizes, or smaller than the window.

    >>> image = np.arange(768, dtype=np.uint32).astype(np.uint8).reshape(16, 16, 3)
    >>> ssim(image, image)
    1.0
    """
    a, b = _check(a, "first image"), _check(b, "second image")
    if a.shape != b.shape:
        raise BadInput(f"second image: found {b.shape}, expected {a.shape} as the first has; pair images of one size.")
    channels = [_map(x, y).mean() for x, y in zip(_channels(a), _channels(b), strict=True)]
    return float(np.mean(channels))


def _check(image: Image, name: str) -> Image:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise BadInput(f"{name}: expected (H, W, 3) uint8, found {image.shape} {image.dtype}; convert it first.")
    if min(image.shape[:2]) <= 2 * RADIUS:
        raise BadInput(
            f"{name}: found {image.shape[0]} x {image.shape[1]} pixels, expected at least 11 x 11; use larger images."
        )
    return image


def _channels(image: Image) -> list[Floats]:
    image = image[..., None] if image.ndim == 2 else image
    return [np.ascontiguousarray(image[..., c], np.float64) for c in range(image.shape[2])]


def _map(x: Floats, y: Floats) -> Floats:
    """Local similarity at every place where the window fits: (H - 10, W - 10)."""
    mean_x, mean_y, squares, product = (_blur(z) for z in (x, y, x * x + y * y, x * y))
    means = mean_x * mean_y
    mean_squares = mean_x * mean_x + mean_y * mean_y
    covariance = product - means
    variances = squares - mean_squares  # of both images: the formula needs no more than their sum
    similarity: Floats = (2 * means + C1) * (2 * covariance + C2) / ((mean_squares + C1) * (variances + C2))
    return similarity


def _blur(x: Floats) -> Floats:
    """Gaussian means where the window fits: one pass along each axis."""
    return _blur_rows(_blur_rows(x).T).T


def _blur_rows(x: Floats) -> Floats:
    """Down the columns; what lies at equal distance is added before it is weighed."""
    rows = len(x) - 2 * RADIUS
    weights = np.exp(-0.5 * (np.arange(RADIUS + 1) / SIGMA) ** 2)
    weights /= weights[0] + 2 * weights[1:].sum()
    total: Floats = x[RADIUS : RADIUS + rows] * weights[0]
    for offset in range(1, RADIUS + 1):
        pair: NDArray[Any] = x[RADIUS - offset : RADIUS - offset + rows] + x[RADIUS + offset : RADIUS + offset + rows]
        pair *= weights[offset]
        total += pair
    return total


class SsimMetric:
    """Structural similarity accumulated over pairs: the mean over images."""

    def __init__(self) -> None:
        self.scores: list[float] = []

    def update(self, real: Image, fake: Image) -> SsimMetric:
        """Add one pair."""
        self.scores.append(ssim(real, fake))
        return self

    def compute(self) -> Mean:
        """The mean over pairs."""
        return mean_of(self.scores)
