"""What lies between the nuclei, coarsely: empty, dense or pale, and which way fibres run. Not in the paper.

A tissue map is small and smooth, one value for 16 px, so that a person can draw one as well. It never carries the
stain: everything in it is relative to the image's own optical densities: to its white, to the median of its nuclei,
and to the quartiles of the tissue between them. The style still decides every colour.

Made of a whole image, then cut with the layout (`Layout.window`): windows of one tile agree.
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

WHITE = 0.2  # optical density (natural logarithm); white is the palest 1/1000 of an image but no darker than this
PALEST = 0.001
EMPTY, NOT_EMPTY = 0.12, 0.28  # of the way from white to the nuclei's median; between them it is partly empty
SPREAD = 1.5  # interquartile ranges of the tissue's density from the median that stand for 1
AROUND_NUCLEI = 2  # px that are left out beside them
BLUR, SMOOTH, SMOOTH_FIBRES = 1.0, 8.0, 12.0  # px, deviations of Gaussians: of the pixels, of the map
FAR = 32.0  # px; the same of the surroundings that a place without any tissue of its own is guessed from
GUESS = 0.02  # weight of the far surroundings


def tissue_map(image: NDArray[np.uint8], mask: NDArray[Any]) -> NDArray[np.float32]:
    """Describe what lies between the nuclei of an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) integer, 0 is background; what is above is left out.

    Returns:
        (ceil(H / 16), ceil(W / 16), 4) float32, the values of `TISSUE_VALUES`: how much is empty (lumen, fat, tears,
        glass), 0 to 1; how dense the rest is, -1 (palest) over 0 (the image's median) to 1; and twice the angle of
        its fibres as cosine and sine, each -1 to 1 and together no longer than 1: 0 for no direction. Angles count
        from the x axis to the y axis, which points down. In what is empty or nuclear, density and fibres are those
        of the surroundings.

    Raises:
        BadInput: not an RGB image, or a mask of another size.

    >>> white = np.full((64, 48, 3), 255, np.uint8)
    >>> tissue_map(white, np.zeros((64, 48), int))[..., 0].round(1).tolist()[0]
    [1.0, 1.0, 1.0]
    """
    mask = np.asarray(mask)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or mask.shape != image.shape[:2]:
        raise BadInput(
            f"tissue map: expected an image of (H, W, 3) uint8 and its mask of (H, W), found {image.shape} "
            f"{image.dtype} and {mask.shape}; give the image that the mask was drawn on"
        )
    height, width = mask.shape
    rows, columns = -(-height // CELL), -(-width // CELL)
    more = ((0, rows * CELL - height), (0, columns * CELL - width))
    density = _halved(np.pad(_density(image), more, "edge"))
    nuclei = _halved(np.pad((mask != 0).astype(np.float32), more, "edge"))
    return _described(density, nuclei)


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
    values = np.asarray(values)
    expected = (-(-shape[0] // CELL), -(-shape[1] // CELL), len(TISSUE_VALUES))
    if values.shape not in (expected, (*shape, len(TISSUE_VALUES))) or not np.issubdtype(values.dtype, np.floating):
        raise BadInput(
            f"tissue map: expected {expected} floating-point numbers, one for {CELL} px of {shape[0]} x {shape[1]} px, "
            f"found {values.shape} {values.dtype}; make one with sian.tissue_map(image, mask)"
        )
    top, left, height, width = part or (0, 0, *shape)
    is_coarse = values.shape[:2] != shape
    if not is_coarse:
        values = values[top : top + height, left : left + width]
    known = np.isfinite(values).all(2)
    plain = np.where(known[..., None], values, 0)
    if np.abs(plain).max(initial=0) > 1.001 or plain[..., 0].min(initial=0) < 0:
        raise BadInput(
            f"tissue map: expected values from -1 to 1, and from 0 for what is empty, found {plain.min():.3g} to "
            f"{plain.max():.3g}; NaN stands for nothing said"
        )
    if is_coarse:
        places = ((top, top + height), (left, left + width))
        weight = _enlarged(known[..., None].astype(np.float32), places)
        plain = _enlarged(plain.astype(np.float32), places) / np.maximum(weight, 1e-3)
        known = weight[..., 0] > 0.5
    layers = np.concatenate([known[..., None], np.where(known[..., None], plain, 0)], 2)
    whole: NDArray[np.int8] = np.round(FULL * np.clip(layers, -1, 1)).astype(np.int8)
    return whole


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


def _density(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Optical density, the mean of the three channels, (H, W)."""
    table = -np.log(np.maximum(np.arange(256), 1) / 255)
    density: NDArray[np.float32] = table.astype(np.float32)[image].mean(2)
    return density


def _halved(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of 2 x 2 px: nothing here is finer, and it saves three quarters of the time."""
    height, width = values.shape
    halved: NDArray[np.float32] = values.reshape(height // 2, 2, width // 2, 2).mean((1, 3))
    return halved


def _described(density: NDArray[np.float32], nuclei: NDArray[np.float32]) -> NDArray[np.float32]:
    """The map of a density and a share of nuclei at half of the image's size, sides multiples of 8."""
    from scipy import ndimage

    inside, near = nuclei > 0.5, ndimage.maximum_filter(nuclei, 1 + AROUND_NUCLEI) > 0
    if near.all():
        near = np.zeros_like(near)
    white = min(float(np.quantile(density, PALEST)), WHITE)
    dark = float(np.median(density[inside])) if inside.any() else float(np.quantile(density, 0.95))
    unit = max(dark - white, 0.05)
    smooth = ndimage.gaussian_filter(density, BLUR / 2)
    empty = np.clip((NOT_EMPTY - (smooth - white) / unit) / (NOT_EMPTY - EMPTY), 0, 1)
    seen = (~near).astype(np.float32)
    tissue = seen * (1 - empty)
    counted = smooth[tissue > 0.5] if (tissue > 0.5).any() else smooth
    low, middle, high = np.quantile(counted, [0.25, 0.5, 0.75])
    relative = np.clip((smooth - middle) / (SPREAD * max(high - low, 0.02)), -1, 1)
    along, across, slope = _fibres(smooth, tissue)
    share = _cells(empty, seen)
    values = [share, (1 - share) * _cells(relative, tissue), along / slope, across / slope]
    described: NDArray[np.float32] = np.stack(values, 2).astype(np.float32)
    return described


def _fibres(smooth: NDArray[np.float32], tissue: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """Twice the fibres' angle as cosine and sine, times the slope, and the slope: each a value a cell."""
    from scipy import ndimage

    down, right = ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1)
    clear = tissue * (ndimage.minimum_filter(tissue, 3) > 0)  # a slope beside a nucleus is the nucleus'
    energy = _cells(down**2 + right**2, clear, SMOOTH_FIBRES)
    typical = float(np.median(energy))
    # Fibres run across the slope.
    along, across = (_cells(slopes, clear, SMOOTH_FIBRES) for slopes in (down**2 - right**2, -2 * down * right))
    return along, across, energy + 0.25 * typical + 1e-6


def _cells(values: NDArray[np.float32], weight: NDArray[np.float32], deviation: float = SMOOTH) -> NDArray[np.float32]:
    """Weighted means around each cell's middle; where hardly anything has weight, of its farther surroundings."""
    from scipy import ndimage

    half = CELL // 2
    means = []
    for part in (values * weight, weight):
        near = ndimage.gaussian_filter(part, deviation / 2, mode="nearest")
        cells = part.reshape(part.shape[0] // half, half, part.shape[1] // half, half).mean((1, 3))
        means.append(_middles(near) + GUESS * ndimage.gaussian_filter(cells, FAR / CELL, mode="nearest"))
    mean: NDArray[np.float32] = means[0] / np.maximum(means[1], 1e-6)
    return mean


def _middles(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values at the middles of the cells: the mean of the four pixels there."""
    half, quarter = CELL // 2, CELL // 4
    parts = [values[y::half, x::half] for y in (quarter - 1, quarter) for x in (quarter - 1, quarter)]
    middles: NDArray[np.float32] = np.mean(parts, 0)
    return middles


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
