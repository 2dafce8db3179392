"""`sian train`: a recipe and a data set to a run, and the run to a model file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sian.cli import console
from sian.cli.arguments import (
    Aliases,
    Device,
    DryRun,
    GoOnFrom,
    PrecisionName,
    Resume,
    Threads,
    TrustWeights,
    Weights,
    Workers,
    check_recipe,
    check_there,
    named_files,
    parse_aliases,
    parse_changes,
    use_threads,
)
from sian.cli.verb_export import write_card

if TYPE_CHECKING:
    from sian.production.training_rehearsal import Rehearsal


def train(
    run: Annotated[Path, typer.Option("--output", "-o", help="The run's folder.")],
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="A bundled recipe's name or a .yaml file. If not given: small, finetune with --init, the run's own "
            "with --resume."
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="A model file to go on from; 'bundled' is the package's own."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", "-d", help="Data set on disk (see `sian data import`).")
    ] = None,
    slides: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="IMAGE", help="With --init: a slide or picture without annotation, or a folder; may be repeated."
        ),
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(metavar="MPP", help="Micrometres a pixel of --slides that do not say it, e.g. 0.5.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which split of the data set is learned from.")] = "train",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one value: KEY=VALUE, e.g. stages.0.images=2000."),
    ] = None,
    resume: Resume = False,
    go_on_from: GoOnFrom = None,
    device: Device = "auto",
    devices: Annotated[int, typer.Option(min=1, help="How many devices share the work (DDP).")] = 1,
    threads: Threads = None,
    precision: PrecisionName = None,
    workers: Workers = 0,
    weights: Weights = None,
    trust_weights: TrustWeights = False,
    alias: Aliases = None,
    export: Annotated[bool, typer.Option(help="Write RUN/model.safetensors when the run is complete.")] = True,
    export_on_stop: Annotated[
        bool, typer.Option("--export-on-stop", help="Also write it when Ctrl-C ends the run early.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Train SIAN on annotated tiles. Ctrl-C saves and stops; --resume goes on."""
    check_there("folder", data)
    check_recipe(recipe)
    check_there("file", Path(init) if init else None, bundled=True)
    asked, aliases = parse_changes(changes, "stages.0.images=2000"), parse_aliases(alias)

    from sian.data import open_dataset
    from sian.errors import BadInput
    from sian.files.images import PICTURE_SUFFIXES
    from sian.synthesis.magnification import check_mpp
    from sian.training.recipe import Recipe

    if recipe is not None and not resume:
        Recipe.load(recipe, asked)  # a recipe's faults are said before those of the data
    if mpp is not None:
        if not slides:
            raise BadInput("--mpp says the pixel size of --slides, found none; a data set says that of its tiles")
        check_mpp(mpp)
    source = open_dataset(data).split(split) if data else None
    use_threads(threads)

    from sian.production.train_and_export import train as train_and_export
    from sian.production.training_rehearsal import rehearse_training
    from sian.training.device import Hardware, is_main_process

    given: dict[str, Any] = {
        "changes": asked,
        "resume": resume,
        "hardware": Hardware(device, devices, precision, workers),
        "weights": weights,
        "trust_weights": trust_weights,
        "aliases": aliases,
        "init": init,
        "go_on_from": go_on_from,
        "progress": console.progress,
        "say": console.say,
    }
    if dry_run:
        if source is None or slides:
            raise BadInput("--dry-run: windows of slides are cut and outlined by the run itself; leave --slides out")
        _say(rehearse_training(recipe, source, run, **given), source.folder, split, run)
        return
    pictures = named_files(slides, PICTURE_SUFFIXES, "picture") if slides else ()
    given |= {"slides": pictures, "slides_mpp": mpp}
    made = train_and_export(recipe, source, run, **given, export=export, export_on_stop=export_on_stop)
    if export and is_main_process():
        write_card(made)


def _say(would: Rehearsal, data: Path, split: str, run: Path) -> None:
    """What `--dry-run` found, one thing a line."""
    tiles = sum(would.organs.values())
    organs = ", ".join(f"{organ} {count}" for organ, count in would.organs.items())
    console.out(f"recipe {would.recipe}, {would.precision}; nothing is written")
    console.out(f"{data}, split {split}: {tiles} tile{'s' * (tiles > 1)}, {would.nuclei:,} nuclei ({organs})")
    console.out(f"held out: {', '.join(would.held_out) or 'nothing'}")
    for leg in would.legs:
        console.out(f"{leg.images:,} windows of {leg.size} px, {leg.batch} a step: {leg.steps:,} steps")
    console.out(f"in all: {would.images:,} windows, {would.steps:,} steps")
    begun = "a new run" if would.done is None else f"goes on from {would.done:,} windows"
    console.out(f"{run}: {begun}")
