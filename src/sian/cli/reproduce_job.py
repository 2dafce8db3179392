"""``sian reproduce row|pack|collect``: one row within a time budget, on a machine that is at hand for half an hour."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sian.cli import console
from sian.cli.reproduce_options import (
    Data,
    Device,
    Precision,
    ScaleName,
    Seed,
    Threads,
    Trust,
    Weights,
    Workers,
    open_bench,
)


def row(
    name: Annotated[str, typer.Argument(metavar="ROW", help="A row of the tables, e.g. sian.")],
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for at most 8 files of 16 MiB.")],
    minutes: Annotated[float, typer.Option(min=0.1, help="For everything, from now.")],
    scale: ScaleName = "small",
    work: Annotated[Path | None, typer.Option(help="Where the run lies, to go on there; OUTPUT-work.")] = None,
    evaluate: Annotated[bool, typer.Option("--evaluate/--no-evaluate", help="Measure it there, or at home.")] = True,
    model: Annotated[bool, typer.Option("--model/--no-model", help="Leave the weights, or numbers alone.")] = True,
    seed: Seed = 0,
    weights: Weights = None,
    trust_weights: Trust = False,
    device: Device = "auto",
    threads: Threads = None,
    workers: Workers = 0,
    precision: Precision = None,
) -> None:
    """Train one row in so many minutes: time the first steps, plan the images, train, export, measure."""
    from sian.reproduce.collecting import check_empty
    from sian.reproduce.job import run_job
    from sian.reproduce.rows import ROWS, rows_named

    (chosen,) = rows_named([name], ROWS)
    check_empty(output)
    place = work or output.with_name(f"{output.name}-work")
    bench = open_bench(
        data,
        scale,
        place,
        seed=seed,
        weights=weights,
        trust_weights=trust_weights,
        device=device,
        threads=threads,
        workers=workers,
        precision=precision,
        cache=place / "cache",
        measured=evaluate,
    )
    facts = run_job(chosen, bench, minutes, output, evaluate=evaluate, keep_model=model)
    console.say(f"{facts['planned_images']} images planned, {facts['seconds_left']:.0f} s left")
    console.out(str(output))


def pack(
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder.")],
    weights: Weights = None,
    trust_weights: Trust = False,
    inception: Annotated[
        bool, typer.Option("--inception/--no-inception", help="Pack what measuring needs: Inception and test tiles.")
    ] = True,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of the training images' webp.")] = 90,
    wheels: Annotated[Path | None, typer.Option(metavar="DIR", help="Wheels that the machine lacks.")] = None,
    transfers: Annotated[int, typer.Option(min=1, help="Folders of at most 64 MiB.")] = 1,
) -> None:
    """Pack data, weights, code and wheels for a job elsewhere, in folders of at most 64 MiB."""
    from sian.data import open_dataset
    from sian.reproduce.packing import pack as write

    opened = open_dataset(data)
    opened.split("train")
    made = write(
        opened,
        output,
        weights=weights,
        trust_weights=trust_weights,
        inception=inception,
        quality=quality,
        wheels=wheels,
        transfers=transfers,
    )
    for folder, size in made:
        console.out(f"{folder}  {size / (1 << 20):.1f} MiB")


def collect(
    job: Annotated[Path, typer.Argument(help="The folder that a job has left.")],
    runs: Annotated[Path, typer.Option("--output", "-o", metavar="RUNS", help="Folder of all rows: RUNS/SCALE/ROW.")],
) -> None:
    """Make a row of the tables of what a job has left."""
    from sian.reproduce.collecting import collect as bring

    console.out(str(bring(job, runs)))
