"""What the paper's tables claim: differences between two rows, with intervals where rows can be paired by tile.

Rows are painted on the same tiles. A tile that is easy for one is easy for the other, so the interval of a difference
is much narrower than two rows' own intervals. FID is one number of all tiles; its differences have no interval here,
but say in how many organs they have the same sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sian import seeds
from sian.reproduce.tables import Column, Table

ROUNDS = 2000  # of the bootstrap
MEAN_METRICS = ("ssim", "dq", "sq", "pq")  # means over windows, so a tile has its own


@dataclass(frozen=True)
class Difference:
    """One number of one row minus another's.

    Attributes:
        row: title of the row.
        against: title of the row that is taken away.
        column: which number.
        value: the difference.
        interval: 95 %, by a bootstrap over tiles; None where rows cannot be paired.
        tiles: how many were paired.
        organs: of FID: in how many organs the difference has the same sign, and of how many; None for the others.
        paper: the same difference of the paper's numbers; None where it has none.
    """

    row: str
    against: str
    column: Column
    value: float
    interval: tuple[float, float] | None
    tiles: int
    organs: tuple[int, int] | None
    paper: float | None


def differences(
    table: Table, columns: Sequence[Column], reports: Mapping[str, Mapping[str, Any]]
) -> list[list[Difference]]:
    """For each pair of a table whose rows both have a report: its differences, in the order of the columns.

    Args:
        table: with its pairs.
        columns: the numbers, those of other judges too.
        reports: by row, each with a part "judges" if there are any.
    """
    lines = {line.row: line for line in table.lines}
    found = []
    for row, against in table.pairs:
        if row in reports and against in reports:
            titles, papers = ((lines[row].title, lines[against].title), (lines[row].paper, lines[against].paper))
            of_pair = [_difference(column, reports[row], reports[against], titles, papers) for column in columns]
            found.append([one for one in of_pair if one is not None])
    return found


def _difference(
    column: Column,
    one: Mapping[str, Any],
    other: Mapping[str, Any],
    titles: tuple[str, str],
    papers: tuple[Mapping[str, float], Mapping[str, float]],
) -> Difference | None:
    values = [column.of(report) for report in (one, other)]
    if values[0] is None or values[1] is None:
        return None
    printed = [paper.get(column.key) for paper in papers]
    known = None if printed[0] is None or printed[1] is None else printed[0] - printed[1]
    paired = _by_tile(column, one, other)
    interval = None if len(paired) < 3 else paired_interval(paired)
    value = values[0] - values[1]
    organs = _organs(value, one, other) if column.path == ("metrics", "fid") else None
    return Difference(*titles, column, value, interval, len(paired), organs, known)


def paired_interval(values: Sequence[tuple[float, float]], rounds: int = ROUNDS) -> tuple[float, float]:
    """95 % of the mean of some values when tiles are drawn anew.

    Args:
        values: for each tile, its difference and its weight (its number of windows).
        rounds: draws.

    >>> paired_interval([(0.1, 16), (0.1, 16), (0.1, 16)])
    (0.1, 0.1)
    """
    difference, weight = np.array(values).T
    drawn = seeds.generator(0, "paired bootstrap", 0).integers(len(values), size=(rounds, len(values)))
    means = (difference[drawn] * weight[drawn]).sum(1) / weight[drawn].sum(1)
    low, high = np.quantile(means, [0.025, 0.975]).round(9)
    return float(low), float(high)


def _by_tile(column: Column, one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[float, float]]:
    *place, group, key = column.path
    if group != "metrics" or key not in MEAN_METRICS:
        return []
    tiles: list[Mapping[str, Any]] = []
    for report in (one, other):
        found: Any = report
        for step in place:
            found = found.get(step, {})
        tiles.append(found.get("per_tile") or {})
    both = [(tiles[0][tile], tiles[1][tile]) for tile in sorted(tiles[0]) if tile in tiles[1]]
    known = [pair for pair in both if all(tile.get(key) is not None for tile in pair)]
    return [(a[key] - b[key], a["n"]) for a, b in known]


def _organs(value: float, one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[int, int]:
    fids = [{organ: row.get("fid") for organ, row in report["per_organ"].items()} for report in (one, other)]
    both = [fids[0][o] - fids[1][o] for o in fids[0] if None not in (fids[0][o], fids[1].get(o))]
    return sum((difference < 0) == (value < 0) for difference in both), len(both)
