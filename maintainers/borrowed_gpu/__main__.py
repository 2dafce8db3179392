"""``python -m maintainers.borrowed_gpu row|pack|collect``: one row within a time budget, on a machine that is lent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sian.cli import console
from sian.cli.arguments import Device, PrecisionName, Threads, TrustWeights, Weights, Workers
from sian.cli.main import explain
from sian.cli.reproduce_options import Data, ScaleName, Seed, check_runs, open_bench

app = typer.Typer(help="One row of the tables on a machine that is lent for half an hour.", rich_markup_mode=None)


@app.command()
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
    trust_weights: TrustWeights = False,
    device: Device = "auto",
    threads: Threads = None,
    workers: Workers = 0,
    precision: PrecisionName = None,
) -> None:
    """Train one row in so many minutes: time the first steps, plan the images, train, export, measure."""
    from maintainers.borrowed_gpu.collecting import check_empty
    from maintainers.borrowed_gpu.job import run_job
    from sian.reproduce.rows import ROWS, rows_named

    (chosen,) = rows_named([name], ROWS)
    check_empty(output)
    place = work or output.with_name(f"{output.name}-work")
    check_runs(data, place)
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


@app.command()
def pack(
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder.")],
    weights: Weights = None,
    trust_weights: TrustWeights = False,
    inception: Annotated[
        bool, typer.Option("--inception/--no-inception", help="Pack what measuring needs: Inception and test tiles.")
    ] = True,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of the training images' webp.")] = 90,
    wheels: Annotated[Path | None, typer.Option(metavar="DIR", help="Wheels that the machine lacks.")] = None,
    transfers: Annotated[int, typer.Option(min=1, help="Folders of at most 64 MiB.")] = 1,
) -> None:
    """Pack data, weights, code and wheels for a job elsewhere, in folders of at most 64 MiB."""
    from maintainers.borrowed_gpu.packing import pack as write
    from sian.data import open_dataset

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


@app.command()
def collect(
    job: Annotated[Path, typer.Argument(help="The folder that a job has left.")],
    runs: Annotated[Path, typer.Option("--output", "-o", metavar="RUNS", help="Folder of all rows: RUNS/SCALE/ROW.")],
) -> None:
    """Make a row of the tables of what a job has left."""
    from maintainers.borrowed_gpu.collecting import collect as bring

    console.out(str(bring(job, runs)))


def main(arguments: list[str]) -> int:
    """Run a verb and return its exit code; an error is one line on stderr, as with `sian`."""
    try:
        code = app(args=arguments, prog_name="python -m maintainers.borrowed_gpu", standalone_mode=False)
    except Exception as error:  # noqa: BLE001 - the one place where every error ends
        code, sentence = explain(error)
        console.say(f"borrowed_gpu: error: {sentence}")
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
