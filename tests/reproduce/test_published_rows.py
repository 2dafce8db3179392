"""The rows that are published: their tables are made anew of their reports, and the page shows these."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from maintainers.carried_rows import ROW_BYTES, filled

from sian.data import open_dataset
from sian.reproduce import running
from sian.reproduce.bench import Bench
from sian.reproduce.gathering import gather_rows
from sian.reproduce.rows import rows_named
from sian.reproduce.scales import SCALES
from sian.reproduce.sheet_writing import markdown
from sian.reproduce.sheets import sheet
from sian.reproduce.tables import table_named
from sian.training import Hardware

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
REPORTS = RESULTS / "reports"
JUDGES = RESULTS.parents[1] / "benchmarks" / "judges"
PAGE = RESULTS / "reproduce-core.md"
ROWS = sorted(path.parent for path in REPORTS.glob("core/*/report.json"))


@pytest.fixture
def published(data_folder, monkeypatch) -> Bench:
    """A bench of MoNuSeg, without its tiles, that can do no work."""

    def refuse(*_, **__):
        raise AssertionError("nothing is to be done")

    monkeypatch.setattr(Bench, "train_run", refuse)
    for name in ("export_run", "measure_row", "measure_floors"):
        monkeypatch.setattr(running, name, refuse)
    floors = json.loads((REPORTS / "core" / "floors.json").read_text(encoding="utf-8"))
    bench = Bench(data=open_dataset(data_folder), scale=SCALES["core"], runs=REPORTS, hardware=Hardware("cpu"))
    bench.test_sha256 = floors["reproduce"]["test_sha256"]  # the toys stand in for the tiles, which are not here
    return bench


@pytest.mark.parametrize("name", ["table1", "table2", "table3"])
def test_published_tables_are_those_of_their_reports(name, published):
    table = table_named(name)
    outcome = gather_rows(rows_named(table.row_names, table.row_names), published)
    assert outcome.failures == {}
    assert outcome.reports.keys() == {path.name for path in ROWS} & set(table.row_names)
    made = markdown(sheet(table, published.scale, outcome, "paired"))
    assert made == (REPORTS / "core" / f"{name}.md").read_text(encoding="utf-8")


def test_the_page_shows_the_published_tables():
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("<!-- table") == 3
    assert filled(text, REPORTS / "core") == text


@pytest.mark.parametrize("folder", ROWS, ids=lambda path: path.name)
def test_a_published_row_is_whole_and_small(folder):
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= ROW_BYTES
    assert json.loads((folder / "job.json").read_text(encoding="utf-8"))["model"] is False
    assert list((folder / "shown").glob("*.webp"))
    assert (folder / "judge-stardist.json").is_file()


def test_the_second_judge_is_the_file_that_its_card_describes():
    """Half precision, no pickle, and trained on no tile that rows are judged on."""
    card = json.loads((JUDGES / "stardist_monuseg.json").read_text(encoding="utf-8"))
    file = JUDGES / "stardist_monuseg.npz"
    assert file.stat().st_size < 4_000_000
    assert hashlib.sha256(file.read_bytes()).hexdigest() == card["sha256"]
    with np.load(file, allow_pickle=False) as kept:
        assert {kept[name].dtype for name in kept.files} == {np.dtype(np.float16)}
        assert sum(kept[name].size for name in kept.files) == card["parameters"]
    seen = {*card["learned"], *card["held_out"]}
    judged = json.loads((ROWS[0] / "report.json").read_text(encoding="utf-8"))["per_tile"]
    assert (len(seen), len(judged)) == (30, 14)
    assert not seen & judged.keys()
