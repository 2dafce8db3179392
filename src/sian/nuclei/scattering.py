"""Scatter plausible nuclei over an empty mask: elongated, irregular, in loose clusters, some touching.

Sizes and shapes follow plain distributions with round numbers that resemble 40x H&E; nothing here is fitted
to a data set or an organ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from sian import seeds
from sian.errors import BadInput

if TYPE_CHECKING:
    import numpy.typing as npt

    Points = npt.NDArray[np.float64]

MEGAPIXEL = 1_000_000
AREA_SPREAD = 0.55  # standard deviation of the logarithm of the area
AREA_LIMITS = (0.15, 5.0)  # of the mean area
WAVES = np.arange(2, 6)  # of the outline: 2 bends it to an egg, 5 makes it knobbly
WAVE_HEIGHTS = 0.22 / WAVES**1.5  # standard deviation, as a part of the radius
LARGEST_WAVE = 0.45  # all waves together; below 1 the outline cannot cross itself
CLUSTERED = 0.6  # part of the nuclei that lies in clusters
PER_CLUSTER = 6  # nuclei, on average
ATTEMPTS = 12  # places tried for one nucleus
MOST_COVERED = 0.12  # part of a nucleus that earlier ones may cover; what they cover is theirs


@dataclass(frozen=True)
class _Nucleus:
    """A star-shaped outline: an ellipse whose radius is modulated by a few waves."""

    radius: float
    aspect: float
    angle: float
    heights: npt.NDArray[np.float64]
    phases: npt.NDArray[np.float64]

    @property
    def reach(self) -> int:
        """No pixel of the nucleus is further from its centre."""
        return int(np.ceil(self.radius * np.sqrt(self.aspect) * (1 + LARGEST_WAVE))) + 1

    def covers(self, y: Points, x: Points) -> npt.NDArray[np.bool_]:
        """Which points lie inside; coordinates from the nucleus' centre, broadcast against each other."""
        along = (np.cos(self.angle) * x + np.sin(self.angle) * y) / np.sqrt(self.aspect)
        across = (np.cos(self.angle) * y - np.sin(self.angle) * x) * np.sqrt(self.aspect)
        turn = np.arctan2(across, along)
        waves = self.heights * np.cos(WAVES * turn[..., None] + self.phases)  # (h, w, 4)
        inside: npt.NDArray[np.bool_] = np.hypot(along, across) < self.radius * (1 + waves.sum(-1))
        return inside


def scatter(
    height: int, width: int, seed: int = 0, *, density: float = 550.0, mean_area: float = 420.0
) -> npt.NDArray[np.int32]:
    """An instance mask of invented nuclei.

    The same arguments give the same mask. Nuclei at the border are cut by it. In a crowded mask some nuclei
    find no room and are left out.

    Args:
        height: rows, at least 1.
        width: columns, at least 1.
        seed: which of the many masks.
        density: nuclei per million pixels (MoNuSeg at 40x: 350 to 1,500).
        mean_area: of a nucleus, in pixels, at least 12 (MoNuSeg at 40x: 250 to 600).

    Returns:
        (height, width) int32: 0 is background, 1..n one id a nucleus, each in one piece.

    Raises:
        BadInput: an argument is out of range.

    >>> mask = scatter(64, 96, seed=3)
    >>> mask.shape, str(mask.dtype)
    ((64, 96), 'int32')
    """
    _check(height, width, density, mean_area)
    random = seeds.generator(seed, "scatter")
    mask = np.zeros((height, width), np.int32)
    wanted = int(random.poisson(density * height * width / MEGAPIXEL))
    nuclei = _shapes(random, wanted, mean_area)
    places = _places(random, wanted, height, width, mean_area)
    for number, nucleus in enumerate(nuclei):
        tries = np.concatenate([places[number : number + 1], random.uniform((0, 0), (height, width), (ATTEMPTS, 2))])
        any(_place(mask, nucleus, y, x) for y, x in tries)
    return mask


def _check(height: int, width: int, density: float, mean_area: float) -> None:
    if height < 1 or width < 1:
        raise BadInput(f"expected a mask of at least 1 x 1 pixels, found {height} x {width}")
    if not 0 <= density <= 20_000:
        raise BadInput(f"expected a density of 0 to 20,000 nuclei per million pixels, found {density}")
    if not 12 <= mean_area <= 100_000:
        raise BadInput(f"expected a mean area of 12 to 100,000 pixels, found {mean_area}")


def _shapes(random: np.random.Generator, count: int, mean_area: float) -> list[_Nucleus]:
    """`count` outlines, the large ones first, as they are the harder to place."""
    areas = random.lognormal(np.log(mean_area) - AREA_SPREAD**2 / 2, AREA_SPREAD, count)
    areas = np.sort(np.clip(areas, mean_area * AREA_LIMITS[0], mean_area * AREA_LIMITS[1]))[::-1]
    aspects = 1.1 + random.gamma(1.5, 0.3, count).clip(0, 2)
    angles = random.uniform(0, np.pi, count)
    heights = random.normal(0, WAVE_HEIGHTS, (count, WAVES.size))
    heights *= np.minimum(1, LARGEST_WAVE / np.maximum(np.abs(heights).sum(1), 1e-9))[:, None]
    phases = random.uniform(0, 2 * np.pi, (count, WAVES.size))
    radii = np.sqrt(areas / np.pi / (1 + (heights**2).sum(1) / 2))  # waves add to an outline's area
    return [_Nucleus(*outline) for outline in zip(radii, aspects, angles, heights, phases, strict=True)]


def _places(random: np.random.Generator, count: int, height: int, width: int, mean_area: float) -> Points:
    """(count, 2) centres y, x: some in clusters as wide as three nuclei, the others anywhere."""
    anywhere = random.uniform((0, 0), (height, width), (count, 2))
    clusters = random.uniform((0, 0), (height, width), (max(1, round(count * CLUSTERED / PER_CLUSTER)), 2))
    mine = clusters[random.integers(len(clusters), size=count)]
    near = mine + random.normal(0, 3 * np.sqrt(mean_area / np.pi), (count, 2))
    places: Points = np.where(random.random((count, 1)) < CLUSTERED, near, anywhere) % (height, width)
    return places


def _place(mask: npt.NDArray[np.int32], nucleus: _Nucleus, y: float, x: float) -> bool:
    """Draw the nucleus around (y, x) with the next id if there is room; says whether there was."""
    reach = nucleus.reach
    top, left = max(0, int(y) - reach), max(0, int(x) - reach)
    window = mask[top : int(y) + reach + 1, left : int(x) + reach + 1]
    rows = np.arange(top, top + window.shape[0])[:, None] + 0.5 - y
    columns = np.arange(left, left + window.shape[1])[None, :] + 0.5 - x
    inside = nucleus.covers(rows, columns)
    free = inside & (window == 0)
    covered = 1 - free.sum() / max(1, inside.sum())
    if not free.any() or covered > MOST_COVERED:
        return False
    window[_largest_piece(free)] = mask.max() + 1
    return True


def _largest_piece(region: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The largest part of `region` whose pixels hang together by their sides."""
    pieces, count = ndimage.label(region)
    if count == 1:
        return region
    largest: npt.NDArray[np.bool_] = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
    return largest
