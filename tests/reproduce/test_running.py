"""Rows from data to reports: trained once, resumed when stopped, measured again when needed, failures apart."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from tests.training import toys as training_toys

from sian.errors import BadInput, Interrupted, MissingResource
from sian.reproduce import running
from sian.reproduce.bench import Bench
from sian.reproduce.rows import rows_named
from sian.reproduce.running import run_row, run_rows
from sian.synthesis.modelfile import read_info

pytestmark = [
    pytest.mark.usefixtures("toy_world"),
    pytest.mark.filterwarnings("ignore::sian.errors.SianWarning"),  # toys know few styles
]


def both():
    return rows_named(["first", "second"], ["first", "second"])


@pytest.fixture
def finished(finished_runs, bench):
    """The bench's rows are done."""
    outcome, runs = finished_runs
    shutil.copytree(runs, bench.runs)
    return outcome


def forbid(monkeypatch, *names):
    def refuse(*_, **__):
        raise AssertionError("was done already")

    for name in names:
        monkeypatch.setattr(Bench if name == "train_run" else running, name, refuse)


def test_from_data_to_reports(bench, finished, monkeypatch):
    assert finished.failures == {}
    report = finished.reports["first"]
    own = report["reproduce"]
    assert (own["row"], own["scale"], own["images"], own["seed"], own["a_tile"]) == ("first", "tiny", 4, 0, 2)
    assert (report["n"], report["n_real"], report["style"]) == (6, 6, "paired")  # two windows of three tiles
    assert report["metrics"]["fid"] is not None
    assert report["metrics"]["pq"] is not None
    assert report["per_organ"].keys() == {"kidney", "lung"}
    assert {row["name"] for row in finished.floors["floor_rows"]} >= {"other real images", "halves", "trivial painter"}
    assert finished.floors["organ_floors"]["kidney"]["n"] == 4
    folder = bench.folder(both()[0])
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "report.json", "run"]
    assert json.loads((folder / "report.json").read_text()) == report
    assert read_info(bench.folder(both()[1]) / "model.safetensors").recipe["generator"]["distance"] is False

    forbid(monkeypatch, "train_run", "export_run", "measure_row", "measure_floors")
    again = run_rows(both(), replace(bench))
    assert again.reports == finished.reports
    assert again.floors == finished.floors


def test_an_interrupted_row_goes_on(bench, finished, monkeypatch, tmp_path):
    stopped = replace(bench, runs=tmp_path / "stopped")
    straight = Bench.train_run

    def stop_half_way(self, recipe, run, report):
        half = recipe.model_copy(update={"stages": (recipe.stages[0].model_copy(update={"images": 2}),)})
        straight(self, half, run, report)
        raise Interrupted("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(Bench, "train_run", stop_half_way)
        with pytest.raises(Interrupted):
            run_rows(both(), stopped)
    assert not (stopped.folder(both()[0]) / "model.safetensors").exists()
    report = run_row(both()[0], stopped)
    assert report["metrics"] == finished.reports["first"]["metrics"]
    last = "run/checkpoints/000000004"
    assert training_toys.differing(stopped.folder(both()[0]) / last, bench.folder(both()[0]) / last) == []


def test_what_a_report_rests_on_is_checked(bench, finished, monkeypatch):
    forbid(monkeypatch, "train_run", "export_run")
    first = both()[0]
    measured = finished.reports["first"]
    changed = {**measured, "inputs": {**measured["inputs"], "model": {"path": "", "sha256": "0"}}}
    bench.report_path(first).write_text(json.dumps(changed))
    assert run_row(first, bench)["inputs"] == measured["inputs"]  # measured again, of the model that is there
    bench.report_path(first).write_text(json.dumps({**measured, "noise": 0.5}))
    assert run_row(first, bench)["noise"] == 0.0  # painted as the row is
    sibling = replace(bench, style="sibling")
    assert run_row(first, sibling)["style"] == "sibling"
    assert sibling.report_path(first).name == "report-sibling.json"
    assert run_row(first, bench)["style"] == "paired"


def test_numbers_of_another_scale_are_refused(bench, finished):
    first = both()[0]
    report = json.loads(bench.report_path(first).read_text())
    report["reproduce"]["scale"] = "paper"
    bench.report_path(first).write_text(json.dumps(report))
    outcome = run_rows(both(), bench)
    assert outcome.reports.keys() == {"second"}
    assert "never share a table" in str(outcome.failures["first"])


def test_numbers_of_other_inception_weights_are_refused(bench, finished):
    first, second = both()
    report = json.loads(bench.report_path(first).read_text())
    report["weights"]["inception"] = "f00d" * 16
    bench.report_path(first).write_text(json.dumps(report))
    outcome = run_rows([second], bench, both())
    assert outcome.reports.keys() == {"second"}
    said = str(outcome.failures["first"])
    assert "report.json: was measured with the Inception weights f00df00df00d..., the floors (floors.json) with" in said
    assert "remove this report, and the row is measured again" in said
    bench.report_path(first).unlink()
    assert run_rows(both(), bench).reports.keys() == {"first", "second"}
    bench.report_path(first).write_text(json.dumps(report))
    (bench.folder(first) / "model.safetensors").unlink()
    (bench.folder(first) / "job.json").write_text('{"model": false}')
    assert "it left no model to measure" in str(run_rows(both(), bench).failures["first"])


def test_a_job_s_report_says_on_which_pixels_it_was_trained(bench, finished):
    """Not on those of the machine that measures it."""
    first = both()[0]
    assert finished.reports["first"]["reproduce"]["train_sha256"] == bench.train_sha256
    bench.report_path(first).unlink()
    (bench.folder(first) / "job.json").write_text('{"train_sha256": "of the pack"}')
    assert run_row(first, bench)["reproduce"]["train_sha256"] == "of the pack"


def test_a_row_that_fails_does_not_lose_the_others(bench, monkeypatch):
    whole = running.train_row

    def fail_once(row, bench):
        if row.name == "first":
            raise RuntimeError("the network broke\nat a line")
        return whole(row, bench)

    monkeypatch.setattr(running, "train_row", fail_once)
    outcome = run_rows(both(), bench)
    assert outcome.reports.keys() == {"second"}
    assert str(outcome.error()) == "1 of 2 rows failed; first: the network broke"


def test_a_folder_of_another_recipe_is_refused(bench, finished):
    first, second = both()
    shutil.copytree(bench.folder(second), bench.folder(first), dirs_exist_ok=True)
    with pytest.raises(BadInput, match=r"report of the row 'second'"):
        run_row(first, bench)
    bench.report_path(first).unlink()
    with pytest.raises(BadInput, match=r"another recipe \('generator' differs\)"):
        run_row(first, bench)
    (bench.folder(first) / "model.safetensors").unlink()
    with pytest.raises(BadInput, match="started with another recipe"):
        run_row(first, bench)


def test_missing_weights_stop_before_any_work(bench, monkeypatch):
    def missing(*_):
        raise MissingResource("vgg19.safetensors: not found")

    monkeypatch.setattr("sian.reproduce.bench.find_weights", missing)
    with pytest.raises(MissingResource):
        run_rows(both(), bench)
    assert not bench.runs.exists()


def test_rows_that_were_not_asked_for_are_shown_if_finished(bench, finished, monkeypatch):
    forbid(monkeypatch, "train_run")
    assert run_rows([], bench, both()).reports.keys() == {"first", "second"}
