"""`sian train`: a recipe and a data set to a run, and the run to a model file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sian.cli import console
from sian.cli.arguments import parse_aliases, parse_changes
from sian.cli.verb_export import write_card

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sian.data.sampling import Tile
    from sian.training.recipe import Recipe
    from sian.training.recipe_sections import Stage


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
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="How many devices (DDP above 1).")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if not given.")] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="32-true, or bf16-mixed, the default on CUDA; quicker on CPUs with AVX512-BF16 or AMX."),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that cut windows ahead of time.")] = 0,
    weights: Annotated[Path | None, typer.Option(help="Folder that holds vgg19.safetensors.")] = None,
    trust_weights: Annotated[bool, typer.Option(help="Accept weights of an unknown SHA-256.")] = False,
    alias: Annotated[
        list[str] | None, typer.Option(help="Another name of an organ's style: NEW=ORGAN, e.g. lung=liver.")
    ] = None,
    export: Annotated[bool, typer.Option(help="Write RUN/model.safetensors when the run is complete.")] = True,
) -> None:
    """Train SIAN on annotated tiles. Ctrl-C saves and stops; --resume goes on."""
    import torch

    from sian.data import open_dataset
    from sian.data.tiles import read_tiles
    from sian.files.weights import find_weights
    from sian.synthesis.finetuning import check_tiles, start_from
    from sian.synthesis.styles import check_aliases
    from sian.training import Hardware, Recipe
    from sian.training import train as run_training
    from sian.training.checkpoint import found
    from sian.training.checks import check_run
    from sian.training.device import is_main_process
    from sian.training.perceptual import vgg_layers
    from sian.training.recipe_classes import resolve
    from sian.training.start import check_start
    from sian.training.stopping import read_looks

    if threads:
        torch.set_num_threads(threads)
    own = run / "recipe.yaml" if resume and (run / "recipe.yaml").is_file() else None
    chosen = Recipe.load(
        recipe or own or ("finetune" if init else "small"), parse_changes(changes, "stages.0.images=2000")
    )
    chosen, start = start_from(chosen, init) if init else (chosen, None)
    aliases = parse_aliases(alias)
    source = open_dataset(data).split(split)
    chosen = resolve(chosen, source)
    check_run(run, chosen, resume)  # before the seconds of reading tiles
    check_start(run, chosen, start, bool(found(run / "checkpoints")))
    if own and chosen.stages != (before := Recipe.load(own).stages):
        console.say(
            f"the run's stages change from {_stages(before)} to {_stages(chosen.stages)}; to keep its own, leave out "
            "RECIPE and --set"
        )
    if vgg_layers(chosen):
        find_weights("vgg19", weights, trust_weights)
    with console.progress("describing tiles", "tiles") as report:
        tiles = read_tiles(source, chosen.data.organ_aliases, report, chosen.data.class_names)
    check_tiles(source, start)
    check_aliases(aliases, {tile.organ for tile in tiles})
    _say_held_out(tiles, chosen)
    hardware = Hardware(device, devices, precision, workers)
    with console.progress("training") as report:
        last = run_training(
            chosen,
            tiles,
            run,
            resume=resume,
            hardware=hardware,
            weights=weights,
            trust_weights=trust_weights,
            start=start,
            report=report,
        )
    console.say(f"last checkpoint: {last}")
    if looks := read_looks(run)["looks"]:
        first, best = looks[0], min(looks, key=lambda look: look["distance"])
        console.say(
            f"held-out tiles: style distance {first['distance']:.3f} at the start, best {best['distance']:.3f} after "
            f"{best['images']:.0f} of {looks[-1]['images']:.0f} images; the best is the model"
        )
    if export and is_main_process():
        from sian.synthesis.export import export_run

        with console.progress("batch norm and style bank", "steps") as report:
            path = export_run(run, source, run / "model.safetensors", tiles=tiles, aliases=aliases, report=report)
        write_card(path)


def _say_held_out(tiles: Sequence[Tile], recipe: Recipe) -> None:
    """Say which tiles are held out, or that there are too few."""
    from sian.training.stopping import hold_out

    section = recipe.stopping
    if held := hold_out(tiles, section, recipe.seed)[1]:
        console.say(f"held out, to see when to stop: {', '.join(tile.id for tile in held)}")
    elif section.tiles:
        why = f"fewer than {section.least}" if len(tiles) < section.least else "of too few patients"
        console.say(
            f"{len(tiles)} tile{'s' * (len(tiles) > 1)}, {why}: nothing is held out, so that the run goes its full "
            "length and nothing tells whether it was too long; look at RUN/samples"
        )


def _stages(stages: tuple[Stage, ...]) -> str:
    """The stages in short, e.g. "2000 images of 128 px + 50 epochs of 256 px"."""
    return " + ".join(
        f"{stage.images} images of {stage.size} px" if stage.images else f"{stage.epochs} epochs of {stage.size} px"
        for stage in stages
    )
