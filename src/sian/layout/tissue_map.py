"""What lies between the nuclei, coarsely: empty, dense or pale, and which way fibres run. Not in the paper.

A tissue map is small and smooth, one value for 16 px, so that a person can draw one as well. It never carries the
stain: everything in it is relative to the image's own optical densities: to its white, to the median of its nuclei,
and to the quartiles of the tissue between them. The style still decides every colour.

`tissue_of_image` makes it of an image. Made of the whole, then cut with the layout (`Layout.window`): windows agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELL = 16  # px of the image for one value
TISSUE_VALUES = ("empty", "density", "fibres_cos", "fibres_sin")
TISSUE_LAYERS = 1 + len(TISSUE_VALUES)  # of a layout: whether the map says anything, then its values
FULL = 127  # int8 that stands for 1


def tissue_layers(
    values: NDArray[Any], shape: tuple[int, int], part: tuple[int, int, int, int] | None = None
) -> NDArray[np.int8]:
    """A map as a layout holds it: a value a pixel, between those of the map linear.

    Args:
        values: (h, w, 4) as `tissue_map` returns it, or drawn by hand; NaN where nothing is said.
        shape: H and W of the layout, px; the map has a value for 16 px, or one a pixel.
        part: top, left, height and width of what is wanted; all of it if None.

    Returns:
        (H, W, 5) int8 of the part: 127 where the map says anything, then its values, 127 standing for 1.

    Raises:
        BadInput: a map of another size, or values out of their range.
    """
    values = check_map(values, shape)
    top, left, height, width = part or (0, 0, *shape)
    is_coarse = values.shape[:2] != shape
    if not is_coarse:
        known, plain = known_values(values[top : top + height, left : left + width])
    else:
        rows, columns = _cells_of(top, height, values.shape[0]), _cells_of(left, width, values.shape[1])
        known, plain = known_values(values[rows, columns])
        first, start = top - CELL * rows.start, left - CELL * columns.start
        places = ((first, first + height), (start, start + width))
        weight = _enlarged(known[..., None].astype(np.float32), places)
        plain = _enlarged(plain.astype(np.float32), places) / np.maximum(weight, 1e-3)
        known = weight[..., 0] > 0.5
    layers = np.concatenate([known[..., None], np.where(known[..., None], plain, 0)], 2)
    whole: NDArray[np.int8] = np.round(FULL * np.clip(layers, -1, 1)).astype(np.int8)
    return whole


def check_map(values: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Values that have the shape of a map, as an array; what they are is looked at where they are used.

    Raises:
        BadInput: a map of another size, or no floating-point numbers.
    """
    values = np.asarray(values)
    expected = (-(-shape[0] // CELL), -(-shape[1] // CELL), len(TISSUE_VALUES))
    if values.shape not in (expected, (*shape, len(TISSUE_VALUES))) or not np.issubdtype(values.dtype, np.floating):
        raise BadInput(
            f"tissue map: expected {expected} floating-point numbers, one for {CELL} px of {shape[0]} x {shape[1]} px, "
            f"found {values.shape} {values.dtype}; make one with sian.tissue_map(image, mask)"
        )
    return values


def known_values(values: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """Where a part of a map says something, and its values, 0 elsewhere.

    Raises:
        BadInput: values out of their range.
    """
    known: NDArray[np.bool_] = np.isfinite(values).all(2)
    plain: NDArray[Any] = np.where(known[..., None], values, 0)
    if np.abs(plain).max(initial=0) > 1.001 or plain[..., 0].min(initial=0) < 0:
        raise BadInput(
            f"tissue map: expected values from -1 to 1, and from 0 for what is empty, found {plain.min():.3g} to "
            f"{plain.max():.3g}; NaN stands for nothing said"
        )
    return known, plain


def _cells_of(first: int, px: int, count: int) -> slice:
    """The cells that decide so many px from the first one on: their own, and one beside them."""
    return slice(max(0, first // CELL - 1), min(count, (first + px - 1) // CELL + 2))


def turned_tissue(layers: NDArray[np.int8], quarter_turns: int, flip: bool) -> NDArray[np.int8]:
    """The directions of layers whose pixels were already flipped (if asked) and turned, turned along.

    A mirror takes an angle t to pi - t, so twice the angle to its negative; a quarter turn adds pi to twice the angle.
    """
    turned = layers.copy()
    if flip:
        turned[..., 4] *= -1
    if quarter_turns % 2:
        turned[..., 3:5] *= -1
    return turned


def _enlarged(values: NDArray[np.float32], places: tuple[tuple[int, int], tuple[int, int]]) -> NDArray[np.float32]:
    """(h, w, c) at rows and columns of px, linear between the cells' middles, and beyond the outer ones as there."""
    for axis, (start, end) in enumerate(places):
        place = (np.arange(start, end) + 0.5) / CELL - 0.5
        first = np.clip(np.floor(place).astype(int), 0, values.shape[axis] - 1)
        second = np.minimum(first + 1, values.shape[axis] - 1)
        part = np.clip(place - first, 0, 1).astype(np.float32)
        part = part[:, None, None] if axis == 0 else part[None, :, None]
        values = (1 - part) * values.take(first, axis) + part * values.take(second, axis)
    return values
