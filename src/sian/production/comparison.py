"""The comparison of a fine-tuning with what it starts from: which tissue, and which jury."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from sian.data.sampling import Tile
from sian.errors import BadInput, MissingResource
from sian.evaluation.features import WEIGHTS, InceptionFeatures
from sian.evaluation.jury import Jury
from sian.files.hashing import sha256_file
from sian.files.weights import find_weights
from sian.synthesis.finetuning import start_from
from sian.synthesis.load_model import bundled_model
from sian.training import Recipe, Start
from sian.training.candidates import Candidates
from sian.training.quarters import Parted, part_tiles
from sian.training.start import read_start
from sian.training.stopping import hold_out


def check_features(weights: Path | None, trust: bool) -> None:
    """Refuse a fine-tuning that could not say whether it is better, before anything is read.

    Raises:
        MissingResource: Inception's weights are not on this machine.
    """
    try:
        find_weights(WEIGHTS, weights, trust)
    except MissingResource as missing:
        raise MissingResource(
            f"{missing}; a fine-tuning compares its model with the start by them. To train without comparing, and "
            "without knowing whether it got better: --set comparing.tiles=0"
        ) from None


@dataclass(frozen=True)
class Apart:
    """What a run learns from, and what it only looks at.

    Attributes:
        learned: tiles, or parts of them.
        names: of what is held out.
        parted: for the comparison with the start; None where nothing is compared.
        start: what the run starts from.
    """

    learned: Sequence[Tile]
    names: Sequence[str]
    parted: Parted | None
    start: Start | None


def set_apart(tiles: Sequence[Tile], recipe: Recipe, start: Start | None, run: Path) -> Apart:
    """Hold out what a run compares on, or looks at to see when to stop.

    Args:
        tiles: all that are annotated.
        recipe: its sections `comparing` and `stopping`.
        start: what the run starts from; None for a run that is resumed, or that starts from nothing.
        run: its folder.

    Raises:
        BadInput: nothing can be held out, or a resumed run began with a model that must be given again.
    """
    if not recipe.comparing.tiles:
        learned, held = hold_out(tiles, recipe.stopping, recipe.seed)
        return Apart(learned, [tile.id for tile in held], None, start)
    begun = start or start_again(recipe, run)  # a resumed run is compared with what it began with, too
    parted = parted_tiles(tiles, recipe)
    return Apart(parted.learned, parted.names, parted, begun)


def comparison(
    parted: Parted,
    recipe: Recipe,
    start: Start,
    run: Path,
    weights: Path | None,
    trust: bool,
    say: Callable[[str], None],
) -> Candidates:
    """Who compares.

    Args:
        parted: what is learned from, and what is held out.
        recipe: its section `comparing`.
        start: what the run starts from.
        run: its folder.
        weights: folder that holds inception_fid.safetensors, searched first.
        trust: accept weights of an unknown SHA-256.
        say: called with sentences about the run.

    Raises:
        MissingResource: Inception's weights are not on this machine.
    """
    say(f"held out, to compare with the start: {', '.join(parted.names)}")
    others = start.styles if start.styles is not None else torch.zeros(1, 0)
    jury = Jury(
        parted.held,
        parted.tissue,
        parted.learned,
        others,
        InceptionFeatures.load(weights, trust=trust),
        recipe.comparing.windows,
        recipe.seed,
        norms=any("generator" not in stage.frozen and not stage.frozen_batch_norm for stage in recipe.stages),
    )
    return Candidates(jury, recipe.comparing, run, parted.names, say)


def parted_tiles(tiles: Sequence[Tile], recipe: Recipe) -> Parted:
    """What is learned from and what is held out.

    Raises:
        BadInput: nothing can be held out.
    """
    parted = part_tiles(tiles, recipe.comparing, recipe.seed)
    if not parted.held:
        raise BadInput(
            f"{len(tiles)} tile{'s' * (len(tiles) > 1)} of one patient, smaller than 512 x 512 px: nothing can be held "
            "out, so nothing would tell whether training made it better; give a larger tile or one of another patient, "
            "or train all the same with --set comparing.tiles=0"
        )
    return parted


def start_again(recipe: Recipe, run: Path) -> Start:
    """What a run that is resumed without --init began with.

    Raises:
        BadInput: it was not the bundled model.
    """
    began = str(read_start(run).get("sha256", "another"))
    if began != sha256_file(bundled_model()):
        raise BadInput(
            f"{run}: began with the model {began[:12]} and compares with it; give it again with --init MODEL"
        )
    return start_from(recipe, "bundled")[1]
