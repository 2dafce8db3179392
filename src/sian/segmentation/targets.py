"""What the segmenters learn of an instance mask: background, interior, border; and how rare each class is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sian.networks.segnet import BACKGROUND, BORDER, CLASSES, INTERIOR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

IGNORED = CLASSES  # a class of its own: pixels that no loss looks at, such as nuclei of doubtful outline
BORDER_PX = 2  # at 40x: nuclei that touch are parted by about 4 px of border, and the smallest keep an interior


def pixel_classes(mask: NDArray[Any], border_px: int = BORDER_PX) -> NDArray[np.uint8]:
    """Background 0, interior 1, border 2.

    Border is every nuclear pixel with a pixel of another nucleus or of background within `border_px`
    (Euclidean). What lies beyond the image is neither: a nucleus that the image cuts has no border there.

    Args:
        mask: (H, W) integer instance mask, 0 background.
        border_px: depth of the border.

    >>> pixel_classes(np.array([[0, 1, 1, 1, 2, 2, 2]]), border_px=1).tolist()
    [[0, 2, 1, 2, 2, 1, 1]]
    """
    border = np.zeros(mask.shape, np.bool_)
    reach = range(-border_px, border_px + 1)
    for down in reach:
        for right in reach:
            if 0 < down * down + right * right <= border_px * border_px:
                here, there = _shifted(mask.shape, down, right)
                border[here] |= mask[here] != mask[there]
    classes = np.where(border, BORDER, INTERIOR)
    return np.where(mask == 0, BACKGROUND, classes).astype(np.uint8)


def _shifted(shape: tuple[int, ...], down: int, right: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a pixel and its neighbour (down, right) of it are both inside: the pixels, the neighbours."""
    parts = [
        (slice(max(-step, 0), side - max(step, 0)), slice(max(step, 0), side - max(-step, 0)))
        for step, side in zip((down, right), shape, strict=True)
    ]
    return (parts[0][0], parts[1][0]), (parts[0][1], parts[1][1])


def class_weights(maps: Iterable[NDArray[np.uint8]], power: float) -> NDArray[np.float32]:
    """Weights of the classes: median frequency over the class' frequency, to a power (SegNet's paper: 1).

    Args:
        maps: class maps as of `pixel_classes`; ignored pixels do not count.
        power: 0 weighs all classes alike.

    Returns:
        (3,) float32; a class that never occurs weighs 1.
    """
    counts = np.sum([np.bincount(classes.ravel(), minlength=CLASSES)[:CLASSES] for classes in maps], 0)
    present = counts > 0
    weights = np.ones(CLASSES)
    weights[present] = (np.median(counts[present]) / counts[present]) ** power
    return weights.astype(np.float32)
