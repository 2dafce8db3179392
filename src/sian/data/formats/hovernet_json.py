"""Read the JSON that hover_net writes for a picture: {"mag": 40, "nuc": {"1": {"contour": [[x, y], ...], "type": 1}}}.

Contours are OpenCV's: pixels on the border of the nucleus, which belong to it, joined by straight and diagonal steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.formats.regions import Effort, Region, Shape, check_vertices, draw, own_ids
from sian.data.formats.typeinfo import name_types
from sian.errors import BadInput
from sian.files.jsonfiles import read_json
from sian.masks.outlines import fill_ring

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from sian.data.pairs import Annotated

HEAD_BYTES = 1 << 12  # of a file in which its key stands
KEY = b'"nuc"'
EXPECTED = 'expected hover_net\'s {"nuc": {"1": {"contour": [[x, y], ...], "type": 1}}}'


def is_one(path: Path) -> bool:
    """Whether a JSON file looks like hover_net's, by its first bytes."""
    with path.open("rb") as stream:
        return KEY in stream.read(HEAD_BYTES)


def read(path: Path, height: int, width: int) -> Annotated:
    """Read the nuclei of one picture; see `Format.annotations`."""
    content = read_json(path, nan=True)
    nuclei = content.get("nuc") if isinstance(content, dict) else None
    if not isinstance(nuclei, dict) or not all(isinstance(entry, dict) for entry in nuclei.values()):
        raise BadInput(f"{path}: found no nuclei, {EXPECTED}; export it again")
    ids = own_ids([int(name) if name.isascii() and name.isdecimal() and len(name) <= 10 else None for name in nuclei])
    types = {
        nucleus: number for nucleus, entry in zip(ids, nuclei.values(), strict=True) if (number := _type(path, entry))
    }
    names = name_types(path, types)
    effort = Effort(path, height, width)
    shapes = []
    for nucleus, (name, entry) in zip(ids, nuclei.items(), strict=True):
        contour = check_vertices(f"{path}, nucleus {name[:20]}", entry.get("contour") or [])
        region = _region(contour, height, width, effort) if len(contour) else None
        kind = "nucleus" if region is not None else "nucleus without a contour"
        shapes.append(Shape(kind, region, nucleus, names.get(nucleus)))
    return draw(path, shapes, height, width)


def _type(path: Path, entry: dict[str, Any]) -> int:
    number = entry.get("type")
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 0):
        raise BadInput(f"{path}: found the type {str(number)[:60]}, expected a class number; export it again")
    return number or 0


def _region(contour: npt.NDArray[np.float64], height: int, width: int, effort: Effort) -> Region:
    """What is inside of a contour, and the pixels on it."""
    effort.spend([contour + 0.5])
    top, left, inside = fill_ring(contour + 0.5, height, width)
    edges = np.clip(contour, -1, [width, height])  # as `_border` follows them
    effort.spend_pixels(int(np.abs(edges - np.roll(edges, -1, axis=0)).max(axis=1).sum()) + len(edges))
    rows, columns = _border(contour, height, width)
    if not len(rows):
        return top, left, inside
    corners = [(rows.min(), columns.min()), (rows.max() + 1, columns.max() + 1)]
    if inside.size:
        corners += [(top, left), (top + inside.shape[0], left + inside.shape[1])]
    (y0, x0), (y1, x1) = np.min(corners, axis=0).tolist(), np.max(corners, axis=0).tolist()
    whole = np.zeros((y1 - y0, x1 - x0), np.bool_)
    if inside.size:
        whole[top - y0 : top - y0 + inside.shape[0], left - x0 : left - x0 + inside.shape[1]] = inside
    whole[rows - y0, columns - x0] = True
    return y0, x0, whole


def _border(
    contour: npt.NDArray[np.float64], height: int, width: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The pixels of the picture on the lines between a contour's pixels: rows and columns."""
    start = np.clip(contour, -1, [width, height])  # what lies outside is not drawn; its lines are not followed there
    step = np.roll(start, -1, axis=0) - start
    count = np.maximum(np.abs(step).max(axis=1), 1).round().astype(np.int64)
    edge = np.repeat(np.arange(len(start)), count)
    along = (np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)) / count[edge]
    columns, rows = np.rint(start[edge] + along[:, None] * step[edge]).astype(np.int64).T
    kept = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    return rows[kept], columns[kept]
