"""Tables against hand-made reports: every number where it belongs, the paper's beside it, scales apart."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from sian.errors import BadInput, MissingResource
from sian.reproduce.running import Outcome
from sian.reproduce.scales import Scale
from sian.reproduce.sheet_writing import comma_separated, html, markdown, write_sheet
from sian.reproduce.sheets import sheet
from sian.reproduce.tables import TABLES, Column, Line, Table

TINY = Scale("tiny", 8, "on few crops", 4, warning="Nothing.")
FID = Column("fid", "FID", ("metrics", "fid"), 1, smaller_is_better=True)
KID = Column("kid", "KID", ("metrics", "kid"), 3, smaller_is_better=True)
LUNG = Column("lung", "lung", ("per_organ", "lung", "fid"), 1, smaller_is_better=True)
TABLE = Table("table9", "Table 9", (FID, KID, LUNG), (Line("a", "A | B", {"fid": 100.25}), Line("b", "C", {})), "Mind.")


def report(fid: float | None, scale: str = "tiny", **more: Any) -> dict[str, Any]:
    return {
        "n": 56,
        "n_real": 56,
        "organs": {"lung": 56},
        "metrics": {"fid": fid, "kid": {"mean": 0.1234, "std": 0.1}, "pq": None},
        "per_organ": {"lung": {"n": 56, "fid": 77.77}},
        "floor_rows": [],
        "reproduce": {
            "scale": scale,
            "parameters": 2_500_000,
            "images": 1234,
            "recipe": {"stages": [{"size": 128}, {"size": 128}, {"size": 256}]},
            "hours": 0.5,
            "device": "cpu",
            "seed": 0,
            "commit": "abc",
            "data": "toys",
            "measured_on": "cpu",
            "measured_at": "def",
        },
        **more,
    }


def floors() -> dict[str, Any]:
    rows = [
        {"name": "other real images", "what": "", "n": [120, 56], "fid": 130.0, "kid": {"mean": 0.09, "std": 0.0}},
        {"name": "segmenter on real images", "what": "", "n": 56, "pq": 0.5},
        {"name": "trivial painter", "what": "a painter to beat, not a floor", "n": 56, "fid": 400.0},
    ]
    organs = {"lung": {"n": 56, "other real images": 150.0, "halves": 90.0}}
    return report(400.0, floor_rows=rows, organ_floors=organs)


def outcome(**more: Any) -> Outcome:
    return Outcome({"a": report(200.04)}, **{"floors": floors(), **more})


def test_markdown_by_hand():
    text = markdown(sheet(TABLE, TINY, outcome(), "paired"))
    lines = text.splitlines()
    assert lines[0] == "# Table 9 (tiny)"
    assert lines[2] == "|  | n | FID ↓ ours / *paper* | KID ↓ | lung ↓ |"
    assert "| A \\| B | 56 | 200.0 / *100.2* | 0.123 | 77.8 |" in lines
    assert "| C | not run | – | – | – |" in lines
    assert "| floor: other real images |  | 130.0 | 0.090 | 150.0 |".replace("|  |", "| – |") in lines
    assert "| bar: trivial painter | 56 | 400.0 | 0.123 | 77.8 |" in lines
    assert not any("segmenter" in line for line in lines)  # it has no number of this table
    assert "| A \\| B | 2.50 M | 1,234 | 128 px + 256 px | 0.500 | cpu | 0 | abc |" in lines
    assert "- Nothing." in lines
    assert "- Mind." in lines


def test_rows_of_other_training_tiles_are_named():
    one, other, unknown = report(1.0), report(2.0), report(3.0)
    one["reproduce"]["train_sha256"], other["reproduce"]["train_sha256"] = "a" * 64, "b" * 64
    text = markdown(sheet(TABLE, TINY, Outcome({"a": one, "b": other}, floors=floors()), "paired"))
    assert "recompressed): A | B: aaaaaaaaaaaa; C: bbbbbbbbbbbb." in text
    for same in (one, unknown):  # older reports do not say
        assert "same pixels" not in markdown(sheet(TABLE, TINY, Outcome({"a": one, "b": same}), "paired"))


def test_csv_holds_the_numbers_of_the_reports_in_full():
    rows = list(csv.DictReader(io.StringIO(comma_separated(sheet(TABLE, TINY, outcome(), "paired")))))
    assert [row["row"] for row in rows] == ["a", "b", "other real images", "trivial painter"]
    assert (float(rows[0]["fid"]), float(rows[0]["fid_paper"]), float(rows[0]["lung"])) == (200.04, 100.25, 77.77)
    assert rows[0]["kid_paper"] == rows[1]["fid"] == ""
    assert {row["scale"] for row in rows} == {"tiny"}
    assert rows[0]["images_seen"] == "1,234"
    assert [row["kind"] for row in rows] == ["row", "missing", "floor", "bar"]


def test_intervals_stand_beside_numbers():
    wide = report(200.04, confidence_95={"fid": [180.01, 231.0], "kid": [0.1, 0.2]})
    made = sheet(TABLE, TINY, Outcome({"a": wide, "b": report(150.0)}, floors=floors()), "paired")
    lines = markdown(made).splitlines()
    assert "| A \\| B | 56 | 200.0 [180.0, 231.0] / *100.2* | 0.123 [0.100, 0.200] | 77.8 |" in lines
    assert "| C | 56 | 150.0 | 0.123 | 77.8 |" in lines
    assert any(line.startswith("- Brackets: 95 %") for line in lines)
    rows = list(csv.DictReader(io.StringIO(comma_separated(made))))
    assert (rows[0]["fid_from"], rows[0]["fid_to"], rows[1]["fid_from"]) == ("180.01", "231.0", "")
    assert "lung_from" not in rows[0]
    assert "200.0 [180.0, 231.0]<br><i>100.2</i>" in html(made)


def test_page_shows_both_and_escapes(tmp_path):
    made = sheet(TABLE, TINY, outcome(failures={"b": MissingResource("no <weights>")}), "paired")
    text = html(made)
    assert "200.0<br><i>100.2</i>" in text
    assert "b failed: no &lt;weights&gt;" in text
    assert [path.name for path in write_sheet(made, tmp_path, "stem")] == ["stem.md", "stem.csv", "stem.html"]
    assert (tmp_path / "stem.md").read_text(encoding="utf-8") == markdown(made)


@pytest.mark.parametrize("part", ["reports", "floors"])
def test_scales_are_never_mixed(part):
    other = report(1.0, scale="small")
    given = {"reports": {"a": report(2.0), "b": other}} if part == "reports" else {"reports": {}, "floors": other}
    with pytest.raises(BadInput, match="different scales never share a table"):
        sheet(TABLE, TINY, Outcome(**given), "paired")


def test_what_was_not_measured_is_none():
    assert FID.of({"metrics": {"fid": None}}) is None
    assert LUNG.of({"per_organ": {}}) is None
    assert KID.of(report(1.0)) == 0.1234
    assert [column.of(report(1.0)) for column in TABLES["table3"].columns[:1]] == [1.0]


def test_failures_become_one_error_of_the_first_kind():
    error = Outcome({"a": {}}, {"b": MissingResource("no weights."), "c": RuntimeError("odd\nmore")}).error()
    assert isinstance(error, MissingResource)
    assert str(error) == "2 of 3 rows failed; b: no weights; c: odd"
    assert Outcome().error() is None
