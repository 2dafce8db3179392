"""P, the direction mask: where the centroid of a pixel's nucleus lies, near or far (paper, section 3.2).

All comparisons are made in integers (n y - sum of y, not y - mean y), so that no rounding decides a class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sian.layout.layout import SECTORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sian.layout.pixels import NuclearPixels

# The sector of a direction whose (vertical, horizontal) parts have these signs, -1 for up and left, +1 for
# down and right; a part is 0 where the other one rules. No direction at all is sector 0.
_SECTOR_OF_SIGNS = np.array([[5, 6, 7], [4, 0, 0], [3, 2, 1]], np.uint8)

# 4 d^2 stays below 2^63 as long as the parts of n d stay within this.
_EXACT_IN_INT64 = 2**30


def direction_classes(pixels: NuclearPixels) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Class of P for each nuclear pixel, 1..16, and whether the pixel is the centroid itself.

    Args:
        pixels: N nuclear pixels.

    Returns:
        (N,) classes and (N,) centre flags.
    """
    down, right = _towards_centroid(pixels)
    squared = down * down + right * right  # (n d)^2, exact
    largest = pixels.spread(pixels.reduce(np.maximum, squared))
    far = 4 * squared > largest
    classes = 1 + _sector(down, right) + np.where(far, np.uint8(SECTORS), np.uint8(0))
    return classes.astype(np.uint8), (squared == 0).astype(np.bool_)


def _towards_centroid(pixels: NuclearPixels) -> tuple[NDArray[Any], NDArray[Any]]:
    """N times the vector from each pixel to its nucleus' centroid, N its pixels, in exact integers."""
    down = pixels.spread(pixels.reduce(np.add, pixels.y)) - pixels.spread(pixels.count) * pixels.y
    right = pixels.spread(pixels.reduce(np.add, pixels.x)) - pixels.spread(pixels.count) * pixels.x
    if len(down) and max(np.abs(down).max(), np.abs(right).max()) > _EXACT_IN_INT64:
        return down.astype(object), right.astype(object)
    return down, right


def _sector(down: NDArray[Any], right: NDArray[Any]) -> NDArray[np.uint8]:
    """The eighth of the circle that a direction points into: floor(8 t / 2 pi + 1/2) mod 8 without rounding.

    Sectors part at 22.5 degrees, whose tangent is sqrt(2) - 1: a direction is horizontal when
    |down| < (sqrt(2) - 1) |right|, that is (|down| + |right|)^2 < 2 right^2. Equality can't happen, since
    sqrt(2) is irrational.
    """
    both = (np.abs(down) + np.abs(right)) ** 2
    horizontal = both < 2 * right * right
    vertical = both < 2 * down * down
    row = np.where(horizontal, 0, np.sign(down)).astype(np.int8) + 1
    column = np.where(vertical, 0, np.sign(right)).astype(np.int8) + 1
    sector: NDArray[np.uint8] = _SECTOR_OF_SIGNS[row, column]
    return sector
