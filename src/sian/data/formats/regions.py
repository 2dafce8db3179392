"""What a file of outlines holds, to one instance mask: the first drawn keeps the pixel (docs/design.md, "Data set").

Outlines are told from regions that hold many of them here, and what a file may cost is limited here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.leftovers import SHORT_OUTLINE
from sian.data.pairs import Annotated
from sian.errors import BadInput
from sian.masks import check_mask
from sian.masks.checking import MAX_ID
from sian.masks.contours import fill_polygons
from sian.masks.outlines import MIN_VERTICES, count_crossings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

MAX_COORDINATE = 1e7  # pixels; beyond any slide
MAX_RING_VERTICES = 1_000_000
CROSSINGS_PER_PIXEL = 4  # a ring on pixel edges crosses each pixel of the tile at most twice
MAX_CROSSINGS = 40_000_000  # of rows by all outlines of a file; 1,000 nuclei have about 60,000
MAX_BOX_PIXELS = 1 << 28  # of the boxes of all outlines of a file
BOXES_PER_PIXEL = 4  # in how many boxes a pixel of a large tile may lie, on average
PIXELS_PER_OUTLINE = 16  # of a tile, for each outline at least; nuclei have hundreds
MIN_OUTLINES = 1000  # that a file may have, however small its picture is
REGION = "region annotation"
NO_CLASS = {"nucleus", "nuclei"}  # what files call nuclei whose class nobody said, in lower case
HELD = 2  # outlines that a region holds; a nucleus holds none
CRUMB_PIXELS = 16  # smaller outlines, such as slips of a click, lie in nuclei as well and make them no regions
REGIONS_TRIED = 200
ELLIPSE_VERTICES = 256  # the polygon is 0.01 % smaller than the ellipse
OUTLINES_TRIED = 1000  # that lie in the box of one of them

Region = tuple[int, int, "npt.NDArray[np.bool_]"]  # top, left, (h, w)


@dataclass(frozen=True)
class Shape:
    """One thing that an annotation file holds.

    Attributes:
        kind: what it is called where it is counted, e.g. "detection".
        region: what to fill; None for what has no inside, which is left out.
        nucleus: its id; None for the next one.
        name: its class.
        may_hold: whether it may be a region that holds others, which is left out as well.
    """

    kind: str
    region: Region | None
    nucleus: int | None = None
    name: str | None = None
    may_hold: bool = False


class Effort:
    """How much the outlines of one file may cost.

    Args:
        path: the file.
        height: rows of its picture.
        width: columns of its picture.
    """

    def __init__(self, path: object, height: int, width: int) -> None:
        self._path = path
        self._height, self._width = height, width
        self._crossings = MAX_CROSSINGS
        self._outlines = max(MIN_OUTLINES, height * width // PIXELS_PER_OUTLINE)
        self._pixels = max(MAX_BOX_PIXELS, BOXES_PER_PIXEL * height * width)

    def spend(self, rings: Iterable[npt.NDArray[np.float64]]) -> None:
        """Count what filling the rings of one outline costs, before it is done.

        Raises:
            BadInput: all outlines together cost more than those of a tile do.
        """
        seen = False
        for ring in rings:
            x = np.clip(ring[:, 0], 0, self._width)
            y = np.clip(ring[:, 1], 0, self._height)
            seen = seen or bool(np.ptp(x) > 0 and np.ptp(y) > 0)  # a slide's outlines may lie beside its tile
            self._crossings -= count_crossings(ring, self._height)
            self.spend_pixels(int((np.ptp(x) + 1) * (np.ptp(y) + 1)))
        self._outlines -= seen
        self.spend_pixels(0)

    def spend_pixels(self, pixels: int) -> None:
        """Count the pixels of a box; raises as `spend` does."""
        self._pixels -= pixels
        if min(self._crossings, self._pixels, self._outlines) < 0:
            raise BadInput(
                f"{self._path}: found outlines that cover or cross the image ({self._height} x {self._width}) "
                "many hundred times, or one for every few pixels of it, expected nuclei; export it again"
            )


def draw(
    path: object, shapes: Iterable[Shape], height: int, width: int, others: Mapping[str, int] | None = None
) -> Annotated:
    """Draw what a file holds, in its order, and count by kind what was drawn and what was left out.

    Args:
        path: what errors call it.
        shapes: what it holds.
        height: rows of the mask.
        width: columns of the mask.
        others: what the file holds besides, by kind.

    Raises:
        BadInput: there are outlines, and none covers a pixel of the image.
    """
    held = list(shapes)
    regions = _regions(held)
    mask = np.zeros((height, width), np.int32)
    classes: dict[int, str] = {}
    facts = {"overlaps": 0, "lost_pixels": 0}
    drawn: Counter[str] = Counter()
    left_out: Counter[str] = Counter(others or {})
    vanished = 0
    for number, shape in enumerate(held):
        if shape.region is None or number in regions:
            left_out[REGION if number in regions else shape.kind] += 1
            continue
        nucleus = shape.nucleus or drawn.total() + 1
        covered, lost = fill_free(mask, shape.region, nucleus)
        facts["overlaps"] += lost > 0
        facts["lost_pixels"] += lost
        vanished += covered == 0
        drawn[shape.kind] += covered > 0
        if covered and shape.name is not None:
            classes[nucleus] = shape.name
    if vanished and not drawn.total():
        raise BadInput(
            f"{path}: none of its {vanished} outlines covers a pixel of the image ({height} x {width}); "
            "expected coordinates in pixels of that image"
        )
    return Annotated(check_mask(mask, str(path)), classes, facts, vanished, dict(+drawn), dict(+left_out))


def fill_free(mask: npt.NDArray[np.int32], region: Region, nucleus: int) -> tuple[int, int]:
    """Fill what is free of a region; how many pixels that were, and how many were not free."""
    top, left, inside = region
    below = mask[top : top + inside.shape[0], left : left + inside.shape[1]]
    free = inside & (below == 0)
    below[free] = nucleus
    covered = int(free.sum())
    return covered, int(inside.sum()) - covered


def _regions(shapes: list[Shape]) -> set[int]:
    """Which shapes are regions instead of nuclei: those that hold several other outlines whole."""
    filled = [(number, *s.region) for number, s in enumerate(shapes) if s.region is not None and s.region[2].size]
    if len(filled) <= HELD or not any(shape.may_hold for shape in shapes):
        return set()
    boxes = np.array([(top, left, top + i.shape[0], left + i.shape[1]) for _, top, left, i in filled])
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    largest_first = np.argsort(-areas, kind="stable")
    candidates = [place for place in largest_first.tolist() if shapes[filled[place][0]].may_hold]
    found = set()
    for place in candidates[:REGIONS_TRIED]:
        box = boxes[place]
        within = (boxes[:, :2] >= box[:2]).all(axis=1) & (boxes[:, 2:] <= box[2:]).all(axis=1) & (areas < areas[place])
        others = np.flatnonzero(within)[:OUTLINES_TRIED]
        if _holds(filled[place][1:], [filled[other][1:] for other in others]):
            found.add(filled[place][0])
    return found


def _holds(region: Region, others: Sequence[Region]) -> bool:
    """Whether `HELD` of the others that are more than crumbs lie whole in a region."""
    top, left, inside = region
    held = 0
    for y, x, other in others:
        part = inside[y - top : y - top + other.shape[0], x - left : x - left + other.shape[1]]
        held += bool(np.count_nonzero(other) >= CRUMB_PIXELS and (part | ~other).all())
        if held == HELD:
            return True
    return False


def polygon_region(
    where: str,
    polygons: Sequence[Sequence[Any]],
    height: int,
    width: int,
    effort: Effort,
    origin: tuple[int, int] = (0, 0),
) -> Region | None:
    """Fill polygons of rings of [x, y] as a file gave them; None if none has 3 vertices.

    `origin` is the (y, x) that the mask's first pixel has in them.

    Raises:
        BadInput: coordinates that are not finite numbers or lie beyond any slide, or a ring of absurd size.
    """
    checked = [[check_vertices(where, ring) - origin[::-1] for ring in polygon] for polygon in polygons]
    kept = [polygon for polygon in checked if polygon and len(polygon[0]) >= MIN_VERTICES]
    if not kept:
        return None
    crossings = sum(float(_rows_crossed(ring, height)) for polygon in kept for ring in polygon if len(ring))
    if crossings > CROSSINGS_PER_PIXEL * height * width + height:
        raise BadInput(f"{where}: found an outline that crosses the image {crossings:,.0f} times, expected a nucleus")
    effort.spend(ring for polygon in kept for ring in polygon if len(ring))
    return fill_polygons(kept, height, width)


def outline(kind: str, region: Region | None) -> str:
    """The kind of an outline, or what it is called when it has no inside."""
    return kind if region is not None else SHORT_OUTLINE


def check_vertices(where: str, ring: Any) -> npt.NDArray[np.float64]:
    """A ring of [x, y] (or [x, y, z]) pairs as (n, 2) float64."""
    if isinstance(ring, list) and len(ring) > MAX_RING_VERTICES:
        raise BadInput(f"{where}: found a ring of {len(ring):,} vertices, expected at most {MAX_RING_VERTICES:,}")
    try:
        vertices = np.array([(_number(point[0]), _number(point[1])) for point in ring], np.float64).reshape(-1, 2)
    except (TypeError, ValueError, IndexError, KeyError, OverflowError) as error:
        raise BadInput(f"{where}: found a ring that is not a list of [x, y]; export it again") from error
    if not (np.abs(vertices) <= MAX_COORDINATE).all():  # nan fails as well
        raise BadInput(f"{where}: found a vertex beyond {MAX_COORDINATE:g}, expected pixel coordinates of the image")
    return vertices


def _number(value: Any) -> float:
    if isinstance(value, float | int) and not isinstance(value, bool):
        return float(value)
    raise TypeError("no number")


def ellipse_ring(vertices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The ellipse in the box around some vertices, as a ring of `ELLIPSE_VERTICES`: (n, 2)."""
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    angles = np.linspace(0, 2 * np.pi, ELLIPSE_VERTICES, endpoint=False)
    circle: npt.NDArray[np.float64] = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    ring: npt.NDArray[np.float64] = (low + high) / 2 + (high - low) / 2 * circle
    return ring


def _rows_crossed(ring: npt.NDArray[np.float64], height: int) -> Any:
    y = np.clip(ring[:, 1], 0, height)
    return np.abs(y - np.roll(y, -1)).sum()


def own_ids(given: Sequence[Any]) -> list[int]:
    """The ids that a file gives its regions if all are whole, positive and different; else 1, 2, 3, ..."""
    plain = [number for number in given if isinstance(number, int) and not isinstance(number, bool)]
    if len(plain) == len(given) == len(set(plain)) and all(0 < number <= MAX_ID for number in plain):
        return plain
    return list(range(1, len(given) + 1))
