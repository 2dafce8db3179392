"""Differences between rows: by hand, paired by tile, and how they are written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from sian.reproduce.differences import differences, paired_interval
from sian.reproduce.running import Outcome
from sian.reproduce.scales import Scale
from sian.reproduce.sheet_writing import html, markdown
from sian.reproduce.sheets import sheet
from sian.reproduce.tables import TABLES, Column, Line, Table

from .test_sheet_writing import report

FID = Column("fid", "FID", ("metrics", "fid"), 1, smaller_is_better=True)
PQ = Column("pq", "PQ", ("metrics", "pq"))
OTHER = Column("pq_x", "PQ by x", ("judges", "x", "metrics", "pq"))
LINES = (Line("a", "A", {"fid": 90.0, "pq": 0.6}), Line("b", "B", {"fid": 100.0}))
TABLE = Table("table9", "Table 9", (FID, PQ), LINES, pairs=(("a", "b"), ("c", "b")))
TINY = Scale("tiny", 8, "on few crops", 4)


def with_tiles(fid: float, organs: dict[str, float], pq: list[float]) -> dict[str, Any]:
    made = report(fid)
    made["metrics"]["pq"] = float(np.mean(pq))
    made["per_organ"] = {organ: {"fid": value} for organ, value in organs.items()}
    made["per_tile"] = {f"tile{n}": {"n": 4, "pq": value} for n, value in enumerate(pq)}
    return made


@pytest.fixture
def reports() -> dict[str, dict[str, Any]]:
    return {
        "a": with_tiles(80.0, {"lung": 90.0, "colon": 120.0, "brain": 70.0}, [0.5, 0.6, 0.7, 0.8]),
        "b": with_tiles(95.0, {"lung": 99.0, "colon": 110.0, "brain": 80.0}, [0.4, 0.5, 0.5, 0.6]),
    }


def test_differences_by_hand(reports):
    ((fid, pq),) = differences(TABLE, (FID, PQ), reports)  # the row "c" is not run
    assert (fid.value, fid.paper, fid.organs, fid.interval) == (-15.0, -10.0, (2, 3), None)
    assert pq.value == pytest.approx(0.15)
    assert (pq.paper, pq.tiles, pq.organs) == (None, 4, None)  # the paper has one of the two
    assert pq.interval is not None
    low, high = pq.interval
    assert 0.1 <= low < 0.15 < high <= 0.2  # each tile gains 0.1 to 0.2, though rows overlap


def test_other_judges_are_paired_too(reports):
    for name, gain in (("a", 0.2), ("b", 0.0)):
        tiles = {f"tile{n}": {"n": 4, "pq": n / 10 + gain} for n in range(4)}
        reports[name]["judges"] = {"x": {"metrics": {"pq": 0.15 + gain}, "per_tile": tiles}}
    ((one,),) = differences(TABLE, (OTHER,), reports)
    assert one.value == pytest.approx(0.2)
    assert one.interval == pytest.approx((0.2, 0.2))


def test_the_interval_is_scipys():
    values = np.random.default_rng(0).normal(0.02, 0.05, 14)
    found = paired_interval([(value, 16) for value in values])
    expected = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=1).confidence_interval
    assert found == pytest.approx((expected.low, expected.high), abs=0.003)


def test_a_tile_of_more_windows_weighs_more():
    low, high = paired_interval([(0.0, 1), (0.0, 1), (1.0, 1000)])
    assert (low, high) == pytest.approx((0.0, 1.0), abs=0.01)
    assert paired_interval([(0.0, 1), (0.5, 1), (1.0, 1)])[1] <= 1.0


def test_how_differences_are_written(reports):
    made = sheet(TABLE, TINY, Outcome(reports), "paired")
    line = next(line for line in markdown(made).splitlines() if line.startswith("| A − B |"))
    assert line.startswith("| A − B | -15.0 (2 of 3 organs) / *-10.0* | +0.150 [+0.1")
    page = html(made)
    assert "<h2>Differences</h2>" in page
    assert "A − B" in page
    alone = sheet(TABLE, TINY, Outcome({"a": reports["a"]}), "paired")
    assert "Differences" not in markdown(alone) + html(alone)


@pytest.mark.parametrize("name", ["table1", "table3"])
def test_the_papers_claims_are_of_rows_that_tables_have(name):
    table = TABLES[name]
    assert {row for pair in table.pairs for row in pair} <= set(table.row_names)
    compared = {row for pair in table.pairs for row in pair}
    assert compared == set(table.row_names)  # every row is compared with something
