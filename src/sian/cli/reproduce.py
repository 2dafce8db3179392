"""``sian reproduce``: the paper's tables and figures, at a scale that fits the machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sian.cli import console
from sian.cli.table4 import table4

if TYPE_CHECKING:
    from sian.reproduce.bench import Bench

app = typer.Typer(
    help="The paper's tables and figures: train, measure and write what is missing.", rich_markup_mode=None
)

Data = Annotated[Path, typer.Option("--data", "-d", help="Data set on disk with the splits train and test.")]
ScaleName = Annotated[str, typer.Option("--scale", help="tiny (CPU), small (overnight on a GPU) or paper.")]
Runs = Annotated[Path, typer.Option("--output", "-o", metavar="RUNS", help="Folder of all rows: RUNS/SCALE/ROW.")]
Rows = Annotated[
    str | None, typer.Option("--rows", help="Only these, e.g. spade,sian; the others are shown as not run.")
]
StyleName = Annotated[str, typer.Option("--style", help="The protocol's: paired, sibling, exemplar or prior.")]
Seed = Annotated[int, typer.Option(min=0, help="Of training, of drawn references and of noise.")]
Weights = Annotated[Path | None, typer.Option(metavar="DIR", help="Where VGG19 and Inception lie.")]
Trust = Annotated[bool, typer.Option("--trust-weights", help="Take weights of an unknown SHA-256.")]
SegmenterPath = Annotated[str, typer.Option("--segmenter", metavar="MODEL", help="'bundled', or a segmenter's file.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if not given.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes that cut windows ahead of time.")]
Cache = Annotated[Path | None, typer.Option(metavar="DIR", help="Where features of real images are kept.")]


def _table_command(name: str, title: str) -> Callable[..., None]:
    """The command of one table of trained rows."""

    def command(
        data: Data,
        runs: Runs,
        scale: ScaleName = "tiny",
        rows: Rows = None,
        style: StyleName = "paired",
        seed: Seed = 0,
        weights: Weights = None,
        trust_weights: Trust = False,
        segmenter: SegmenterPath = "bundled",
        device: Device = "auto",
        threads: Threads = None,
        workers: Workers = 0,
        cache: Cache = None,
    ) -> None:
        from sian.reproduce.rows import rows_named
        from sian.reproduce.running import run_rows
        from sian.reproduce.sheets import sheet
        from sian.reproduce.tables import table_named
        from sian.reproduce.writing import markdown, write_sheet

        table = table_named(name)
        chosen = rows_named(split_names(rows) or table.row_names, table.row_names)
        bench = open_bench(
            data, scale, runs, style, seed, weights, trust_weights, segmenter, device, threads, workers, cache
        )
        outcome = run_rows(chosen, bench, rows_named(table.row_names, table.row_names))
        made = sheet(table, bench.scale, outcome, style)
        stem = name if style == "paired" else f"{name}-{style}"
        for path in write_sheet(made, bench.runs / bench.scale.name, stem):
            console.say(f"wrote {path}")
        console.out(markdown(made))
        if (error := outcome.error()) is not None:
            raise error

    command.__doc__ = f"{title}: train and measure the rows that are missing, then write the table."
    return command


def open_bench(
    data: Path,
    scale: str,
    runs: Path,
    style: str,
    seed: int,
    weights: Path | None,
    trust_weights: bool,
    segmenter: str,
    device: str,
    threads: int | None,
    workers: int,
    cache: Path | None,
) -> Bench:
    """What the options describe; everything that can be wrong with them is said before any work."""
    from sian.data import open_dataset
    from sian.errors import BadInput, nearest
    from sian.evaluation.reconstruction import STYLE_SETTINGS
    from sian.reproduce.bench import Bench
    from sian.reproduce.scales import scale_named

    chosen = scale_named(scale)
    if style not in STYLE_SETTINGS:
        raise BadInput(f"--style {style!r}: no such setting of the protocol{nearest(style, STYLE_SETTINGS)}")
    if runs.exists() and not runs.is_dir():
        raise BadInput(f"{runs}: found a file, expected the name of a folder for the rows; choose another name")
    dataset = open_dataset(data)
    import torch

    from sian.training import Hardware

    if threads:
        torch.set_num_threads(threads)
    cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    return Bench(
        dataset,
        chosen,
        runs,
        Hardware(device, 1, None, workers),
        "cuda" if cuda else "cpu",
        style,
        seed,
        weights,
        trust_weights,
        segmenter,
        cache,
        console.progress,
    )


def split_names(words: str | None) -> list[str]:
    """Names in a list with commas."""
    return [word.strip() for word in (words or "").split(",") if word.strip()]


for _name, _title in {
    "table1": "Table 1, SIAN and its rivals",
    "table2": "Table 2, FID by organ",
    "table3": "Table 3, the components of SIAN",
}.items():
    app.command(_name)(_table_command(_name, _title))
app.command("table4")(table4)


@app.command("figures")
def figures(
    data: Data,
    runs: Runs,
    scale: ScaleName = "tiny",
    rows: Rows = None,
    seed: Seed = 0,
    weights: Weights = None,
    trust_weights: Trust = False,
    device: Device = "auto",
    threads: Threads = None,
    workers: Workers = 0,
) -> None:
    """The paper's Figures 1, 2, 5, 6 and 7 with the rows of Table 1; rows that are missing are trained."""
    from sian.reproduce.figures import figures as draw
    from sian.reproduce.rows import ROWS, rows_named
    from sian.reproduce.running import train_row
    from sian.reproduce.tables import table_named
    from sian.synthesis import load

    chosen = rows_named(split_names(rows) or table_named("table1").row_names, ROWS)
    bench = open_bench(
        data, scale, runs, "paired", seed, weights, trust_weights, "bundled", device, threads, workers, None
    )
    models = {row.name: (row, load(train_row(row, bench)).to(bench.device)) for row in chosen}
    for path in draw(models, bench, bench.runs / bench.scale.name / "figures"):
        console.out(str(path))
