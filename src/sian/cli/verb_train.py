"""`sian train`: a recipe and a data set to a run, and the run to a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sian.cli import console
from sian.cli.arguments import parse_aliases, parse_changes
from sian.cli.verb_export import write_card


def train(
    data: Annotated[Path, typer.Option("--data", "-d", help="Data set on disk (see `sian data import`).")],
    run: Annotated[Path, typer.Option("--output", "-o", help="The run's folder.")],
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="A bundled recipe's name or the path of a .yaml file; small (finetune with --init), or the resumed "
            "run's own."
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="A model file to start from; 'bundled' is the one that comes along."),
    ] = None,
    split: Annotated[str, typer.Option(help="Which split of the data set is learned from.")] = "train",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one value: KEY=VALUE, e.g. stages.0.images=2000."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
    go_on_from: Annotated[
        int | None,
        typer.Option("--from", min=1, metavar="IMAGES", help="With --resume: this checkpoint, not the newest."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="How many devices (DDP above 1).")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if not given.")] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="32-true, bf16-mixed (the default on CUDA), or auto: bf16-mixed where the CPU or GPU has bfloat16."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that cut windows ahead of time.")] = 0,
    weights: Annotated[Path | None, typer.Option(help="Folder that holds vgg19.safetensors.")] = None,
    trust_weights: Annotated[bool, typer.Option(help="Accept weights of an unknown SHA-256.")] = False,
    alias: Annotated[
        list[str] | None, typer.Option(help="Another name of an organ's style: NEW=ORGAN, e.g. lung=liver.")
    ] = None,
    export: Annotated[bool, typer.Option(help="Write RUN/model.safetensors when the run is complete.")] = True,
    export_on_stop: Annotated[
        bool, typer.Option("--export-on-stop", help="Write it of what there is when Ctrl-C ends the run.")
    ] = False,
) -> None:
    """Train SIAN on annotated tiles. Ctrl-C saves and stops; --resume goes on."""
    import torch

    from sian.data import open_dataset
    from sian.production.train_and_export import train as train_and_export
    from sian.training import Hardware, Recipe
    from sian.training.device import is_main_process

    if threads:
        torch.set_num_threads(threads)
    asked = parse_changes(changes, "stages.0.images=2000")
    if recipe is not None and not resume:
        Recipe.load(recipe, asked)  # a recipe's faults are said before those of the data
    made = train_and_export(
        recipe,
        open_dataset(data).split(split),
        run,
        changes=asked,
        resume=resume,
        hardware=Hardware(device, devices, precision, workers),
        weights=weights,
        trust_weights=trust_weights,
        aliases=parse_aliases(alias),
        init=init,
        export=export,
        export_on_stop=export_on_stop,
        go_on_from=go_on_from,
        progress=console.progress,
        say=console.say,
    )
    if export and is_main_process():
        write_card(made)
