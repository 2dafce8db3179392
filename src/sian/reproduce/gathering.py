"""Tables of reports alone: rows that were trained elsewhere, whose weights are not on this machine.

A row's folder then holds `report.json`, a `job.json` that says ``"model": false``, and what other judges say of it.
Nothing is trained, painted or measured, and no weights are looked for.
"""

from __future__ import annotations

from collections.abc import Iterable

from sian.errors import BadInput
from sian.reproduce.bench import Bench
from sian.reproduce.rows import Row
from sian.reproduce.running import Outcome, finished_report, hear_judges, read_report, report_of


def gather_rows(rows: Iterable[Row], bench: Bench) -> Outcome:
    """The reports that are there, with the floors; a row without a report is left out.

    Args:
        rows: of the table.
        bench: what they share; its `judge_sha256` becomes that of the floors, since the segmenter that comes with SIAN
            may be another one by now. A row that another segmenter judged is a failure.

    Raises:
        BadInput: there are no floors, or they are of another scale, seed or data set.
    """
    rows = list(rows)
    path = bench.floors_path()
    found = read_report(path)
    if found is None:
        raise BadInput(
            f"{path}: not found, expected the floors that all rows are read against; name the folder that holds "
            f"{bench.scale.name}/{path.name}, or leave --from-reports out to measure them"
        )
    bench.judge_sha256 = (found["inputs"].get("segmenter") or {}).get("sha256")
    floors = finished_report(path, bench, None)
    if floors is None:
        raise BadInput(
            f"{path}: is of other test tiles or another seed than asked for; give the --data and --seed that it was "
            "measured with"
        )
    outcome = Outcome(floors=floors)
    for row in rows:
        with outcome.failing(row):
            if (report := report_of(row, bench)) is not None:
                outcome.reports[row.name] = report
    hear_judges(outcome, rows, bench, floors)
    return outcome
