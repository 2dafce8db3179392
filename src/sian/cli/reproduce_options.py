"""What the verbs of ``sian reproduce`` are given alike, and the bench that it describes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sian.cli import console
from sian.cli.arguments import Scale, StyleSetting, check_there, use_threads
from sian.errors import BadInput

if TYPE_CHECKING:
    from sian.reproduce.bench import Bench
    from sian.training import Hardware

Data = Annotated[Path, typer.Option("--data", "-d", help="Data set on disk with the splits train and test.")]
ScaleName = Annotated[
    Scale, typer.Option("--scale", help="tiny takes minutes of one core a row, core hours, small a GPU.")
]
Runs = Annotated[Path, typer.Option("--output", "-o", metavar="RUNS", help="Folder of all rows: RUNS/SCALE/ROW.")]
Rows = Annotated[
    str | None, typer.Option("--rows", help="Only these, e.g. spade,sian; the others are shown as not run.")
]
Seed = Annotated[int, typer.Option(min=0, help="Random seed of training, drawn references and noise.")]
SegmenterPath = Annotated[
    str, typer.Option("--segmenter", metavar="MODEL", help="'judge', 'bundled', or a segmenter's file.")
]
FromReports = Annotated[
    bool, typer.Option("--from-reports", help="Use what the rows' folders hold; train, paint and measure nothing.")
]
Cache = Annotated[Path | None, typer.Option(metavar="DIR", help="Where features of real images are kept.")]


def open_bench(
    data: Path,
    scale: Scale,
    runs: Path,
    *,
    seed: int,
    weights: Path | None,
    trust_weights: bool,
    device: str,
    threads: int | None,
    workers: int,
    precision: str | None,
    style: StyleSetting = "paired",
    segmenter: str = "judge",
    cache: Path | None = None,
    measured: bool = True,
) -> Bench:
    """What the options describe; everything that can be wrong with them is said before any work."""
    use_threads(threads)

    from sian.data import open_dataset
    from sian.reproduce.bench import Bench
    from sian.reproduce.scales import scale_named

    hardware, measuring = open_hardware(device, workers, precision)
    return Bench(
        data=open_dataset(data),
        scale=scale_named(scale),
        runs=runs,
        hardware=hardware,
        device=measuring,
        style=style,
        seed=seed,
        weights=weights,
        trust_weights=trust_weights,
        segmenter=segmenter,
        cache=cache,
        progress=console.progress,
        measured=measured,
    )


def check_runs(data: Path, runs: Path) -> None:
    """Refuse a data set that is not there, and a file where the rows' folder should be."""
    check_there("folder", data)
    if runs.exists() and not runs.is_dir():
        raise BadInput(f"{runs}: found a file, expected the name of a folder for the rows; choose another name")


def open_hardware(device: str, workers: int, precision: str | None = None) -> tuple[Hardware, str]:
    """Where rows are trained, and the device on which they are measured."""
    import torch

    from sian.training import Hardware

    cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    return Hardware(device, 1, precision, workers), "cuda" if cuda else "cpu"


def split_names(words: str | None) -> list[str]:
    """Names in a list with commas."""
    return [word.strip() for word in (words or "").split(",") if word.strip()]
