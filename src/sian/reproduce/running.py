"""Rows to reports: train what is missing, resume what was interrupted, measure what has no report, skip what is done.

A row is a folder RUNS/SCALE/ROW with `run/` (recipe, journal, checkpoints), `model.safetensors` and `report.json`.
A row that fails is set aside and the others go on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sian.errors import BadInput, SianError
from sian.files import sha256_file
from sian.reproduce.bench import Bench
from sian.reproduce.failures import of_failures, set_aside
from sian.reproduce.judges import Judged, read_judged
from sian.reproduce.measuring import FORMAT, measure_floors, measure_row
from sian.reproduce.rows import Row
from sian.synthesis.export import export_run
from sian.synthesis.modelfile import read_info
from sian.training.checks import MAY_CHANGE, check_run, holds_run

if TYPE_CHECKING:
    from sian.training import Recipe

UNDECIDING = ("every", "name", "description")  # keys of a recipe that change no weight


@dataclass
class Outcome:
    """What became of the rows.

    Attributes:
        reports: by row.
        failures: by row, for the rows that have no report.
        floors: the report of the floors.
        judged: by row, what other judges say of it.
    """

    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)
    floors: dict[str, Any] | None = None
    judged: dict[str, Judged] = field(default_factory=dict)

    def failing(self, row: Row) -> AbstractContextManager[None]:
        """What goes wrong inside is kept as the row's failure; an interruption goes on."""
        return set_aside(self.failures, row.name)

    def error(self) -> SianError | None:
        """One sentence for all failures, of the kind of the first; None if there is none."""
        return of_failures(self.failures, len(self.reports), "rows")


def run_rows(rows: Iterable[Row], bench: Bench, others: Iterable[Row] = ()) -> Outcome:
    """Train and measure what is missing of some rows, and the floors.

    Args:
        rows: what is wanted.
        bench: what they share.
        others: rows whose reports are taken if they are finished, and left alone if not.

    Raises:
        MissingResource: something is to be done, and weights for it are not on this machine.
        Interrupted: the user stopped; rows that are done stay, the row in work goes on next time.
    """
    rows, others = list(rows), list(others)
    outcome = Outcome(floors=finished_report(bench.floors_path(), bench, None))
    pending = []
    for row in rows:
        with outcome.failing(row):
            if (report := report_of(row, bench)) is None:
                pending.append(row)
            else:
                outcome.reports[row.name] = report
    if pending or outcome.floors is None:
        bench.check_weights()
    for row in pending:
        with outcome.failing(row):
            outcome.reports[row.name] = run_row(row, bench)
    for row in others:
        if row.name not in {*outcome.reports, *outcome.failures}:
            with outcome.failing(row):
                if (report := report_of(row, bench)) is not None:
                    outcome.reports[row.name] = report
    if outcome.floors is None:
        outcome.floors = measure_floors(bench)
    hear_judges(outcome, [*rows, *others], bench, outcome.floors)
    return outcome


def hear_judges(outcome: Outcome, rows: Iterable[Row], bench: Bench, floors: Mapping[str, Any]) -> None:
    """Add what other judges say of rows; a report that cannot stand beside the floors becomes a failure."""
    for row in rows:
        if row.name in outcome.reports:
            with outcome.failing(row):
                check_inception(row, bench, outcome.reports[row.name], floors)
                if judged := read_judged(bench.folder(row), outcome.reports[row.name]):
                    outcome.judged[row.name] = judged
            if row.name in outcome.failures:
                del outcome.reports[row.name]


def run_row(row: Row, bench: Bench) -> dict[str, Any]:
    """One row's report, made if it is not there.

    Raises:
        BadInput: its folder holds a run of another recipe.
    """
    if (report := report_of(row, bench)) is not None:
        return report
    model = train_row(row, bench)
    return measure_row(row, bench, model, of_job(read_job(model.parent)))


def train_row(row: Row, bench: Bench) -> Path:
    """One row's model file, trained, resumed or as it is."""
    recipe = row.load(bench.scale, bench.seed)
    folder = bench.folder(row)
    run, model = folder / "run", folder / "model.safetensors"
    if model.is_file() and _is_trained(model, recipe):
        return model
    check_run(run, recipe, resume=holds_run(run))
    with bench.progress(f"{row.name}: training", "images") as report:
        bench.train_run(recipe, run, report)
    with bench.progress(f"{row.name}: batch norm and style bank", "steps") as report:
        return export_run(run, bench.train, model, tiles=bench.tiles, report=report)


def read_report(path: Path) -> dict[str, Any] | None:
    """A report that this package wrote; None if there is none.

    Raises:
        BadInput: something else lies there.
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["reproduce"]["format"] == FORMAT and "metrics" in content:
            report: dict[str, Any] = content
            return report
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise BadInput(f"{path}: expected a report of `sian reproduce`, found something else; remove the file")


def report_of(row: Row, bench: Bench) -> dict[str, Any] | None:
    """The row's report, if it is of the model that lies beside it and of this protocol.

    Raises:
        BadInput: it is of another scale, row or recipe; or it is of another protocol, and its model is not here to be
            measured again.
    """
    path = bench.report_path(row)
    report = finished_report(path, bench, row)
    model = bench.folder(row) / "model.safetensors"
    if not model.is_file() and read_job(model.parent).get("model") is False:
        if report is None and path.is_file():
            raise BadInput(
                f"{path}: is of other test tiles, another seed or another segmenter than this table, and its model is "
                "not here to be measured again; give the --data, --seed and --segmenter that it was measured with, or "
                "remove this row's folder to train it anew"
            )
        if report is None:
            return None
        return report if _is_of(report["reproduce"]["recipe"], row.load(bench.scale, bench.seed), path) else None
    if report is None or not model.is_file():
        return None
    recipe = row.load(bench.scale, bench.seed)
    if not _is_trained(model, recipe) or report["inputs"]["model"]["sha256"] != sha256_file(model):
        return None
    return report


def finished_report(path: Path, bench: Bench, row: Row | None) -> dict[str, Any] | None:
    """A report that was made as this bench would make it.

    Raises:
        BadInput: it is of another scale or row: numbers of different scales never share a table.
    """
    report = read_report(path)
    if report is None:
        return None
    own = report["reproduce"]
    wanted = {"scale": bench.scale.name, "row": row.name if row else "floors"}
    for key, value in wanted.items():
        if own.get(key) != value:
            raise BadInput(
                f"{path}: is a report of the {key} {own.get(key)!r}, expected {value!r}; numbers of different scales "
                "never share a table: move it where it belongs"
            )
    same = {"seed": bench.seed, "a_tile": bench.scale.a_tile, "test_sha256": bench.test_sha256}
    if any(own.get(key) != value for key, value in same.items()) or (row and report.get("noise") != row.noise):
        return None
    segmenter = report["inputs"].get("segmenter") or {}
    return report if segmenter.get("sha256") == bench.segmenter_sha256 else None


def check_inception(row: Row, bench: Bench, report: Mapping[str, Any], floors: Mapping[str, Any]) -> None:
    """Refuse a report whose features are of other weights than the floors'."""
    found, expected = (str(one["weights"]["inception"]) for one in (report, floors))
    if found == expected:
        return
    again = "remove this report, and the row is measured again"
    if not (bench.folder(row) / "model.safetensors").is_file():
        again = "run the job again with the weights of the other rows: it left no model to measure"
    raise BadInput(
        f"{bench.report_path(row)}: was measured with the Inception weights {found[:12]}..., the floors "
        f"({bench.floors_path().name}) with {expected[:12]}...; numbers of different weights never share a table: "
        f"{again}"
    )


def _is_trained(model: Path, recipe: Recipe) -> bool:
    """Whether a model file is the end of a run of this recipe.

    Raises:
        BadInput: it is of another recipe.
    """
    return _is_of(read_info(model).recipe, recipe, model)


def _is_of(values: Mapping[str, Any], recipe: Recipe, path: Path) -> bool:
    """Whether what lies at `path` is of the end of a run of this recipe, going by the recipe that it holds."""
    found = type(recipe).parse(values, str(path)).model_dump(mode="json")
    wanted = recipe.model_dump(mode="json")
    fixed = [key for key in wanted if key not in (*MAY_CHANGE, *UNDECIDING)]
    if differs := _first_difference(found, wanted, fixed):
        raise BadInput(
            f"{path}: was trained by another recipe ({differs!r} differs); name another output folder, "
            "or remove this row"
        )
    planned = "minutes" in read_job(path.parent)  # its length was chosen on the way
    return planned or _first_difference(found, wanted, [k for k in wanted if k not in UNDECIDING]) is None


def _first_difference(a: Mapping[str, Any], b: Mapping[str, Any], keys: Iterable[str]) -> str | None:
    return next((key for key in keys if a.get(key) != b.get(key)), None)


def of_job(job: Mapping[str, Any]) -> dict[str, Any]:
    """What a row's report says of the job that made it."""
    return {key: job[key] for key in ("minutes", "commit", "train_sha256") if key in job}


def read_job(folder: Path) -> dict[str, Any]:
    """What a job within a time budget wrote down of itself; empty if none made this row."""
    path = folder / "job.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise BadInput(f"{path}: expected what a job wrote of itself as JSON, found something else; fetch it again")
    return content
