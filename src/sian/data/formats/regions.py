"""Regions of a file of outlines to one instance mask: the first drawn keeps the pixel (DESIGN section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.pairs import Annotated
from sian.errors import BadInput
from sian.masks import check_mask
from sian.masks.checking import MAX_ID
from sian.masks.contours import fill_polygons

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

MAX_COORDINATE = 1e7  # pixels; beyond any slide
MAX_RING_VERTICES = 1_000_000
MIN_VERTICES = 3
CROSSINGS_PER_PIXEL = 4  # a ring on pixel edges crosses each pixel of the tile at most twice

Region = tuple[int, int, "npt.NDArray[np.bool_]"]  # top, left, (h, w)


def draw(
    path: str, regions: Iterable[tuple[int, str | None, Region | None]], height: int, width: int
) -> tuple[npt.NDArray[np.int32], dict[int, str], dict[str, Any], int]:
    """Draw regions with their ids and classes.

    Args:
        path: what errors call it.
        regions: id, class or None, and what to fill; None for a region that is none.
        height: rows of the mask.
        width: columns of the mask.

    Returns:
        The arguments of `Annotated`.
    """
    mask = np.zeros((height, width), np.int32)
    classes: dict[int, str] = {}
    facts = {"overlaps": 0, "lost_pixels": 0, "dropped_regions": 0}
    drawn = vanished = 0
    for nucleus, name, region in regions:
        if region is None:
            facts["dropped_regions"] += 1
            continue
        top, left, inside = region
        below = mask[top : top + inside.shape[0], left : left + inside.shape[1]]
        free = inside & (below == 0)
        below[free] = nucleus
        lost = int(inside.sum()) - int(free.sum())
        facts["overlaps"] += lost > 0
        facts["lost_pixels"] += lost
        drawn += 1
        if not free.any():
            vanished += 1
        elif name is not None:
            classes[nucleus] = name
    if drawn and drawn == vanished:
        raise BadInput(
            f"{path}: none of its {drawn} outlines covers a pixel of the image ({height} x {width}); "
            "expected coordinates in pixels of that image"
        )
    return check_mask(mask, path), classes, facts, vanished


def annotated(
    path: str, regions: Iterable[tuple[int, str | None, Region | None]], height: int, width: int
) -> Annotated:
    """`draw`, as an annotation."""
    return Annotated(*draw(path, regions, height, width))


def polygon_region(where: str, polygons: Sequence[Sequence[Any]], height: int, width: int) -> Region | None:
    """Fill polygons of rings of [x, y] as a file gave them; None if none has 3 vertices.

    Raises:
        BadInput: coordinates that are no finite numbers or beyond any slide, or a ring of absurd size.
    """
    checked = [[check_vertices(where, ring) for ring in polygon] for polygon in polygons]
    kept = [polygon for polygon in checked if polygon and len(polygon[0]) >= MIN_VERTICES]
    if not kept:
        return None
    crossings = sum(float(_rows_crossed(ring, height)) for polygon in kept for ring in polygon)
    if crossings > CROSSINGS_PER_PIXEL * height * width + height:
        raise BadInput(f"{where}: found an outline that crosses the image {crossings:,.0f} times, expected a nucleus")
    return fill_polygons(kept, height, width)


def check_vertices(where: str, ring: Any) -> npt.NDArray[np.float64]:
    """A ring of [x, y] (or [x, y, z]) pairs as (n, 2) float64."""
    if isinstance(ring, list) and len(ring) > MAX_RING_VERTICES:
        raise BadInput(f"{where}: found a ring of {len(ring):,} vertices, expected at most {MAX_RING_VERTICES:,}")
    try:
        vertices = np.array([(float(point[0]), float(point[1])) for point in ring], np.float64).reshape(-1, 2)
    except (TypeError, ValueError, IndexError, KeyError, OverflowError) as error:
        raise BadInput(f"{where}: found a ring that is not a list of [x, y]; export it again") from error
    if not (np.abs(vertices) <= MAX_COORDINATE).all():  # nan fails as well
        raise BadInput(f"{where}: found a vertex beyond {MAX_COORDINATE:g}, expected pixel coordinates of the image")
    return vertices


def _rows_crossed(ring: npt.NDArray[np.float64], height: int) -> Any:
    y = np.clip(ring[:, 1], 0, height)
    return np.abs(y - np.roll(y, -1)).sum()


def own_ids(given: Sequence[Any]) -> list[int]:
    """The ids that a file gives its regions if all are whole, positive and different; else 1, 2, 3, ..."""
    plain = [number for number in given if isinstance(number, int) and not isinstance(number, bool)]
    if len(plain) == len(given) == len(set(plain)) and all(0 < number <= MAX_ID for number in plain):
        return plain
    return list(range(1, len(given) + 1))
