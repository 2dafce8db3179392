"""Tables beside tiles: ``items.csv``, which says what differs from tile to tile, and MoNuSeg's ``tiles.csv``.

As spreadsheets save them: commas, semicolons (with decimal commas) or tabs, with or without a byte order mark. A value
that cannot be is refused; organs and splits that differ in case or spaces only are written alike, and that is said.
"""

from __future__ import annotations

import csv
import io
import math
import unicodedata
from typing import TYPE_CHECKING

from sian.data import monuseg
from sian.data.dataset import PREPARATIONS, Preparation, tcga_patient, tcga_preparation
from sian.data.pairs import Collection, Pair
from sian.data.tile_names import MASK_MARKS, OUTLINE_SUFFIXES, composed, find_beside, listing
from sian.errors import BadInput, first_line, warn
from sian.files.images import IMAGE_SUFFIXES
from sian.masks.files import MASK_SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

DELIMITERS = (",", ";", "\t")
MPP_RANGE = (0.01, 100.0)  # micrometres per pixel; what --mpp takes
PLAIN_NAMES = ("tile", "id", "split")  # columns that become names of files or folders
ANNOTATION_ENDS = (*OUTLINE_SUFFIXES, *(mark + suffix for mark in MASK_MARKS for suffix in MASK_SUFFIXES))


def read_items(source: Path) -> Collection:
    """A folder with ``items.csv``: id, organ, preparation, mpp, patient, licence; files beside it."""
    table = source / "items.csv"
    pairs, problems = [], []
    rows = _read_table(table, ("id",))
    files = listing(source)
    for row in rows:
        image, annotation = (find_beside(files, row["id"], ends) for ends in (IMAGE_SUFFIXES, ANNOTATION_ENDS))
        if image is None or annotation is None:
            problems.append(f"{row['id']} has no {'image' if image is None else 'annotation'}")
            continue
        pairs.append(_listed(table, row, image, annotation))
    if problems:
        raise BadInput(f"{table}: {'; '.join(problems)}; copy what is missing")
    return Collection(source.name, tuple(pairs), _licence(rows), source.name)


def read_tiles(source: Path) -> Collection:
    """A folder with ``tiles.csv``: tile, split, organ, annotation, source, sha256_pixels; files in SPLIT/."""
    table = source / "tiles.csv"
    pairs, problems = [], []
    for row in _read_table(table, ("tile", "split", "organ"), folder="split"):
        tile, files = row["tile"], listing(source / row["folder"])
        image, annotation = (find_beside(files, tile, ends) for ends in (IMAGE_SUFFIXES, ANNOTATION_ENDS))
        if image is None or annotation is None:
            problems.append(f"{tile} has no {'image' if image is None else 'annotation'} in {row['folder']}/")
            continue
        pairs.append(
            Pair(
                composed(tile),
                image,
                annotation,
                organ=row["organ"],
                split=row["split"],
                preparation=tcga_preparation(tile),
                patient=tcga_patient(tile),
                mpp=monuseg.MPP if tile in monuseg.TILES else None,
                source=f"{monuseg.NAME}; {row.get('source') or source.name}",
                sha256_pixels=row.get("sha256_pixels") or None,
            )
        )
    if problems:
        raise BadInput(f"{table}: {'; '.join(problems)}; copy what is missing")
    return Collection(monuseg.NAME, tuple(pairs), monuseg.LICENCE, monuseg.SOURCE)


def _listed(table: Path, row: dict[str, str], image: Path, annotation: Path) -> Pair:
    preparation = row.get("preparation") or "unknown"
    known: dict[str, Preparation] = {name: name for name in PREPARATIONS}
    if preparation not in known:
        raise BadInput(f"{table}: found preparation {preparation!r}, expected one of {', '.join(PREPARATIONS)}")
    return Pair(
        composed(row["id"]),
        image,
        annotation,
        organ=row.get("organ") or "unknown",
        split=row.get("split") or "train",
        preparation=known[preparation],
        patient=row.get("patient") or tcga_patient(row["id"]),
        mpp=_mpp(table, row.get("mpp") or ""),
        source=row.get("source") or table.parent.name,
    )


def _mpp(table: Path, text: str) -> float | None:
    if not text:
        return None
    try:
        mpp = float(text.removeprefix("~").replace(",", "."))
    except ValueError:
        mpp = math.nan
    if not MPP_RANGE[0] <= mpp <= MPP_RANGE[1]:  # nan fails as well
        raise BadInput(
            f"{table}: found mpp {text!r}, expected micrometres per pixel from {MPP_RANGE[0]:g} to {MPP_RANGE[1]:g}, "
            "such as 0.25; leave it empty where it is unknown"
        )
    return mpp


def _licence(rows: list[dict[str, str]]) -> str:
    return " / ".join(sorted({row.get("licence") or "unknown" for row in rows})) or "unknown"


def _read_table(path: Path, needed: tuple[str, ...], folder: str | None = None) -> list[dict[str, str]]:
    """The rows, by column; values without the spaces around them; ``folder`` is a column as it is written."""
    rows = _rows(path)
    missing = [column for column in needed if not rows or column not in rows[0]]
    if missing:
        raise BadInput(f"{path}: found no column {', '.join(missing)}, expected {', '.join(needed)}; add it")
    for row in rows:
        for column in PLAIN_NAMES:
            if any(mark in row.get(column, "") for mark in ("/", "\\", "..", "\0")):
                raise BadInput(f"{path}: found {column} {row[column]!r}, expected a plain name without folders")
    _check_once(path, [row[needed[0]] for row in rows])
    if folder is not None:
        rows = [row | {"folder": row[folder]} for row in rows]
    for column in ("organ", "split"):
        _write_alike(path, column, rows)
    return rows


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        head = text.partition("\n")[0]
        delimiter = max(DELIMITERS, key=head.count)  # the comma, if the table has one column
        table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        columns = [name.strip() for name in next(table, [])]
        rows = [[value.strip() for value in row] for row in table if any(value.strip() for value in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(
            f"{path}: cannot be read as a table ({first_line(error)}); expected comma-separated UTF-8"
        ) from error
    if len(set(columns)) < len(columns):
        raise BadInput(f"{path}: found a column twice among {', '.join(columns)}, expected each once; remove one")
    for number, row in enumerate(rows, start=2):
        if len(row) > len(columns):
            raise BadInput(
                f"{path}: found {len(row)} values for {len(columns)} columns in row {number}, expected one each; put "
                "values that hold the delimiter in quotes"
            )
    return [dict(zip(columns, row + [""] * (len(columns) - len(row)), strict=True)) for row in rows]


def _check_once(path: Path, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        key = composed(name).casefold()
        if not name or key in seen:
            found = f"{name!r} twice" if name else "a row without a name"
            raise BadInput(f"{path}: found {found}, expected each tile once; remove or rename one")
        seen.add(key)


def _write_alike(path: Path, column: str, rows: list[dict[str, str]]) -> None:
    """Names in lower case with single spaces, so that " Kidney " and "kidney" are one; what is changed is said."""
    for row in rows:
        given = row.get(column, "")
        row_name = " ".join(unicodedata.normalize("NFC", given).split()).lower()
        if row_name != given:
            warn(f"{path}: the {column} {given!r} is written {row_name!r}, as names of {column}s are")
            row[column] = row_name
