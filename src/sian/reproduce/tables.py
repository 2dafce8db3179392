"""Tables 1 to 3 of the paper: which rows, which numbers, and what the paper printed.

Captions win where the paper's text is wrong: its section 4.4 speaks of "16.1 %" and "6.3 %" where the numbers of
Table 3 give 14.0 % and 12.0 %, and of FID gains by STYLE of "10.8 %" and "5.3 %" where they give 9.8 % and 5.1 %; it
swaps the numbers of Tables 3 and 4. SPADE's PQ is 0.533 in Table 1 and 0.523 in Table 3; both stand where they were
printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sian.errors import BadInput, nearest

ORGANS = ("breast", "kidney", "prostate", "bladder", "colon", "lung", "brain")  # of Table 2, in its order


@dataclass(frozen=True)
class Column:
    """A number of a table.

    Attributes:
        key: in the CSV, and in the paper's numbers.
        title: for people.
        path: where it stands in a report.
        digits: after the point.
        smaller_is_better: which way the arrow points; None for no arrow.
    """

    key: str
    title: str
    path: tuple[str, ...]
    digits: int = 3
    smaller_is_better: bool | None = False

    def of(self, report: Mapping[str, Any]) -> float | None:
        """This number of a report; None where it was not measured."""
        value = _at(report, self.path)
        value = value.get("mean") if isinstance(value, Mapping) else value
        return None if value is None else float(value)

    def interval_of(self, report: Mapping[str, Any]) -> tuple[float, float] | None:
        """Its 95 % interval over tiles; None where a report has none, as for single organs."""
        if "metrics" not in self.path:
            return None
        value = _at(report, tuple("confidence_95" if key == "metrics" else key for key in self.path))
        return None if value is None else (float(value[0]), float(value[1]))


def _at(report: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = report
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


@dataclass(frozen=True)
class Line:
    """A row of a table: a trained row, what the table calls it, and the paper's numbers by column."""

    row: str
    title: str
    paper: Mapping[str, float]


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        name: "table1", ...
        title: a short heading.
        columns: its numbers.
        lines: its rows.
        note: what a reader must know.
        pairs: rows whose difference is a claim of the paper, each a row and the one it is compared with.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    note: str = ""
    pairs: tuple[tuple[str, str], ...] = ()

    @property
    def row_names(self) -> list[str]:
        """Names of its rows."""
        return [line.row for line in self.lines]


def _metric(key: str, title: str, digits: int = 3, smaller: bool = False) -> Column:
    return Column(key, title, ("metrics", key), digits, smaller)


_FID = _metric("fid", "FID", 1, smaller=True)
_KID = Column("kid", "KID", ("metrics", "kid"), 3, smaller_is_better=True)
_SSIM, _DQ, _SQ, _PQ = (_metric(key, key.upper()) for key in ("ssim", "dq", "sq", "pq"))
_PER_ORGAN = tuple(
    Column(organ, organ, ("per_organ", organ, "fid"), digits=1, smaller_is_better=True) for organ in ORGANS
)


def _line(row: str, title: str, columns: tuple[Column, ...], *paper: float) -> Line:
    """A line; the paper's numbers in the order of its columns, none for a row that the paper lacks."""
    return Line(row, title, dict(zip((column.key for column in columns), paper, strict=False)))


_TABLE1 = (_FID, _SSIM, _DQ, _SQ, _PQ)
_TABLE3 = (_FID, _SSIM, _PQ)

_RIVALS = ("pix2pix", "sharpgan", "pix2pixhd", "spade", "spade-boundary", "spade-layout")
_PARTS = ("inst", "style", "style-loss", "direction", "distance", "inst-style", "sian")

TABLES: dict[str, Table] = {
    "table1": Table(
        "table1",
        "Table 1: reconstruction and segmentation metrics",
        (*_TABLE1, _KID),
        (
            _line("pix2pix", "pix2pix", _TABLE1, 170.3, 0.468, 0.651, 0.718, 0.493),
            _line("sharpgan", "Sharp-GAN", _TABLE1, 156.2, 0.482, 0.699, 0.744, 0.538),
            _line("pix2pixhd", "pix2pixHD", _TABLE1, 186.3, 0.479, 0.750, 0.753, 0.566),
            _line("spade", "SPADE", _TABLE1, 134.6, 0.488, 0.681, 0.738, 0.533),
            _line("spade-boundary", "SPADE with the instance boundary", _TABLE1),
            _line("spade-layout", "SPADE with M, P and Q as input", _TABLE1),
            _line("sian", "SIAN", _TABLE1, 115.7, 0.515, 0.757, 0.761, 0.586),
        ),
        "pix2pix, Sharp-GAN and pix2pixHD take no style: they cannot follow the reference image.",
        tuple(("sian", rival) for rival in _RIVALS),
    ),
    "table2": Table(
        "table2",
        "Table 2: FID by organ",
        _PER_ORGAN,
        (
            _line("pix2pix", "pix2pix", _PER_ORGAN, 211.0, 197.3, 237.5, 246.9, 239.3, 187.5, 304.4),
            _line("sharpgan", "Sharp-GAN", _PER_ORGAN, 198.0, 190.4, 235.3, 211.4, 208.6, 195.4, 260.3),
            _line("pix2pixhd", "pix2pixHD", _PER_ORGAN, 260.0, 222.1, 260.1, 278.6, 221.8, 252.8, 278.6),
            _line("spade", "SPADE", _PER_ORGAN, 212.4, 187.9, 200.4, 212.5, 222.3, 207.2, 245.5),
            _line("spade-boundary", "SPADE with the instance boundary", _PER_ORGAN),
            _line("spade-layout", "SPADE with M, P and Q as input", _PER_ORGAN),
            _line("sian", "SIAN", _PER_ORGAN, 200.4, 173.9, 190.2, 196.9, 204.1, 194.6, 239.6),
        ),
        "FID of so few windows is dominated by their number; no training tile is of brain, and MoNuSeg's lung tiles "
        "are called liver in its training split.",
    ),
    "table3": Table(
        "table3",
        "Table 3: the components of SIAN",
        (*_TABLE3, _DQ, _SQ, _KID),
        (
            _line("baseline", "Baseline", _TABLE3, 134.6, 0.488, 0.523),
            _line("inst", "INST", _TABLE3, 127.9, 0.497, 0.576),
            _line("style", "STYLE", _TABLE3, 121.4, 0.509, 0.582),
            _line("style-loss", "Style Loss", _TABLE3, 130.1, 0.493, 0.549),
            _line("direction", "SIAN, direction alone", _TABLE3),
            _line("distance", "SIAN, distance alone", _TABLE3),
            _line("inst-style", "INST + STYLE, no Style Loss", _TABLE3),
            _line("sian", "SIAN", _TABLE3, 115.7, 0.515, 0.586),
        ),
        "The paper's text gives other percentages than these numbers; the table is as printed. The baseline is SIAN's "
        "generator with SPADE's blocks; its discriminator sees M alone.",
        tuple((part, "baseline") for part in _PARTS),
    ),
}


def table_named(name: str) -> Table:
    """The table of that name.

    Raises:
        BadInput: there is none.
    """
    if name not in TABLES:
        raise BadInput(f"{name!r}: no such table{nearest(name, TABLES)}")
    return TABLES[name]
