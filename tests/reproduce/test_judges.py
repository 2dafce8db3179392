"""Second judges in the tables, and tables made of reports alone."""

from __future__ import annotations

import copy
import json
import shutil

import pytest

from sian.errors import BadInput
from sian.reproduce import running
from sian.reproduce.bench import Bench
from sian.reproduce.judges import read_judged
from sian.reproduce.rows import rows_named
from sian.reproduce.running import run_rows
from sian.reproduce.sheet_writing import markdown
from sian.reproduce.sheets import sheet
from sian.reproduce.tables import table_named

pytestmark = [
    pytest.mark.usefixtures("toy_world"),
    pytest.mark.filterwarnings("ignore::sian.errors.SianWarning"),  # toys know few styles
]


@pytest.fixture
def reports(finished_runs, bench, monkeypatch):
    """The finished rows, with nothing that could be done again."""
    outcome, runs = finished_runs
    shutil.copytree(runs, bench.runs)

    def refuse(*_, **__):
        raise AssertionError("was done already")

    monkeypatch.setattr(Bench, "train_run", refuse)
    for name in ("export_run", "measure_row", "measure_floors"):
        monkeypatch.setattr(running, name, refuse)
    return outcome.reports


def both():
    return rows_named(["first", "second"], ["first", "second"])


def judgement(report, pq, real):
    """The same paintings by a judge that finds so much of them, and so much of real windows."""
    found = copy.deepcopy(report)
    found["inputs"]["segmenter"] = {"name": "stardist", "path": "found", "items": 6}
    found["metrics"]["pq"] = pq
    found["confidence_95"] = {"pq": [pq - 0.1, pq + 0.1]}
    found["floor_rows"] = [{"name": "segmenter on real images", "n": 6, "pq": real}]
    return found


def cells(text, title):
    line = next(line for line in text.splitlines() if line.startswith(f"| {title} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_second_judge_has_columns_and_a_floor(bench, reports):
    (bench.folder(both()[0]) / "judge-stardist.json").write_text(json.dumps(judgement(reports["first"], 0.123, 0.456)))
    made = sheet(table_named("table1"), bench.scale, run_rows(both(), bench), "paired")
    text = markdown(made)
    column = cells(text, "").index("PQ by stardist ↑")
    assert cells(text, "First")[column] == "0.123 [0.023, 0.223]"
    assert cells(text, "Second")[column] == "–"
    assert cells(text, "floor: segmenter on real images")[column] == "0.456"
    assert cells(text, "floor: halves")[column] == "–"
    first = reports["first"]["inputs"]["segmenter"]["sha256"]
    assert f"by the segmenter of SHA-256 {first[:12]}, but where a column names another judge" in text
    plain = cells(text, "").index("PQ ↑")
    assert cells(text, "First")[plain].startswith(f"{reports['first']['metrics']['pq']:.3f} [")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found["inputs"]["model"].update(sha256="0" * 64), "the model differs"),
        (lambda found: found.update(noise=1.0), "noise differs"),
        (lambda found: found["inputs"].update(segmenter={"path": "bundled"}), "expected the evaluation.json"),
        (lambda found: found.update(format="sian.nuclei/1"), "expected the evaluation.json"),
    ],
)
def test_a_judgement_of_other_paintings_is_refused(bench, reports, change, words):
    found = judgement(reports["first"], 0.1, 0.2)
    change(found)
    folder = bench.folder(both()[0])
    (folder / "judge-stardist.json").write_text(json.dumps(found))
    with pytest.raises(BadInput, match=words):
        read_judged(folder, reports["first"])
    outcome = run_rows(both(), bench)
    assert outcome.reports.keys() == {"second"}
    assert words in str(outcome.failures["first"])


def test_tables_are_made_of_reports_alone(bench, reports):
    """Without runs and models; a report of another recipe is not taken for the row's."""
    for row in both():
        folder = bench.folder(row)
        shutil.rmtree(folder / "run")
        (folder / "model.safetensors").unlink()
        (folder / "job.json").write_text('{"model": false}')
    assert run_rows(both(), bench).reports == reports
    path = bench.report_path(both()[0])
    changed = json.loads(path.read_text())
    changed["reproduce"]["recipe"]["losses"]["kld"] = 0.5
    path.write_text(json.dumps(changed))
    outcome = run_rows(both(), bench)
    assert outcome.reports.keys() == {"second"}
    assert "was trained by another recipe ('losses' differs)" in str(outcome.failures["first"])
