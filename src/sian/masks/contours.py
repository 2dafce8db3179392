"""Instance mask to polygons on pixel edges, and back without losing a pixel (docs/design.md, "Data set").

Vertices lie on pixel corners, so that pixel (row, column) is the square from (column, row) to (column + 1, row + 1).
Each piece of a nucleus that hangs together by pixel edges is one polygon: its outer ring first, then its holes. No
ring touches itself; rings may touch one another at a corner, which GeoJSON and COCO allow. Filling the rings by the
even-odd rule at pixel centres gives the same pixels again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sian.masks.boxes import nucleus_boxes
from sian.masks.outlines import check_ring, fill_ring

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

Ring = list[tuple[int, int]]  # x, y of pixel corners; not closed: the first corner is not repeated
Polygon = list[Ring]  # the outer ring, then the holes

RIGHT = 0  # then down, left, up: clockwise on the screen
STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


def trace_nuclei(mask: npt.NDArray[np.int32]) -> Iterator[tuple[int, list[Polygon]]]:
    """Trace every nucleus of an instance mask, by ascending id.

    Args:
        mask: (H, W) int32, checked.

    Yields:
        The id and its polygons, one a piece.

    >>> list(trace_nuclei(np.array([[0, 7, 7]], np.int32)))
    [(7, [[[(3, 0), (3, 1), (1, 1), (1, 0)]]])]
    """
    for nucleus, box in nucleus_boxes(mask).items():
        yield nucleus, trace_region(mask[box] == nucleus, box[0].start, box[1].start)


def trace_region(region: npt.NDArray[np.bool_], top: int = 0, left: int = 0) -> list[Polygon]:
    """Trace one region.

    Args:
        region: (h, w) bool.
        top: row of its first row in the whole mask.
        left: column of its first column in the whole mask.
    """
    rings = [part for ring in _walk(region) for part in _split(ring)]
    outer = [ring for ring in rings if _turns_right(ring)]
    holes = [ring for ring in rings if not _turns_right(ring)]
    polygons = [[outer[0], *holes]] if len(outer) == 1 else _by_piece(region, outer, holes)
    return [[[(x + left, y + top) for x, y in ring] for ring in polygon] for polygon in polygons]


def fill_polygons(
    polygons: Sequence[Sequence[npt.ArrayLike]], height: int, width: int
) -> tuple[int, int, npt.NDArray[np.bool_]]:
    """Fill polygons with holes: even-odd within a polygon, all polygons together.

    Args:
        polygons: a sequence of polygons, each a sequence of rings (n, 2) of x, y; closed or not, fractional, and
            outside of the tile if need be.
        height: rows of the tile.
        width: columns of the tile.

    Returns:
        Top and left of a box within the tile, and what is inside of it: (h, w) bool.

    Raises:
        BadInput: a ring is not (n, 2) or not finite.
    """
    filled = [[fill_ring(ring, height, width) for ring in map(check_ring, p) if len(ring)] for p in polygons]
    boxes = [(t, v, t + inside.shape[0], v + inside.shape[1]) for p in filled for t, v, inside in p if inside.size]
    if not boxes:
        return 0, 0, np.zeros((0, 0), np.bool_)
    top, left = min(box[0] for box in boxes), min(box[1] for box in boxes)
    bottom, right = max(box[2] for box in boxes), max(box[3] for box in boxes)
    together = np.zeros((bottom - top, right - left), np.bool_)
    for polygon in filled:
        alone = np.zeros_like(together)
        for y, x, inside in polygon:
            if inside.size:
                alone[y - top : y - top + inside.shape[0], x - left : x - left + inside.shape[1]] ^= inside
        together |= alone
    return top, left, together


def _walk(region: npt.NDArray[np.bool_]) -> Iterator[Ring]:
    """Follow the region's border with the region at the right hand; where two pixels meet at a corner, turn right."""
    height, width = region.shape
    inside = np.zeros((height + 2, width + 2), np.bool_)
    inside[1:-1, 1:-1] = region
    leaving = _borders(inside)  # by corner, a bit for each direction in which a border leaves it
    across = width + 1
    offsets = [dx + dy * across for dx, dy in STEPS]
    for start in np.flatnonzero(np.frombuffer(leaving, np.uint8) & 1).tolist():
        if not leaving[start] & 1:
            continue
        ring: Ring = []
        corner, direction = start, RIGHT
        while True:
            corner += offsets[direction]
            turned = _next_direction(leaving[corner], direction)
            if turned != direction:
                ring.append((corner % across, corner // across))
            direction = turned
            leaving[corner] &= ~(1 << direction)
            if (corner, direction) == (start, RIGHT):
                break
        yield ring


def _borders(inside: npt.NDArray[np.bool_]) -> bytearray:
    above, below = inside[:-1], inside[1:]
    leaving = np.zeros((inside.shape[0] - 1, inside.shape[1] - 1), np.uint8)
    leaving[:, :-1] |= (below & ~above)[:, 1:-1]  # right, along the top of a pixel
    leaving[:, 1:] |= ((above & ~below)[:, 1:-1] * np.uint8(4)).astype(np.uint8)  # left, along its bottom
    west, east = inside[1:-1, :-1], inside[1:-1, 1:]
    leaving[:-1] |= ((west & ~east) * np.uint8(2)).astype(np.uint8)  # down, along its right side
    leaving[1:] |= ((east & ~west) * np.uint8(8)).astype(np.uint8)  # up, along its left side
    return bytearray(leaving.tobytes())


def _next_direction(leaving: int, direction: int) -> int:
    """Right if a border leaves to the right, else straight on, else left; one of them does."""
    right, left = (direction + 1) % 4, (direction + 3) % 4
    if leaving & (1 << right):
        return right
    return direction if leaving & (1 << direction) else left


def _split(ring: Ring) -> Iterator[Ring]:
    """Cut a ring that touches itself into rings that don't."""
    if len(set(ring)) == len(ring):
        yield ring
        return
    path: Ring = []
    at: dict[tuple[int, int], int] = {}
    for corner in ring:
        if corner in at:
            first = at[corner]
            yield path[first:]
            for dropped in path[first + 1 :]:
                del at[dropped]
            del path[first + 1 :]
        else:
            at[corner] = len(path)
            path.append(corner)
    yield path


def _turns_right(ring: Ring) -> bool:
    """Whether a ring runs clockwise on the screen, so that what is inside of it belongs to the region."""
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True)) > 0


def _by_piece(region: npt.NDArray[np.bool_], outer: list[Ring], holes: list[Ring]) -> list[Polygon]:
    """Give each hole to the outer ring of the piece that it lies in."""
    from scipy.ndimage import label

    pieces, _ = label(region)
    polygons = {_piece(pieces, ring): [ring] for ring in outer}
    for hole in holes:
        polygons[_piece(pieces, hole)].append(hole)
    return list(polygons.values())


def _piece(pieces: npt.NDArray[np.int32], ring: Ring) -> int:
    """The number of the piece whose border a ring is: the pixel below an edge that goes to the right."""
    edges = zip(ring, ring[1:] + ring[:1], strict=True)
    x, y = next((x0, y0) for (x0, y0), (x1, y1) in edges if y0 == y1 and x1 > x0)
    return int(pieces[y, x])
