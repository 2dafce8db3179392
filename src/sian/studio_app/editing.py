"""What each drawing tool does to an instance mask: pure functions from a mask and a gesture to changed pixels.

The rule of the house holds here too: the first drawn keeps the pixel. Coordinates are continuous x, y as in
`sian.masks.outlines`: pixel j covers [j, j + 1), its centre is j + 0.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from sian.errors import BadInput
from sian.masks.outlines import MIN_VERTICES, check_ring, fill_ring

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Mask = NDArray[np.int32]
    Points = NDArray[np.float64]
    Region = NDArray[np.bool_]

LARGEST_RADIUS = 200.0  # px of a brush
CUT_WIDTH = 0.75  # px on both sides of a cut in which pixels look for the nearer half


@dataclass(frozen=True)
class Change:
    """Pixels of a mask, as they are to become.

    Attributes:
        top: row of the first pixel.
        left: its column.
        after: (h, w) int32.
        classes: names of nuclei's classes by id, as they are to become; "" for none.
    """

    top: int
    left: int
    after: Mask
    classes: Mapping[int, str] = field(default_factory=dict)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Top, left, bottom, right."""
        return self.top, self.left, self.top + self.after.shape[0], self.left + self.after.shape[1]


def brushed(points: Sequence[Sequence[float]], radius: float, height: int, width: int) -> tuple[int, int, Region]:
    """What a round brush covers on its way: top, left and a region, empty where it stays outside of the mask.

    Args:
        points: (n, 2) x, y of its way.
        radius: px, above 0 and at most 200.
        height: of the mask.
        width: of the mask.
    """
    way = _points(points)
    if not 0 < radius <= LARGEST_RADIUS:
        raise BadInput(f"expected a brush with a radius of 0 to {LARGEST_RADIUS:.0f} px, found {radius}")
    top, left, bottom, right = _box_of(way, radius, height, width)
    region = np.zeros((max(0, bottom - top), max(0, right - left)), np.bool_)
    for start, end in pairwise(way) if len(way) > 1 else [(way[0], way[0])]:
        y0, x0, y1, x1 = _box_of(np.stack([start, end]), radius, height, width)
        part = region[y0 - top : y1 - top, x0 - left : x1 - left]
        part |= _distance_to_segment(start, end, y0, x0, part.shape) <= radius
    return top, left, region


def outlined(points: Sequence[Sequence[float]], height: int, width: int) -> tuple[int, int, Region]:
    """What a closed outline encloses: top, left and a region."""
    ring = _points(points)
    if len(ring) < MIN_VERTICES:
        return 0, 0, np.zeros((0, 0), np.bool_)
    return fill_ring(ring, height, width)


def without_holes(region: Region) -> Region:
    """A region and what it goes around: a nucleus that is drawn as a ring is meant whole."""
    from scipy.ndimage import binary_fill_holes

    filled: Region = binary_fill_holes(region) if region.any() else region
    return filled


def draw(mask: Mask, top: int, left: int, region: Region, nucleus: int) -> Change:
    """Give a nucleus the free pixels of a region.

    Raises:
        BadInput: none is free.
    """
    before = _part(mask, top, left, region)
    free = region & (before == 0)
    if not free.any():
        raise BadInput(
            "nothing is free there: the nucleus that was drawn first keeps the pixel; erase some of it first"
        )
    return Change(top, left, np.where(free, np.int32(nucleus), before))


def erase(mask: Mask, top: int, left: int, region: Region) -> Change:
    """Take the pixels of a region from whatever nucleus has them."""
    before = _part(mask, top, left, region)
    if not (before[region] > 0).any():
        raise BadInput("no nucleus lies there to be erased")
    return Change(top, left, np.where(region, np.int32(0), before))


def delete(mask: Mask, ids: Sequence[int]) -> Change:
    """Take whole nuclei away."""
    top, left, bottom, right = box_of(mask, ids)
    before = mask[top:bottom, left:right]
    return Change(top, left, np.where(np.isin(before, list(ids)), np.int32(0), before))


def merge(mask: Mask, ids: Sequence[int]) -> Change:
    """Make one nucleus of several; it gets the first one's id."""
    if len(set(ids)) < 2:
        raise BadInput("expected two nuclei or more to merge; drag from one to the other")
    top, left, bottom, right = box_of(mask, ids)
    before = mask[top:bottom, left:right]
    return Change(top, left, np.where(np.isin(before, list(ids)), np.int32(ids[0]), before))


def ids_along(mask: Mask, points: Sequence[Sequence[float]]) -> list[int]:
    """The nuclei under a way, in its order."""
    way = _points(points)
    steps = [np.linspace(a, b, 2 + int(np.hypot(*(b - a)))) for a, b in pairwise(way)]
    places = np.floor(np.concatenate(steps) if steps else way).astype(int)
    inside = (places >= 0).all(1) & (places[:, 0] < mask.shape[1]) & (places[:, 1] < mask.shape[0])
    found = mask[places[inside, 1], places[inside, 0]]
    return [int(nucleus) for nucleus in dict.fromkeys(found.tolist()) if nucleus]


def ids_within(mask: Mask, top: int, left: int, region: Region) -> list[int]:
    """The nuclei that have a pixel in a region."""
    found = np.unique(_part(mask, top, left, region)[region])
    return [int(nucleus) for nucleus in found if nucleus]


def split(mask: Mask, points: Sequence[Sequence[float]], next_id: int) -> Change:
    """Cut the nuclei that a line runs through; of each, the largest part keeps the id, and no pixel is lost.

    Raises:
        BadInput: the line leaves every nucleus in one part.
    """
    from scipy.ndimage import distance_transform_edt, label

    way = _points(points)
    ids = ids_along(mask, points)
    if not ids:
        raise BadInput("the cut touches no nucleus; draw it right through one")
    top, left, bottom, right = box_of(mask, ids)
    after = mask[top:bottom, left:right].copy()
    line = np.zeros(after.shape, np.bool_)
    for start, end in pairwise(way):
        line |= _distance_to_segment(start, end, top, left, line.shape) <= CUT_WIDTH
    cut_any = False
    for nucleus in ids:
        own = mask[top:bottom, left:right] == nucleus
        pieces, count = label(own & ~line)
        if count < 2:
            continue
        cut_any = True
        nearest = distance_transform_edt(pieces == 0, return_distances=False, return_indices=True)
        owner = pieces[tuple(nearest)]
        by_size = np.argsort(-np.bincount(pieces[pieces > 0], minlength=count + 1)[1:], kind="stable") + 1
        for piece in by_size[1:]:
            after[own & (owner == piece)] = next_id
            next_id += 1
    if not cut_any:
        raise BadInput("the cut leaves the nucleus in one part; draw it from one side right through to the other")
    return Change(top, left, after)


def transform(mask: Mask, nucleus: int, dy: float, dx: float, angle: float = 0.0, scale: float = 1.0) -> Change:
    """Move, turn and scale a nucleus about its centroid; where another lies, that one keeps the pixel.

    Args:
        mask: (H, W).
        nucleus: its id.
        dy: px down.
        dx: px to the right.
        angle: radians from +x towards +y (down).
        scale: of lengths, 0.2 to 5.

    Raises:
        BadInput: no such nucleus, or nothing of it would be left.
    """
    if not (np.isfinite([dy, dx, angle]).all() and 0.2 <= scale <= 5):
        raise BadInput(f"expected a finite way and a scale of 0.2 to 5, found {dy}, {dx}, {angle}, {scale}")
    height, width = mask.shape
    top, left, bottom, right = box_of(mask, [nucleus])
    own = mask[top:bottom, left:right] == nucleus
    y, x = (float(axis.mean()) + 0.5 + start for axis, start in zip(np.nonzero(own), (top, left), strict=True))
    reach = scale * math.hypot(bottom - top, right - left) + 1
    around = np.array([[x + dx - reach, y + dy - reach], [x + dx + reach, y + dy + reach]])
    first, start, last, end = _box_of(around, 0, height, width)
    rows, columns = np.mgrid[first : max(first, last), start : max(start, end)] + 0.5
    back_y, back_x = rows - y - dy, columns - x - dx
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    source_x = np.floor(cosine * back_x + sine * back_y + x - left).astype(int)
    source_y = np.floor(cosine * back_y - sine * back_x + y - top).astype(int)
    inside = (source_y >= 0) & (source_x >= 0) & (source_y < own.shape[0]) & (source_x < own.shape[1])
    moved = np.zeros(inside.shape, np.bool_)
    moved[inside] = own[source_y[inside], source_x[inside]]
    return _moved(mask, nucleus, (top, left, bottom, right), (first, start), moved)


def _moved(mask: Mask, nucleus: int, old: tuple[int, int, int, int], corner: tuple[int, int], moved: Region) -> Change:
    """Take a nucleus from its old box and lay it down where it is free."""
    top, left = min(old[0], corner[0]), min(old[1], corner[1])
    bottom, right = max(old[2], corner[0] + moved.shape[0]), max(old[3], corner[1] + moved.shape[1])
    after = mask[top:bottom, left:right].copy()
    after[after == nucleus] = 0
    rows, columns = corner[0] - top, corner[1] - left
    place = after[rows : rows + moved.shape[0], columns : columns + moved.shape[1]]
    free = moved & (place == 0)
    if not free.any():
        raise BadInput("nothing of the nucleus would be left there: others lie there, or it is outside of the picture")
    place[free] = nucleus
    return Change(top, left, after)


def box_of(mask: Mask, ids: Sequence[int]) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of what holds all pixels of some nuclei.

    Raises:
        BadInput: none of them is in the mask.
    """
    found = mask == ids[0] if len(ids) == 1 else np.isin(mask, list(ids))
    rows, columns = np.flatnonzero(found.any(1)), np.flatnonzero(found.any(0))
    if not len(rows):
        raise BadInput("no such nucleus is there (any more)")
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _part(mask: Mask, top: int, left: int, region: Region) -> Mask:
    return mask[top : top + region.shape[0], left : left + region.shape[1]]


def _points(points: Sequence[Sequence[float]]) -> Points:
    found = check_ring(np.asarray(points, np.float64))
    if not len(found):
        raise BadInput("expected a gesture of at least one point, found none")
    if np.abs(found).max() > 1e6:
        raise BadInput("expected a gesture within the picture, found one far outside")
    return found


def _box_of(points: Points, reach: float, height: int, width: int) -> tuple[int, int, int, int]:
    """The pixels within `reach` of points, cut at the mask's border."""
    (left, top), (right, bottom) = np.floor(points.min(0) - reach), np.ceil(points.max(0) + reach)
    rows, columns = np.clip([top, bottom], 0, height), np.clip([left, right], 0, width)
    return int(rows[0]), int(columns[0]), int(rows[1]), int(columns[1])


def _distance_to_segment(start: Points, end: Points, top: int, left: int, shape: tuple[int, ...]) -> Points:
    """From the centres of a box's pixels to a straight line between two points, (h, w)."""
    y = np.arange(top, top + shape[0])[:, None] + 0.5 - start[1]
    x = np.arange(left, left + shape[1])[None] + 0.5 - start[0]
    dx, dy = end - start
    length = dx * dx + dy * dy
    along = np.clip((x * dx + y * dy) / length, 0, 1) if length else 0.0
    distance: Points = np.hypot(x - along * dx, y - along * dy)
    return distance
