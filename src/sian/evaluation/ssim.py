"""Structural similarity of two images (Wang et al. 2004), with the parameters of the original.

Gaussian window 11 x 11 with sigma 1.5, population covariance, K1 = 0.01, K2 = 0.03, dynamic range 255; each
channel on its own, then averaged; only where the window lies inside the image. scikit-image computes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sian.errors import BadInput
from sian.evaluation.means import Mean, mean_of

if TYPE_CHECKING:
    from sian.evaluation.arrays import Image

RADIUS = 5  # an 11 x 11 window
DYNAMIC_RANGE = 255.0
_ORIGINAL = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "K1": 0.01, "K2": 0.03}


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
        raise BadInput(f"second image: found {b.shape}, expected {a.shape} as the first has; pair images of one size")
    from skimage.metrics import structural_similarity

    channels = None if a.ndim == 2 else 2
    score = structural_similarity(a, b, channel_axis=channels, data_range=DYNAMIC_RANGE, **_ORIGINAL)  # type: ignore[no-untyped-call]
    return float(score)


def _check(image: Image, name: str) -> Image:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise BadInput(f"{name}: expected (H, W, 3) uint8, found {image.shape} {image.dtype}; convert it first")
    if min(image.shape[:2]) <= 2 * RADIUS:
        raise BadInput(
            f"{name}: found {image.shape[0]} x {image.shape[1]} pixels, expected at least 11 x 11; use larger images"
        )
    return image


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
