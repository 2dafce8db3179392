"""``sian reproduce table4``: does training on synthetic images as well make a segmenter better?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sian.cli import console
from sian.cli.arguments import Device, Scale4, Threads, check_there, use_threads
from sian.cli.reproduce_options import Data, Runs, check_runs, open_hardware, split_names
from sian.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from sian.data import Dataset


def table4(
    data: Data,
    runs: Runs,
    scale: Annotated[Scale4, typer.Option(help="tiny takes a CPU, small a night of a GPU.")] = "tiny",
    rows: Annotated[
        str | None, typer.Option("--rows", help="Only these, e.g. real,synthetic; others are shown if they are done.")
    ] = None,
    synthetic: Annotated[
        Path | None,
        typer.Option("--synthetic", metavar="DATASET", help="A synthetic data set to use; one is made if not given."),
    ] = None,
    model: Annotated[str, typer.Option("--model", "-m", help="What paints the synthetic images.")] = "bundled",
    device: Device = "auto",
    threads: Threads = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that prepare windows ahead of time, and that paint.")
    ] = 0,
) -> None:
    """Table 4: segmentation learned from real and synthetic images.

    Trains what is missing, then writes the table.
    """
    check_runs(data, runs)
    check_there("folder", synthetic)
    use_threads(threads)

    from sian.data import open_dataset
    from sian.reproduce.sheet_writing import markdown, write_sheet
    from sian.reproduce.table4.results import sheet
    from sian.reproduce.table4.segmenter_rows import ROWS, rows_named, scale_named
    from sian.reproduce.table4.segmenter_runs import Bench4, run_rows

    chosen = scale_named(scale)
    wanted = rows_named(split_names(rows), chosen)
    real = open_dataset(data)
    if real.info.synthetic:
        raise BadInput(f"{data}: expected a real data set, found a synthetic one; name it with --synthetic instead")
    opened = _synthetic(synthetic, runs / chosen.name / "table4-images", chosen.synthetic, model, workers)
    hardware, testing = open_hardware(device, workers)
    bench = Bench4(
        data=real,
        synthetic=opened,
        scale=chosen,
        runs=runs,
        hardware=hardware,
        device=testing,
        progress=console.progress,
        painter=model,
    )
    scores = run_rows(wanted, bench, ROWS.values())
    made = sheet(bench, scores)
    for path in write_sheet(made, runs / chosen.name):
        console.say(f"wrote {path}")
    console.out(markdown(made))
    if (error := scores.error()) is not None:
        raise error


def _synthetic(given: Path | None, folder: Path, images: int, model: str, workers: int) -> Callable[[], Dataset]:
    """What opens the synthetic data set: the given one, checked now, or one that is made when it is needed."""
    from sian.reproduce.table4.synthetic import make_synthetic, open_synthetic

    if given is not None:
        data = open_synthetic(given)
        return lambda: data

    def make() -> Dataset:
        with console.progress("synthetic images") as report:
            return make_synthetic(folder, images, model, workers, report)

    return make
