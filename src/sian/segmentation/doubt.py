"""Which nuclei a segmenter is not sure of: those whose inside does not stand out from what lies around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sian.networks.segnet import BACKGROUND
from sian.segmentation.instances import softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sian.segmentation.segmenter import Segmenter

RING = 2  # px around a nucleus that are compared with it
RIM = 3  # px around a doubtful one that are left out with it
LEAST = 0.5  # by so much the mean probability of nucleus must be higher inside than in the ring


def segment_with_doubt(segmenter: Segmenter, image: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """An image's nuclei, and the pixels of those that are doubtful.

    Args:
        segmenter: of either kind.
        image: (H, W, 3) uint8.

    Returns:
        (H, W) int32 instance mask with all nuclei, and (H, W) bool: doubtful ones and 3 px around them.
    """
    from sian.segmentation.instances import instances

    output, kind = segmenter.maps(image), segmenter.recipe.network.kind
    mask = instances(kind, output, segmenter.recipe.instances)
    return mask, doubtful(mask, _nuclear(output, kind))


def doubtful(mask: NDArray[np.int32], nuclear: NDArray[np.float32], least: float = LEAST) -> NDArray[np.bool_]:
    """The pixels of nuclei that stand out too little, and 3 px around them.

    Args:
        mask: (H, W) instance mask.
        nuclear: (H, W) probability of being nucleus.
        least: how much higher it must be inside than in a ring of 2 px, of those pixels that no nucleus owns.
    """
    from skimage.segmentation import expand_labels

    count = int(mask.max(initial=0)) + 1
    rings = np.where(mask > 0, 0, expand_labels(mask, RING))  # type: ignore[no-untyped-call]
    contrast = _means(mask, nuclear, count, 1.0) - _means(rings, nuclear, count, 0.0)  # enclosed by others: no ring
    doubted = np.where(contrast[mask] < least, mask, 0)
    doubted[mask == 0] = 0
    found: NDArray[np.bool_] = expand_labels(doubted, RIM) > 0  # type: ignore[no-untyped-call]
    return found


def _means(labels: NDArray[np.int32], values: NDArray[np.float32], count: int, empty: float) -> NDArray[np.float64]:
    """Each label's mean, `empty` for labels without a pixel."""
    sums = np.bincount(labels.ravel(), values.ravel(), count)
    sizes = np.bincount(labels.ravel(), minlength=count)
    means: NDArray[np.float64] = np.where(sizes > 0, sums / np.maximum(sizes, 1), empty)
    return means


def _nuclear(output: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    if kind == "unet":
        sure: NDArray[np.float32] = 1 / (1 + np.exp(-output[0]))
        return sure
    shares: NDArray[np.float32] = 1 - softmax(output)[BACKGROUND]
    return shares
