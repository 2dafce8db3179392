"""A layout for the eye: M, P and Q side by side, as notebooks show it and as docs/method.md has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

GAP = 4  # px of white between the masks
FAR = 0.55  # how much darker pixels far from their centroid are than those near it


def layout_picture(
    semantic: NDArray[np.bool_], direction: NDArray[np.uint8], distance: NDArray[np.float32], sectors: int
) -> NDArray[np.uint8]:
    """M in white, P in a colour a direction (far from the centroid darker), Q in grey, side by side.

    Args:
        semantic: (H, W); M.
        direction: (H, W) class numbers of P.
        distance: (H, W) in [0, 1]; Q.
        sectors: how many directions P tells apart.

    Returns:
        (H, 3 W + 8, 3) uint8.
    """
    hue = (direction.astype(np.int64) - 1) % sectors / sectors
    channels = [(np.abs((hue * 6 + shift) % 6 - 3) - 1).clip(0, 1) for shift in (0, 4, 2)]
    near = np.where(direction > sectors, FAR, 1.0)[..., None]
    coloured = np.where(direction[..., None] > 0, near * np.stack(channels, -1), 0)
    white, grey = (one[..., None] * np.ones(3) for one in (semantic, distance))
    gap = np.ones((len(semantic), GAP, 3))
    return np.asarray((255 * np.concatenate([white, gap, coloured, gap, grey], 1)).round(), np.uint8)
