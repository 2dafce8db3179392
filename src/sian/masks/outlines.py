"""Fill outlines, by the rule of docs/design.md, "Data set"; `sian.data.formats.regions` draws masks of them.

Coordinates are continuous: pixel j covers [j, j + 1) and its centre is j + 0.5. A pixel belongs to an
outline when its centre is inside by the even-odd rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sian.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

MIN_VERTICES = 3
CROSSINGS_AT_ONCE = 1 << 19


def check_ring(outline: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The vertices of one outline as (n, 2) float64; refuses other shapes and what is not finite."""
    vertices = np.asarray(outline, np.float64)
    if vertices.size == 0:
        return np.empty((0, 2))
    if vertices.ndim != 2 or vertices.shape[1] != 2:
        raise BadInput(f"expected an outline as (n, 2) x, y, found shape {vertices.shape}")
    if not np.isfinite(vertices).all():
        raise BadInput("expected finite outline coordinates, found nan or infinity")
    return vertices


def fill_ring(vertices: npt.NDArray[np.float64], height: int, width: int) -> tuple[int, int, npt.NDArray[np.bool_]]:
    """Fill one outline: top, left, and what is inside of the part of the tile that its box covers.

    Memory is that of the box and of `CROSSINGS_AT_ONCE` crossings, however many there are.
    """
    first, stop = _rows_between(vertices, height)
    crossing = np.flatnonzero(stop > first)
    if len(crossing) == 0:
        return 0, 0, np.zeros((0, 0), np.bool_)
    top, bottom = int(first[crossing].min()), int(stop[crossing].max())
    left, right = _columns_crossed(vertices, top, bottom, width)
    crossed = np.zeros((bottom - top, right - left + 1), np.uint8)  # one more column: crossings right of every pixel
    for part in _parts(crossing, stop - first):
        rows, columns = _crossings(vertices, first, stop, part)
        at = (rows - top) * crossed.shape[1] + np.clip(columns, left, right).astype(np.int64) - left
        np.add.at(crossed.reshape(-1), at, np.uint8(1))  # wraps at 256, which keeps even and odd
    np.cumsum(crossed, axis=1, out=crossed, dtype=np.uint8)
    return top, left, (crossed[:, :-1] & 1).astype(np.bool_)


def count_crossings(vertices: npt.NDArray[np.float64], height: int) -> int:
    """How often an outline crosses rows of pixel centres: what filling it costs."""
    first, stop = _rows_between(vertices, height)
    return int((stop - first).sum())


def _rows_between(
    vertices: npt.NDArray[np.float64], height: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """By edge, the first row of centres that it crosses and the first that it does not any more.

    An edge crosses the rows with y_low <= centre < y_high, so that a vertex on a row of centres counts
    once, and two outlines that share an edge share no pixel and leave none between them.
    """
    y0 = vertices[:, 1]
    y1 = np.roll(y0, -1)
    first = np.clip(np.ceil(np.minimum(y0, y1) - 0.5), 0, height).astype(np.int64)
    stop = np.clip(np.ceil(np.maximum(y0, y1) - 0.5), 0, height).astype(np.int64)
    return first, stop


def _columns_crossed(vertices: npt.NDArray[np.float64], top: int, bottom: int, width: int) -> tuple[int, int]:
    """Columns between which all crossings lie: those of the vertices next to the rows that are crossed."""
    x, y = vertices.T
    if ((y >= top) & (y <= bottom)).all():
        low, high = x.min(), x.max()
    else:  # edges leave the tile above or below; what they cross of it can lie anywhere between their ends
        near = (np.maximum(y, np.roll(y, -1)) >= top) & (np.minimum(y, np.roll(y, -1)) <= bottom)
        ends = np.concatenate([x[near], np.roll(x, -1)[near]])
        low, high = ends.min(), ends.max()
    return int(np.clip(np.ceil(low - 0.5), 0, width)), int(np.clip(np.ceil(high - 0.5), 0, width))


def _parts(edges: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Cut a list of edges so that each part has about `CROSSINGS_AT_ONCE` crossings."""
    if counts.sum() <= CROSSINGS_AT_ONCE:
        yield edges
        return
    block = (np.cumsum(counts[edges]) - 1) // CROSSINGS_AT_ONCE
    yield from np.split(edges, np.flatnonzero(np.diff(block)) + 1)


def _crossings(
    vertices: npt.NDArray[np.float64],
    first: npt.NDArray[np.int64],
    stop: npt.NDArray[np.int64],
    edges: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Where edges cross rows of centres: the row, and the first column not left of it."""
    count = stop[edges] - first[edges]
    edge = np.repeat(edges, count)
    rows = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    following = (edge + 1) % len(vertices)
    (x0, y0), (x1, y1) = vertices[edge].T, vertices[following].T
    x = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
    return rows, np.ceil(x - 0.5)
