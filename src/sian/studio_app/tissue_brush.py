"""Lumen and stroma by brush: what a stroke says of the tissue map, which models that know tissue maps are given.

The map is that of `sian.layout.tissue_map`, a cell for 16 px; here its numbers are held as a layout holds them, int8
with 127 for 1, and before them whether the cell says anything. A model that draws tissue where a map says nothing does
so beside a stroke, too. Others learned from maps of whole windows: for them the first stroke says of all other cells
that they hold ordinary tissue.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from sian.errors import BadInput
from sian.layout.tissue_map import CELL, FULL, TISSUE_LAYERS, known_values, tissue_layers
from sian.studio_app.editing import brushed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Cells = NDArray[np.int8]
    Floats = NDArray[np.float64]

What: TypeAlias = Literal["lumen", "stroma", "plain", "forget"]

COHERENCE = 0.4  # of the fibres of drawn stroma; real maps have 0.2 to 0.4
STEP = 4.0  # px between the places of a stroke whose direction counts


@dataclass(frozen=True)
class TissueChange:
    """Cells of a tissue map, as they are to become.

    Attributes:
        top: row of the first cell.
        left: its column.
        after: (h, w, 5) int8.
    """

    top: int
    left: int
    after: Cells


def nothing_said(shape: tuple[int, int]) -> Cells:
    """The map of a drawing of H x W px of which nothing is said."""
    return np.zeros((-(-shape[0] // CELL), -(-shape[1] // CELL), TISSUE_LAYERS), np.int8)


def tissue_stroke(
    cells: Cells,
    shape: tuple[int, int],
    what: What,
    points: Sequence[Sequence[float]] = (),
    radius: float = 1.0,
    density: float = 0.5,
    *,
    rest_is_drawn: bool = False,
) -> TissueChange:
    """What a brush says on its way.

    Args:
        cells: the map, which is not changed.
        shape: H and W of the drawing, px.
        what: "lumen" (empty), "stroma" (fibres along the stroke), "plain" (ordinary tissue), or "forget": nothing is
            said of any place.
        points: (n, 2) x, y of the brush's way, px; not needed to forget.
        radius: of the brush, px.
        density: of stroma, -1 (palest) over 0 (the tissue's median) to 1.
        rest_is_drawn: the model draws tissue where nothing is said, so cells that the stroke does not touch stay so.

    Raises:
        BadInput: the stroke lies outside of the drawing, or nothing is said that could be forgotten.
    """
    if what == "forget":
        if not cells.any():
            raise BadInput("nothing is said of the tissue between the nuclei; draw lumen or stroma first")
        return TissueChange(0, 0, nothing_said(shape))
    top, left, region = brushed(points, radius, *shape)
    if not region.any():
        raise BadInput("the stroke lies outside of the drawing; draw within it")
    whole = cells.copy() if rest_is_drawn else _said_everywhere(cells)
    first, start, share = _shares(top, left, region)
    part = whole[first : first + share.shape[0], start : start + share.shape[1]]
    stroked = _stroked(part[..., 1:] / FULL, share, what, points, (first, start), radius, density)
    part[..., 1:] = np.where(share[..., None] > 0, stroked, part[..., 1:])
    part[..., 0] = np.where(share > 0, FULL, part[..., 0])
    if rest_is_drawn or cells[..., 0].all():
        return TissueChange(first, start, part.copy())
    return TissueChange(0, 0, whole)


def as_map(cells: Cells) -> NDArray[np.float32]:
    """The map as `sian.describe` and `--tissue` take it: (h, w, 4) float32, NaN where nothing is said."""
    values: NDArray[np.float32] = (cells[..., 1:] / FULL).astype(np.float32)
    values[cells[..., 0] == 0] = np.nan
    return values


def from_map(values: NDArray[np.floating]) -> Cells:
    """Cells of a map as `as_map` makes it."""
    known, plain = known_values(values)
    found: Cells = np.round(FULL * np.concatenate([known[..., None], np.clip(plain, -1, 1)], 2)).astype(np.int8)
    return found


def layers_again(layers: NDArray[np.int8], cells: Cells, box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Bring a layout's tissue up to date in place after cells changed.

    Args:
        layers: (H, W, 5) int8, see `sian.layout.tissue_map.tissue_layers`.
        cells: the whole map.
        box: top, left, bottom, right of the cells that changed.

    Returns:
        Top, left, bottom, right in px of what may have changed.
    """
    height, width = layers.shape[:2]
    rows, columns = cells.shape[:2]
    near = max(0, box[0] - 1), max(0, box[1] - 1), min(rows, box[2] + 1), min(columns, box[3] + 1)
    far = max(0, near[0] - 1), max(0, near[1] - 1), min(rows, near[2] + 1), min(columns, near[3] + 1)
    top, left, bottom, right = far[0] * CELL, far[1] * CELL, min(height, far[2] * CELL), min(width, far[3] * CELL)
    made = tissue_layers(as_map(cells[far[0] : far[2], far[1] : far[3]]), (bottom - top, right - left))
    found = near[0] * CELL, near[1] * CELL, min(height, near[2] * CELL), min(width, near[3] * CELL)
    layers[found[0] : found[2], found[1] : found[3]] = made[
        found[0] - top : found[2] - top, found[1] - left : found[3] - left
    ]
    return found


def _said_everywhere(cells: Cells) -> Cells:
    """A copy in which cells that say nothing say that they hold ordinary tissue."""
    whole = cells.copy()
    whole[whole[..., 0] == 0] = 0
    whole[..., 0] = FULL
    return whole


def _shares(top: int, left: int, region: NDArray[np.bool_]) -> tuple[int, int, Floats]:
    """First row and column of the cells under a region, and how much of each it covers."""
    first, start = top // CELL, left // CELL
    rows, columns = -(-(top + region.shape[0]) // CELL) - first, -(-(left + region.shape[1]) // CELL) - start
    padded = np.zeros((rows * CELL, columns * CELL))
    above, before = top - first * CELL, left - start * CELL
    padded[above : above + region.shape[0], before : before + region.shape[1]] = region
    share: Floats = padded.reshape(rows, CELL, columns, CELL).mean((1, 3))
    return first, start, share


def _stroked(
    values: Floats,
    share: Floats,
    what: What,
    points: Sequence[Sequence[float]],
    corner: tuple[int, int],
    radius: float,
    density: float,
) -> NDArray[np.int8]:
    """The values of cells (h, w, 4) after a stroke that covers a share of each."""
    empty, dense, fibres = values[..., 0], values[..., 1], values[..., 2:]
    full = np.maximum(1 - empty, 1e-6)
    relative = np.where(empty < 1, dense / full, 0.0)  # in a map the density is times the part that is not empty
    after = empty + share * (1 - empty) if what == "lumen" else (1 - share) * empty
    if what != "lumen":
        relative = (1 - share) * relative + share * (density if what == "stroma" else 0.0)
        along = _directions(points, corner, share.shape, radius) if what == "stroma" else np.zeros_like(fibres)
        fibres = (1 - share[..., None]) * fibres + share[..., None] * COHERENCE * along
    changed = np.concatenate([after[..., None], ((1 - after) * relative)[..., None], fibres], 2)
    made: NDArray[np.int8] = np.round(FULL * np.clip(changed, -1, 1)).astype(np.int8)
    return made


def _directions(
    points: Sequence[Sequence[float]], corner: tuple[int, int], shape: tuple[int, ...], radius: float
) -> Floats:
    """Twice the angle of a way near each cell, as cosine and sine; nowhere any for a way that stays in one place."""
    way = np.asarray(points, np.float64)
    found = np.zeros((*shape, 2))
    middles_y = (np.arange(shape[0]) + corner[0] + 0.5)[:, None] * CELL
    middles_x = (np.arange(shape[1]) + corner[1] + 0.5)[None] * CELL
    reach = max(radius, CELL / 2)
    for start, end in pairwise(way):
        length = float(np.hypot(*(end - start)))
        if not length:
            continue
        twice = 2 * np.arctan2(end[1] - start[1], end[0] - start[0])
        steps = max(1, round(length / STEP))
        for place in start + (end - start) * ((np.arange(steps) + 0.5) / steps)[:, None]:
            near = np.exp(-((middles_x - place[0]) ** 2 + (middles_y - place[1]) ** 2) / (2 * reach**2))
            found += near[..., None] * np.array([np.cos(twice), np.sin(twice)]) * (length / steps)
    longest = np.hypot(found[..., 0], found[..., 1])[..., None]
    return np.divide(found, longest, out=np.zeros_like(found), where=longest > 1e-9)
