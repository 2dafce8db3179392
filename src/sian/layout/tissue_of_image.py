"""The tissue map of an image, in one piece or in parts of a slide: the same values, whatever the parts.

Three walks over the parts: how white and how dark the image is, how dense its tissue, then the map itself. What counts
over the whole image (quantiles) is counted in steps that are far finer than a map shows, so no walk keeps pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from sian.errors import BadInput
from sian.layout.tissue_map import CELL, TISSUE_VALUES

if TYPE_CHECKING:
    from numpy.typing import NDArray

WHITE = 0.2  # optical density (natural logarithm); white is the palest 1/1000 of an image but no darker than this
PALEST = 0.001
DARKEST = 0.95  # the share of an image without nuclei that is paler than what stands for them
EMPTY, NOT_EMPTY = 0.12, 0.28  # of the way from white to the nuclei's median; between them it is partly empty
SPREAD = 1.5  # interquartile ranges of the tissue's density from the median that stand for 1
AROUND_NUCLEI = 2  # px that are left out beside them
BLUR, SMOOTH, SMOOTH_FIBRES = 1.0, 8.0, 12.0  # px, deviations of Gaussians: of the pixels, of the map
FAR = 32.0  # px; the same of the surroundings that a place without any tissue of its own is guessed from
GUESS = 0.02  # weight of the far surroundings
NEAR_SEEN = CELL  # px around a part that its densities are told by: Gaussian, slope and neighbours reach 6
FAR_SEEN = 9 * CELL  # likewise of its map: the far surroundings end after 8 cells, and their cells see one more
STEPS = 1 << 14  # in which densities are counted, for 1; a hundredth of what a layout can hold of a map
DENSEST = 6 * STEPS  # of black: 5.54
PART = 2048  # px of a side of what is read at once, a multiple of a cell

Box: TypeAlias = tuple[int, int, int, int]  # top, left, bottom, right
Read: TypeAlias = "Callable[[Box], tuple[NDArray[np.uint8], NDArray[Any]]]"  # an image (h, w, 3), and its ids (h, w)


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
    shape = (mask.shape[0], mask.shape[1])
    return tissue_map_in_parts(lambda _: (image, mask), shape, max(CELL, *shape) + CELL)


def tissue_map_in_parts(read: Read, shape: tuple[int, int], side: int = PART) -> NDArray[np.float32]:
    """`tissue_map` of an image that need not fit into memory.

    Args:
        read: gives a box of the image and of its mask.
        shape: height and width of both.
        side: px of a side of what is read at once, beside the surroundings.

    Returns:
        As `tissue_map`, the same values.
    """
    side = side // CELL * CELL
    boxes = [
        (top, left, min(top + side, shape[0]), min(left + side, shape[1]))
        for top in range(0, shape[0], side)
        for left in range(0, shape[1], side)
    ]
    walk = _Walk(read, shape)
    white, unit = walk.stain(boxes)
    middle, spread = walk.tissue_density(boxes, white, unit)
    rows, columns = -(-shape[0] // CELL), -(-shape[1] // CELL)
    values, energies = np.empty((rows, columns, len(TISSUE_VALUES)), np.float32), np.empty((rows, columns), np.float32)
    for box in boxes:
        cells = slice(box[0] // CELL, -(-box[2] // CELL)), slice(box[1] // CELL, -(-box[3] // CELL))
        values[cells], energies[cells] = walk.cells(box, white, unit, middle, spread)
    slope = energies + 0.25 * float(np.median(energies)) + 1e-6
    values[..., 2:] /= slope[..., None]
    return values


class _Walk:
    """Parts of an image as optical densities and shares of nuclei, both at half of its size.

    Args:
        read: see `tissue_map_in_parts`.
        shape: of the image.
    """

    def __init__(self, read: Read, shape: tuple[int, int]) -> None:
        self._read, self._shape = read, shape
        self._part = lru_cache(maxsize=1)(self._densities)  # an image in one piece is looked at once
        self._all_near = False

    def stain(self, boxes: list[Box]) -> tuple[float, float]:
        """How dense white is, and how much denser nuclei are."""
        everything, nuclear = _Counts(), _Counts()
        self._all_near = True
        for box in boxes:
            density, nuclei, inner = self._cut(box, NEAR_SEEN)
            self._all_near = self._all_near and bool(_near(nuclei)[inner].all())
            everything.add(density[inner])
            nuclear.add(density[inner][nuclei[inner] > 0.5])
        white = min(everything.quantile(PALEST), WHITE)
        dark = nuclear.quantile(0.5) if nuclear.found else everything.quantile(DARKEST)
        return white, max(dark - white, 0.05)

    def tissue_density(self, boxes: list[Box], white: float, unit: float) -> tuple[float, float]:
        """The median density of what is neither empty nor nuclear, and how far from it stands for 1."""
        everything, tissue = _Counts(), _Counts()
        for box in boxes:
            density, nuclei, inner = self._cut(box, NEAR_SEEN)
            smooth, _, _, share = self._seen(density, nuclei, white, unit)
            everything.add(smooth[inner])
            tissue.add(smooth[inner][share[inner] > 0.5])
        counted = tissue if tissue.found else everything
        low, middle, high = (counted.quantile(share) for share in (0.25, 0.5, 0.75))
        return middle, SPREAD * max(high - low, 0.02)

    def cells(
        self, box: Box, white: float, unit: float, middle: float, spread: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The map of a part, its directions times the slope, and the slope's square."""
        density, nuclei, inner = self._cut(box, FAR_SEEN)
        smooth, seen, empty, tissue = self._seen(density, nuclei, white, unit)
        relative = np.clip((smooth - middle) / spread, -1, 1)
        along, across, energy = _fibres(smooth, tissue)
        share = _cells(empty, seen)
        values = np.stack([share, (1 - share) * _cells(relative, tissue), along, across], 2)
        half = CELL // 2
        rows, columns = (slice(cut.start // half, cut.stop // half) for cut in inner)
        return values[rows, columns], energy[rows, columns]

    def _seen(
        self, density: NDArray[np.float32], nuclei: NDArray[np.float32], white: float, unit: float
    ) -> tuple[NDArray[np.float32], ...]:
        """Smooth densities, what is not nuclear, what is empty, and what is neither."""
        from scipy import ndimage

        smooth = ndimage.gaussian_filter(density, BLUR / 2)
        empty = np.clip((NOT_EMPTY - (smooth - white) / unit) / (NOT_EMPTY - EMPTY), 0, 1)
        near = _near(nuclei) & (not self._all_near)
        seen = (~near).astype(np.float32)
        tissue = seen * (1 - empty)
        return smooth, seen, empty, tissue

    def _cut(self, box: Box, around: int) -> tuple[NDArray[np.float32], NDArray[np.float32], tuple[slice, slice]]:
        """A part and its surroundings, and where in them it lies."""
        top, left = max(0, box[0] - around), max(0, box[1] - around)
        bottom, right = min(self._shape[0], box[2] + around), min(self._shape[1], box[3] + around)
        density, nuclei = self._part((top, left, bottom, right))
        inner = tuple(
            slice((first - start) // 2, (first - start) // 2 + -(-(last - first) // CELL) * (CELL // 2))
            for first, last, start in ((box[0], box[2], top), (box[1], box[3], left))
        )
        return density, nuclei, (inner[0], inner[1])

    def _densities(self, box: Box) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        image, mask = self._read(box)
        more = tuple((0, -(last - first) % CELL) for first, last in ((box[0], box[2]), (box[1], box[3])))
        density = _halved(np.pad(_density(image), more, "edge"))
        return density, _halved(np.pad((mask != 0).astype(np.float32), more, "edge"))


class _Counts:
    """Densities as they are counted: their quantiles to 1 / `STEPS`."""

    def __init__(self) -> None:
        self._counts = np.zeros(DENSEST + 1, np.int64)

    @property
    def found(self) -> bool:
        """Whether any was counted."""
        return bool(self._counts.any())

    def add(self, densities: NDArray[np.float32]) -> None:
        """Count some."""
        steps = np.round(densities.ravel() * STEPS).astype(np.int32)
        self._counts += np.bincount(np.clip(steps, 0, DENSEST), minlength=DENSEST + 1)

    def quantile(self, share: float) -> float:
        """As `numpy.quantile`: linear between the two that lie beside it."""
        up_to = np.cumsum(self._counts)
        place = share * (int(up_to[-1]) - 1)
        first = int(place)
        below, above = np.searchsorted(up_to, [first, first + (place > first)], side="right").tolist()
        return float(below + (above - below) * (place - first)) / STEPS


def _near(nuclei: NDArray[np.float32]) -> NDArray[np.bool_]:
    from scipy import ndimage

    found: NDArray[np.bool_] = ndimage.maximum_filter(nuclei, 1 + AROUND_NUCLEI) > 0
    return found


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


def _fibres(smooth: NDArray[np.float32], tissue: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """Twice the fibres' angle as cosine and sine, times the slope's square, and that square: each a value a cell."""
    from scipy import ndimage

    down, right = ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1)
    clear = tissue * (ndimage.minimum_filter(tissue, 3) > 0)  # a slope beside a nucleus is the nucleus'
    energy = _cells(down**2 + right**2, clear, SMOOTH_FIBRES)
    # Fibres run across the slope.
    along, across = (_cells(slopes, clear, SMOOTH_FIBRES) for slopes in (down**2 - right**2, -2 * down * right))
    return along, across, energy


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
