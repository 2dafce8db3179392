"""GeoJSON of nuclei as a mask that is read in parts, however many it holds (``pip install 'sian[slides]'``).

The file is parsed once, feature by feature, by ijson; outlines go into a SQLite file in a temporary folder, and a grid
of cells says which ones lie where. So memory does not grow with the file. What is a nucleus is told as for
`sian.data.formats.geojson`, but for one thing: annotations and outlines of no kind that are larger than a nucleus can
be are regions, whether or not they hold others.

Why ijson: it is kept up, has no dependencies, and its wheels hold yajl, a parser in C; orjson and its like read a file
as a whole. Why a grid and not SQLite's R*Tree: some builds of SQLite lack it, and nuclei are all of one size.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sian.data.formats.geojson import EXPECTED, NUCLEI, PERHAPS, Found, found_in, nuclei_of
from sian.data.formats.regions import REGION, Effort, check_vertices, fill_free
from sian.errors import BadInput, MissingResource, first_line, warn
from sian.files.unpacking import GZIP_MAGIC
from sian.masks.checking import MAX_ID
from sian.masks.contours import fill_polygons
from sian.masks.outlines import MIN_VERTICES
from sian.slides.levels import MAX_SIDE, Area
from sian.slides.nucleus_index import LARGEST_NUCLEUS

if TYPE_CHECKING:
    from types import ModuleType

CELL = 1024  # px of a side of the grid's cells
MOST_FEATURE_BYTES = 64 << 20  # of one feature; a nucleus has a few thousand
BATCH = 2000  # outlines that are written at once
TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE nuclei (id INTEGER PRIMARY KEY, number INTEGER, kind TEXT, class TEXT, "top" INTEGER, "left" INTEGER,
                     "bottom" INTEGER, "right" INTEGER, sizes TEXT, points BLOB);
CREATE TABLE cells (y INTEGER, x INTEGER, id INTEGER, PRIMARY KEY (y, x, id)) WITHOUT ROWID;
"""
INSIDE = """
SELECT id, number, sizes, points FROM nuclei
WHERE id IN (SELECT id FROM cells WHERE y BETWEEN ? AND ? AND x BETWEEN ? AND ?)
AND "top" < ? AND "bottom" > ? AND "left" < ? AND "right" > ? ORDER BY id
"""

Row = tuple[int, int | None, str, str | None, int, int, int, int, str, bytes]


class OutlineLevels:
    """The nuclei of a GeoJSON file as a mask; see `sian.slides.levels.Levels`. The first outline keeps the pixel.

    Args:
        path: .geojson or .geojson.gz, its coordinates in px of the mask.
        shape: height and width of the mask; as far as the outlines reach if None.

    Raises:
        BadInput: no GeoJSON, cut short, no nucleus in it, or coordinates beyond any slide.
        MissingResource: ijson is not installed, or the temporary folder is full.

    Warns:
        SianWarning: it holds other things than nuclei, which are left out.
    """

    mpp: float | None = None

    def __init__(self, path: Path, shape: tuple[int, int] | None = None) -> None:
        self.path = path
        self._folder = tempfile.TemporaryDirectory(prefix="sian-outlines-")
        try:
            self._table = sqlite3.connect(str(Path(self._folder.name) / "nuclei.sqlite"), check_same_thread=False)
            self._table.executescript(TABLES)
            left_out = self._fill()
            self._own_ids = self._numbered()
            self.sizes: Sequence[tuple[int, int]] = [shape or self._reach()]
        except sqlite3.Error as error:
            self.close()
            raise MissingResource(
                f"{path}: its index of outlines cannot be written to the temporary folder ({first_line(error)}); free "
                "some space there, or set TMPDIR to another folder"
            ) from error
        except BaseException:
            self.close()
            raise
        if left_out:
            warn(f"{path}: left out {', '.join(f'{count:,} x {kind}' for kind, count in sorted(left_out.items()))}")

    def read(self, level: int, area: Area) -> NDArray[np.int32]:
        """See `Levels.read`."""
        del level  # there is one
        mask = np.zeros((area.height, area.width), np.int32)
        effort = Effort(self.path, area.height, area.width)
        cells = (area.top // CELL, (area.bottom - 1) // CELL, area.left // CELL, (area.right - 1) // CELL)
        touching = (area.bottom, area.top, area.right, area.left)
        for nucleus, number, sizes, points in self._table.execute(INSIDE, (*cells, *touching)):
            polygons = _unpacked(sizes, points, area)
            effort.spend(ring for polygon in polygons for ring in polygon)
            fill_free(mask, fill_polygons(polygons, area.height, area.width), number if self._own_ids else nucleus)
        return mask

    def classes(self) -> Mapping[int, str] | None:
        """Class name by id, read from the index as it is asked for; None if no nucleus has one."""
        found = _OutlineClasses(self._table, self._own_ids)
        if not len(found):
            return None
        self._table.execute("CREATE INDEX IF NOT EXISTS numbers ON nuclei (number)")
        return found

    def close(self) -> None:
        """Remove the index."""
        if hasattr(self, "_table"):
            self._table.close()
        self._folder.cleanup()

    def _fill(self) -> Counter[str]:
        """Write all nuclei into the table; how many other things there were."""
        left_out: Counter[str] = Counter()
        rows: list[Row] = []
        count = 0
        for found in _objects(self.path):
            left_out.update(found.others)
            if found.kind not in (*NUCLEI, *PERHAPS) or found.is_region:
                left_out[REGION if found.is_region else found.kind] += 1
                continue
            for _, polygons in nuclei_of(found):
                row = _row(found, polygons, count + 1)
                if row is None or _is_large(self.path, row):
                    left_out["outline without an inside" if row is None else REGION] += 1
                    continue
                rows.append(row)
                count += 1
            if len(rows) >= BATCH:
                self._write(rows)
                rows = []
        self._write(rows)
        if self._one("SELECT count(*) FROM nuclei WHERE kind IN ('detection', 'cell', 'cell outline')"):
            left_out[REGION] += self._table.execute("DELETE FROM nuclei WHERE kind = 'annotation'").rowcount
        self._table.commit()
        if not self._one("SELECT count(*) FROM nuclei"):
            raise BadInput(f"{self.path}: found no outline of a nucleus, {EXPECTED}; export detections")
        return +left_out

    def _write(self, rows: list[Row]) -> None:
        self._table.executemany("INSERT INTO nuclei VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        places = (
            (y, x, row[0])
            for row in rows
            for y in range(max(0, row[4]) // CELL, max(0, row[6] - 1) // CELL + 1)
            for x in range(max(0, row[5]) // CELL, max(0, row[7] - 1) // CELL + 1)
        )
        self._table.executemany("INSERT INTO cells VALUES (?, ?, ?)", places)

    def _numbered(self) -> bool:
        """Whether all nuclei have names that are ids, as SIAN writes them."""
        count, different = self._table.execute("SELECT count(*), count(DISTINCT number) FROM nuclei").fetchone()
        return bool(count == different and self._one("SELECT min(number) FROM nuclei") > 0)

    def _reach(self) -> tuple[int, int]:
        """Height and width that hold all outlines."""
        bottom, right = self._table.execute('SELECT max("bottom"), max("right") FROM nuclei').fetchone()
        if min(bottom, right) < 1:
            raise BadInput(f"{self.path}: all outlines lie above or left of the slide, expected px of it; export again")
        return int(bottom), int(right)

    def _one(self, question: str) -> int:
        return int(self._table.execute(question).fetchone()[0] or 0)


class _OutlineClasses(Mapping[int, str]):
    """The classes of an index of outlines."""

    def __init__(self, table: sqlite3.Connection, own_ids: bool) -> None:
        self._table = table
        self._one = f"SELECT class FROM nuclei WHERE {'number' if own_ids else 'id'} = ?"  # noqa: S608 - one of two
        self._all = f"SELECT {'number' if own_ids else 'id'} FROM nuclei WHERE class IS NOT NULL ORDER BY 1"  # noqa: S608

    def __getitem__(self, nucleus: int) -> str:
        found = self._table.execute(self._one, (nucleus,)).fetchone()
        if found is None or found[0] is None:
            raise KeyError(nucleus)
        return str(found[0])

    def __iter__(self) -> Iterator[int]:
        return (int(nucleus) for (nucleus,) in self._table.execute(self._all))

    def __len__(self) -> int:
        return int(self._table.execute("SELECT count(class) FROM nuclei").fetchone()[0])


def _objects(path: Path) -> Iterator[Found]:
    """What a file holds, feature by feature."""
    ijson = _library()
    place = 1
    try:
        with path.open("rb") as head:
            packed = head.read(2) == GZIP_MAGIC
        with gzip.open(path) if packed else path.open("rb") as stream:
            limited = _Limited(path, stream)
            for feature in ijson.items(limited, limited.prefix, use_float=True):
                limited.since = 0
                for found in found_in(path, [feature], place):
                    yield found
                    place += 1
    except ijson.JSONError as error:
        raise BadInput(
            f"{path}: is not whole JSON near feature {place} ({first_line(error)[:80]}), {EXPECTED}; export it again, "
            "without measurements if NaN stands among them"
        ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(f"{path}: found a broken gzip file ({first_line(error)}); copy it again") from error


class _Limited:
    """A stream that refuses to go on when one feature is longer than any nucleus."""

    def __init__(self, path: Path, stream: BinaryIO | gzip.GzipFile) -> None:
        self._path, self._stream, self.since = path, stream, 0
        self._first = stream.read(4096)
        self.prefix = "item" if self._first.lstrip()[:1] == b"[" else "features.item"

    def read(self, size: int = -1) -> bytes:
        """As of a file."""
        if size == 0:
            return b""
        found, self._first = self._first or self._stream.read(size), b""
        self.since += len(found)
        if self.since > MOST_FEATURE_BYTES:
            raise BadInput(
                f"{self._path}: found {MOST_FEATURE_BYTES >> 20} MB without the end of a feature, {EXPECTED}, one "
                "feature a nucleus; export detections"
            )
        return found


def _row(found: Found, polygons: list[Any], nucleus: int) -> Row | None:
    """An outline as the table holds it; None if it has no inside."""
    checked = [[check_vertices(found.where, ring) for ring in polygon] for polygon in polygons]
    kept = [
        [ring for ring in polygon if len(ring)] for polygon in checked if polygon and len(polygon[0]) >= MIN_VERTICES
    ]
    if not kept:
        return None
    points = np.concatenate([ring for polygon in kept for ring in polygon])
    (left, top), (right, bottom) = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    if max(right, bottom) > MAX_SIDE:
        raise BadInput(f"{found.where}: reaches to {int(right)}, {int(bottom)} px, expected at most {MAX_SIDE:,}")
    number = found.number if found.number is not None and 0 < found.number <= MAX_ID else None
    sizes = json.dumps([[len(ring) for ring in polygon] for polygon in kept])
    return (
        nucleus,
        number,
        found.kind,
        found.name,
        int(top),
        int(left),
        int(bottom),
        int(right),
        sizes,
        points.tobytes(),
    )


def _is_large(path: Path, row: Row) -> bool:
    """Whether an outline is too large for a nucleus, and is a region therefore; refused where it claims to be one."""
    height, width = row[6] - row[4], row[7] - row[5]
    if max(height, width) > LARGEST_NUCLEUS and row[2] in NUCLEI:
        raise BadInput(
            f"{path}: found a {row[2]} of {height} x {width} px at row {row[4]}, column {row[5]}, expected a "
            f"nucleus of at most {LARGEST_NUCLEUS} px on a side; export detections of nuclei"
        )
    return max(height, width) > LARGEST_NUCLEUS


def _unpacked(sizes: str, points: bytes, area: Area) -> list[list[NDArray[np.float64]]]:
    """The rings of an outline, in px of an area."""
    left = np.frombuffer(points, np.float64).reshape(-1, 2) - (area.left, area.top)
    polygons, place = [], 0
    for polygon in json.loads(sizes):
        ends = np.cumsum([place, *polygon]).tolist()
        polygons.append([left[first:last] for first, last in pairwise(ends)])
        place = ends[-1]
    return polygons


def _library() -> ModuleType:
    try:
        import ijson
    except ImportError:
        raise MissingResource(
            "GeoJSON as a mask needs the package ijson, which is not installed here; get it with `pip install "
            "'sian[slides]'`"
        ) from None
    found: ModuleType = ijson
    return found
