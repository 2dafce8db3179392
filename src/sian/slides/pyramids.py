"""The sizes of a pyramid's levels and how one is made of the other, for slides that are written tile by tile."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALLEST = 256  # px; no level is added once the longer side is this short, as in `sian.data.formats.pyramid`


def level_shapes(shape: tuple[int, int], smallest: int = SMALLEST) -> list[tuple[int, int]]:
    """Height and width of each level: halves, an odd last row or column left out.

    >>> level_shapes((1001, 600))
    [(1001, 600), (500, 300), (250, 150)]
    """
    shapes = [shape]
    while max(shapes[-1]) > min(smallest, SMALLEST) and min(shapes[-1]) > 1:
        shapes.append((shapes[-1][0] // 2, shapes[-1][1] // 2))
    return shapes


def levels_within(side: int, chunk: int, count: int) -> int:
    """How many levels of a tile consist of whole chunks of their own.

    >>> levels_within(2048, 512, 9)
    3
    """
    within = 0
    while within < count and side % chunk == 0 and side >= chunk:
        within, side = within + 1, side // 2
    return within


def halved(level: NDArray[Any]) -> NDArray[Any]:
    """A level at half its size: means of 2 x 2 px of a picture, rounded; every second px of labels."""
    height, width = (side // 2 * 2 for side in level.shape[:2])
    if level.ndim == 2:
        every_second: NDArray[Any] = level[:height:2, :width:2]
        return every_second
    blocks = level[:height, :width].reshape(height // 2, 2, width // 2, 2, level.shape[2]).astype(np.uint16)
    means: NDArray[Any] = ((blocks.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)
    return means
