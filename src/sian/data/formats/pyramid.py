"""Smaller and smaller copies of a picture and its mask, for formats that are looked at in viewers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

SMALLEST = 256  # pixels; no level is added once the longer side is this short


def picture_levels(image: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """The picture and its halves: means of 2 x 2 pixels, rounded; an odd last row or column is left out."""
    levels = [image]
    while max(levels[-1].shape[:2]) > SMALLEST and min(levels[-1].shape[:2]) > 1:
        height, width = (side // 2 * 2 for side in levels[-1].shape[:2])
        blocks = levels[-1][:height, :width].reshape(height // 2, 2, width // 2, 2, 3).astype(np.uint16)
        levels.append(((blocks.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8))
    return levels


def mask_levels(mask: npt.NDArray[np.integer]) -> list[npt.NDArray[np.integer]]:
    """The mask and its halves: every second pixel, so that an id stays an id."""
    levels = [mask]
    while max(levels[-1].shape) > SMALLEST and min(levels[-1].shape) > 1:
        height, width = (side // 2 * 2 for side in levels[-1].shape)
        levels.append(levels[-1][:height:2, :width:2])
    return levels
