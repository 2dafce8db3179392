"""``sian reproduce``: the paper's tables and figures, at a scale that fits the machine."""

from __future__ import annotations

from collections.abc import Callable

import typer

from sian.cli import console
from sian.cli.arguments import Device, PrecisionName, StyleFrom, Threads, TrustWeights, Weights, Workers
from sian.cli.reproduce_options import (
    Cache,
    Data,
    FromReports,
    Rows,
    Runs,
    ScaleName,
    Seed,
    SegmenterPath,
    check_runs,
    open_bench,
    split_names,
)
from sian.cli.reproduce_table4 import table4

app = typer.Typer(
    help="The paper's tables and figures: train, measure and write what is missing.", rich_markup_mode=None
)


def _table_command(name: str, title: str) -> Callable[..., None]:
    """The command of one table of trained rows."""

    def command(
        data: Data,
        runs: Runs,
        scale: ScaleName = "tiny",
        rows: Rows = None,
        style_from: StyleFrom = "paired",
        seed: Seed = 0,
        weights: Weights = None,
        trust_weights: TrustWeights = False,
        segmenter: SegmenterPath = "judge",
        device: Device = "auto",
        threads: Threads = None,
        workers: Workers = 0,
        cache: Cache = None,
        precision: PrecisionName = None,
        from_reports: FromReports = False,
    ) -> None:
        check_runs(data, runs)

        from sian.reproduce.gathering import gather_rows
        from sian.reproduce.rows import rows_named
        from sian.reproduce.running import run_rows
        from sian.reproduce.sheet_writing import markdown, write_sheet
        from sian.reproduce.sheets import sheet
        from sian.reproduce.tables import table_named

        table = table_named(name)
        chosen = rows_named(split_names(rows) or table.row_names, table.row_names)
        bench = open_bench(
            data,
            scale,
            runs,
            seed=seed,
            weights=weights,
            trust_weights=trust_weights,
            device=device,
            threads=threads,
            workers=workers,
            precision=precision,
            style=style_from,
            segmenter=segmenter,
            cache=cache,
        )
        outcome = (
            gather_rows(chosen, bench)
            if from_reports
            else run_rows(chosen, bench, rows_named(table.row_names, table.row_names))
        )
        made = sheet(table, bench.scale, outcome, style_from)
        stem = name if style_from == "paired" else f"{name}-{style_from}"
        for path in write_sheet(made, bench.runs / bench.scale.name, stem):
            console.say(f"wrote {path}")
        console.out(markdown(made))
        if (error := outcome.error()) is not None:
            raise error

    command.__doc__ = f"{title}.\n\nTrains and measures the rows that are missing, then writes the table."
    return command


for _name, _title in {
    "table1": "Table 1: SIAN and its rivals",
    "table2": "Table 2: FID by organ",
    "table3": "Table 3: the components of SIAN",
}.items():
    app.command(_name)(_table_command(_name, _title))
app.command(table4.__name__)(table4)


@app.command("figures")
def figures(
    data: Data,
    runs: Runs,
    scale: ScaleName = "tiny",
    rows: Rows = None,
    seed: Seed = 0,
    weights: Weights = None,
    trust_weights: TrustWeights = False,
    device: Device = "auto",
    threads: Threads = None,
    workers: Workers = 0,
    precision: PrecisionName = None,
    from_reports: FromReports = False,
) -> None:
    """The paper's Figures 1, 2, 5, 6 and 7.

    They show the rows of Table 1; rows that are missing are trained. A row without a model shows the paintings that its
    folder keeps. Figure 1 needs a model.
    """
    check_runs(data, runs)

    from sian.reproduce.figures import figures as draw
    from sian.reproduce.gathering import gather_rows
    from sian.reproduce.paintings import painter_of
    from sian.reproduce.rows import ROWS, rows_named
    from sian.reproduce.tables import table_named

    chosen = rows_named(split_names(rows) or table_named("table1").row_names, ROWS)
    bench = open_bench(
        data,
        scale,
        runs,
        seed=seed,
        weights=weights,
        trust_weights=trust_weights,
        device=device,
        threads=threads,
        workers=workers,
        precision=precision,
    )
    if from_reports:
        gathered = gather_rows(chosen, bench).reports
        chosen = [row for row in chosen if row.name in gathered]
    painters = [painter_of(row, bench) for row in chosen]
    for path in draw(painters, bench, bench.runs / bench.scale.name / "figures"):
        console.out(str(path))
