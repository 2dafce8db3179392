"""`sian.train`, which is `sian train` too: a recipe and tiles to a run, and the run to a model file."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sian.data.tiles import read_tiles
from sian.errors import BadInput, Interrupted
from sian.files.weights import find_weights
from sian.production.comparison import check_features, comparison, set_apart
from sian.production.slide_tiles import slide_tiles, weighted
from sian.segmentation import load as load_segmenter
from sian.synthesis.export import export_run
from sian.synthesis.finetuning import check_tiles, start_from
from sian.synthesis.styles import check_aliases
from sian.training import Hardware, Recipe
from sian.training import train as run_training
from sian.training.candidates import looks_of, verdict
from sian.training.checkpoint import found
from sian.training.checks import check_run
from sian.training.device import is_main_process
from sian.training.perceptual import vgg_layers
from sian.training.recipe_classes import resolve, takes_tissue
from sian.training.start import check_start
from sian.training.stopping import read_looks

if TYPE_CHECKING:
    from sian.data import Dataset
    from sian.data.sampling import Tile
    from sian.training.recipe_sections import Stage
    from sian.training.start import Start

MODEL = "model.safetensors"  # in the run's folder
TRAINING = "training"  # the part of the work that `report` is told of

Report = Callable[[int, int], None]
Progress = Callable[[str, str], AbstractContextManager[Report]]  # what is done, and the plural of what is counted
Say = Callable[[str], None]


def train(
    recipe: str | Path | Recipe | None,
    data: Dataset | None,
    run: str | Path,
    *,
    slides: Sequence[str | Path] = (),
    slides_mpp: float | None = None,
    changes: Mapping[str, str] | None = None,
    resume: bool = False,
    hardware: Hardware | None = None,
    weights: Path | None = None,
    trust_weights: bool = False,
    aliases: Mapping[str, str] | None = None,
    init: str | Path | None = None,
    export: bool = True,
    export_on_stop: bool = False,
    go_on_from: int | None = None,
    stop: Callable[[], bool] | None = None,
    report: Report | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
) -> Path:
    """Train on annotated tiles and export the model; returns the model file, RUN/model.safetensors.

    With several devices the script runs in as many processes. The first of them alone exports, so the others may
    return before the file is there.

    Args:
        recipe: a bundled recipe's name, a path, or a recipe. None takes the resumed run's own, or "small", or
            "finetune" where there is an `init`.
        data: the tiles, e.g. ``sian.open_dataset(folder).split("train")``; None where there are `slides` alone.
        slides: further pictures to learn from, without annotation. The bundled segmenter outlines windows of their
            tissue.
        slides_mpp: micrometres a pixel of these pictures, in the place of what they say.
        run: the run's folder.
        changes: of single values of a recipe that is read, e.g. {"stages.0.images": "2000"}.
        resume: go on from the newest checkpoint.
        hardware: where to compute.
        weights: folder that holds vgg19.safetensors, searched first.
        trust_weights: accept weights of an unknown SHA-256.
        aliases: other names of organs in the style bank, e.g. {"lung": "liver"}.
        init: a model file to start from, "bundled" for the one in the package; e.g. with the recipe "finetune".
        export: whether to make the model file; if not, the last checkpoint is returned.
        export_on_stop: whether to make the model file of what there is when the run is stopped.
        go_on_from: of a resumed run, the images of the checkpoint to take instead of the newest.
        stop: asked after every step; once it says yes, the run saves a checkpoint and ends with `Interrupted`.
        report: called with (images seen, images in all).
        progress: called with the name of each part of the work and with what is counted in it; returns a context
            that gives a `report` for that part.
        say: called with sentences about the run.

    Raises:
        BadInput: the recipe, the tiles, the run's folder or an alias does not fit.
        MissingResource: VGG19's weights, the device, or space on the disk are not on this machine.
        Interrupted: Ctrl-C, SIGTERM or `stop`; a checkpoint was saved.
    """
    run, say = Path(run), say or _nothing
    progress = progress or (lambda what, _: nullcontext(report if what == TRAINING and report else _nothing))
    chosen, start = checked_recipe(
        recipe,
        data,
        run,
        changes=changes,
        resume=resume,
        init=init,
        weights=weights,
        trust_weights=trust_weights,
        go_on_from=go_on_from,
        say=say,
    )
    tiles = described_tiles(chosen, data, aliases, progress) if data is not None else []
    more: list[Tile] = []
    if data is None or slides:
        mpp = data.info.mpp if data is not None else (start.facts["mpp"] if start else None)
        cut, more = _slide_tiles(slides, slides_mpp, chosen, mpp, run, progress, say)
        if data is None:
            data, tiles, more = cut, more, []
            check_tiles(data, start)
            check_aliases(aliases, {tile.organ for tile in tiles})
    compared, learned = None, tiles  # the loop itself holds out what it looks at to see when to stop
    apart = set_apart(tiles, chosen, start, run)
    if apart.parted is not None and apart.start is not None:
        start, learned = apart.start, apart.parted.learned
        compared = comparison(apart.parted, chosen, start, run, weights, trust_weights, say)
    else:
        say_held_out(len(tiles), apart.names, chosen, say)
    learned = [*learned, *weighted(more, learned)]
    where = hardware or Hardware()
    if where.precision is None and where.could_be_quicker and not resume:
        say("this CPU is quicker in bfloat16, and the run computes in fp32; --precision auto takes it")
    try:
        with progress(TRAINING, "images") as seen:
            last = run_training(
                chosen,
                learned,
                run,
                resume=resume,
                hardware=hardware,
                weights=weights,
                trust_weights=trust_weights,
                start=start,
                go_on_from=go_on_from,
                stop=stop,
                candidates=compared,
                report=seen,
            )
    except Interrupted as stopped:
        always = compared is not None and bool(compared.looks)  # there is a model from the first look on
        raise _stopped(stopped, run, data, tiles, aliases, export_on_stop or always, progress) from None
    say(f"last checkpoint: {last}")
    _say_distances(run, say)
    if not export:
        return last
    if is_main_process():
        with progress("batch norm and style bank", "steps") as done:
            export_run(run, data, run / MODEL, tiles=tiles, aliases=aliases, report=done)
    return run / MODEL


def checked_recipe(
    recipe: str | Path | Recipe | None,
    data: Dataset | None,
    run: Path,
    *,
    changes: Mapping[str, str] | None,
    resume: bool,
    init: str | Path | None,
    weights: Path | None,
    trust_weights: bool,
    go_on_from: int | None,
    say: Say,
) -> tuple[Recipe, Start | None]:
    """The recipe of a run and what it starts from; all that can be refused before tiles are read. See `train`."""
    if go_on_from is not None and not resume:
        raise BadInput(f"{run}: a checkpoint of {go_on_from} images to go on from, but nothing to resume; add --resume")
    chosen, start = _recipe_and_start(recipe, changes or {}, run, resume, init, say)
    if data is not None:
        chosen = resolve(chosen, data)
    check_run(run, chosen, resume)  # before the seconds of reading tiles
    check_start(run, chosen, start, bool(found(run / "checkpoints")))
    if vgg_layers(chosen):
        find_weights("vgg19", weights, trust_weights)
    if chosen.comparing.tiles:
        check_features(weights, trust_weights)
    if data is not None:
        check_tiles(data, start)
    return chosen, start


def described_tiles(recipe: Recipe, data: Dataset, aliases: Mapping[str, str] | None, progress: Progress) -> list[Tile]:
    """The tiles with their layouts, as a run reads them; other names of organs are checked. See `train`."""
    with progress("describing tiles", "tiles") as described:
        classes, tissue = recipe.data.class_names, takes_tissue(recipe)
        tiles = read_tiles(data, recipe.data.organ_aliases, described, classes, tissue=tissue)
    check_aliases(aliases, {tile.organ for tile in tiles})
    return tiles


def _slide_tiles(
    slides: Sequence[str | Path],
    slides_mpp: float | None,
    recipe: Recipe,
    mpp: float | None,
    run: Path,
    progress: Progress,
    say: Say,
) -> tuple[Dataset, list[Tile]]:
    """Windows of slides that nobody annotated, outlined; `mpp` is what they are brought to from `slides_mpp`."""
    if not slides:
        raise BadInput("expected annotated tiles (--data DATASET) or pictures (--slides IMAGE), found neither")
    if recipe.data.class_names:
        raise BadInput("--slides: this model knows nuclear classes, which no segmenter finds; leave --slides out")
    with progress("segmenting slides", "slides") as segmented:
        tissue, segmenter = takes_tissue(recipe), load_segmenter()
        cut, found = slide_tiles(slides, run, segmenter, mpp=mpp, given=slides_mpp, tissue=tissue, report=segmented)
    left_out = np.mean([tile.ignored.mean() for tile in found if tile.ignored is not None])
    say(
        f"{len(found)} windows of {len(slides)} slide{'s' * (len(slides) > 1)}, outlined by the bundled segmenter, "
        f"{100 * left_out:.0f} % of their pixels ignored as doubtful: {run / 'slides'}"
    )
    return cut, found


def _stopped(
    stopped: Interrupted,
    run: Path,
    data: Dataset,
    tiles: Sequence[Tile],
    aliases: Mapping[str, str] | None,
    export: bool,
    progress: Progress,
) -> Interrupted:
    """What to say of a run that was stopped: how a model is made of what there is, or where it is."""
    if not export:
        also = "".join(f" --alias {shlex.quote(f'{new}={old}')}" for new, old in (aliases or {}).items())
        command = f"sian export {shlex.quote(str(run))} --data {shlex.quote(str(data.folder))}{also}"
        return Interrupted(f"{stopped}, or make a model of what there is with `{command}`")
    if is_main_process():
        with progress("batch norm and style bank", "steps") as done:
            export_run(run, data, run / MODEL, tiles=tiles, aliases=aliases, report=done)
    return Interrupted(f"{stopped}; the model of what there is: {run / MODEL}")


def _nothing(*_: object) -> None:
    """Say nothing."""


def _recipe_and_start(
    recipe: str | Path | Recipe | None,
    changes: Mapping[str, str],
    run: Path,
    resume: bool,
    init: str | Path | None,
    say: Say,
) -> tuple[Recipe, Start | None]:
    """The recipe with everything that was asked for, and the model that it starts from, if it does."""
    own = run / "recipe.yaml" if resume and (run / "recipe.yaml").is_file() else None
    if isinstance(recipe, Recipe):
        if changes:
            raise BadInput(f"changes: found {', '.join(changes)} beside a recipe; make them in it, or name a file")
        chosen = recipe
    else:
        chosen = Recipe.load(recipe or own or ("finetune" if init else "small"), changes)
    chosen, start = start_from(chosen, init) if init else (chosen, None)
    if own and chosen.stages != (before := Recipe.load(own).stages):
        say(
            f"the run's stages change from {_stages(before)} to {_stages(chosen.stages)}; to keep its own, leave out "
            "RECIPE and --set"
        )
    return chosen, start


def say_held_out(count: int, names: Sequence[str], recipe: Recipe, say: Say) -> None:
    """Say which of so many tiles are held out, or that there are too few."""
    section = recipe.stopping
    if names:
        say(f"held out, to see when to stop: {', '.join(names)}")
    elif section.tiles:
        why = f"fewer than {section.least}" if count < section.least else "of too few patients"
        say(
            f"{count} tile{'s' * (count > 1)}, {why}: nothing is held out, so that the run goes its full "
            "length and nothing tells whether it was too long; look at RUN/samples"
        )


def _say_distances(run: Path, say: Say) -> None:
    """Say what comparing, or looking at held-out tiles, came to."""
    if compared := looks_of(run):
        say(verdict(compared))
    elif looks := read_looks(run)["looks"]:
        first, best = looks[0], min(looks, key=lambda look: look["distance"])
        say(
            f"held-out tiles: style distance {first['distance']:.3f} at the start, best {best['distance']:.3f} after "
            f"{best['images']:.0f} of {looks[-1]['images']:.0f} images; the best is the model"
        )


def _stages(stages: tuple[Stage, ...]) -> str:
    """The stages in short, e.g. "2000 images of 128 px + 50 epochs of 256 px"."""
    return " + ".join(
        f"{stage.images} images of {stage.size} px" if stage.images else f"{stage.epochs} epochs of {stage.size} px"
        for stage in stages
    )
