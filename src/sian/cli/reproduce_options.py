"""What the verbs of ``sian reproduce`` are given alike, and the bench that it describes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sian.cli import console

if TYPE_CHECKING:
    from sian.reproduce.bench import Bench

Data = Annotated[Path, typer.Option("--data", "-d", help="Data set on disk with the splits train and test.")]
ScaleName = Annotated[
    str,
    typer.Option("--scale", help="tiny (minutes of one core a row), core (hours), small (a GPU) or paper."),
]
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
Precision = Annotated[
    str | None,
    typer.Option(
        help="32-true, bf16-mixed (the default on CUDA), or auto: bf16-mixed where the CPU or GPU has bfloat16."
    ),
]
Workers = Annotated[int, typer.Option(min=0, help="Processes that cut windows ahead of time.")]
Cache = Annotated[Path | None, typer.Option(metavar="DIR", help="Where features of real images are kept.")]


def open_bench(
    data: Path,
    scale: str,
    runs: Path,
    *,
    seed: int,
    weights: Path | None,
    trust_weights: bool,
    device: str,
    threads: int | None,
    workers: int,
    precision: str | None,
    style: str = "paired",
    segmenter: str = "bundled",
    cache: Path | None = None,
    measured: bool = True,
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
        Hardware(device, 1, precision, workers),
        "cuda" if cuda else "cpu",
        style=style,
        seed=seed,
        weights=weights,
        trust_weights=trust_weights,
        segmenter=segmenter,
        cache=cache,
        progress=console.progress,
        measured=measured,
    )


def split_names(words: str | None) -> list[str]:
    """Names in a list with commas."""
    return [word.strip() for word in (words or "").split(",") if word.strip()]
