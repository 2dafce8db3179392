"""From outlined windows to a segmenter that has learned from them, in the minutes there are."""

from __future__ import annotations

import math
import shutil
import time
from typing import TYPE_CHECKING

from sian.adaptation.averaging import averaged
from sian.segmentation.segmenter import load
from sian.segmentation.segmenter_export import export_run
from sian.segmentation.segmenter_recipe import SegmenterRecipe
from sian.segmentation.training import train
from sian.segmentation.training_windows import TrainingTiles
from sian.training.checks import holds_run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sian.segmentation.segmenter import Segmenter
    from sian.segmentation.training_windows import KnownTile
    from sian.training.device import Hardware

    Report = Callable[[int, int], None]

RUNS = 3  # that differ in their seed; the mean of their weights is the result
TIMED = 80  # windows that are learned from to see how quick the machine is
LEAST, MOST = 600, 6000  # windows of all runs; longer was not better (docs/results/adapting.md)


def adapted_recipe(start: Segmenter, images: int, seed: int) -> SegmenterRecipe:
    """The recipe "adapt" for that segmenter's network, with its way to instances."""
    recipe = SegmenterRecipe.load("adapt", {"images": str(images), "seed": str(seed)})
    own = {"network": start.recipe.network, "instances": start.recipe.instances}
    return recipe.model_copy(update=own)


def begun_length(run: Path) -> int | None:
    """How many windows stopped runs were to learn from; None where none was begun."""
    return RUNS * SegmenterRecipe.load(run / "0" / "recipe.yaml").images if has_begun(run) else None


def has_begun(run: Path) -> bool:
    """Whether the first of the runs has."""
    return holds_run(run / "0")


def affordable(
    start: Segmenter,
    tiles: Sequence[KnownTile],
    run: Path,
    seconds: float,
    hardware: Hardware,
    say: Callable[[str], None],
) -> int:
    """How many windows can be learned from in so many seconds, by a few that are timed; says if these are too few."""
    recipe, trial = adapted_recipe(start, TIMED, 0), run.with_name(f"{run.name}.timing")
    shutil.rmtree(trial, ignore_errors=True)
    begun = time.perf_counter()
    train(recipe, TrainingTiles(tiles, recipe), trial, hardware=hardware, start=start)
    a_window = (time.perf_counter() - begun) / TIMED
    shutil.rmtree(trial)
    if seconds < LEAST * a_window:
        say(f"there is too little time left: learning from {LEAST} windows all the same, {LEAST * a_window:.0f} s")
    return min(MOST, max(LEAST, math.floor(seconds / a_window)))


def learn_often(
    start: Segmenter,
    tiles: Sequence[KnownTile],
    run: Path,
    images: int,
    seed: int,
    hardware: Hardware,
    report: Report | None = None,
) -> Segmenter:
    """Go on from a segmenter several times, and take the mean of what became of it.

    Args:
        start: what is begun with.
        tiles: to learn from.
        run: the folder of the runs.
        images: windows of all runs.
        seed: of the first; the others have the next ones.
        hardware: where to compute.
        report: called with (windows seen, windows in all).

    Raises:
        Interrupted: as `learn`.
    """
    each = -(-images // RUNS)
    taught = []
    for number in range(RUNS):
        done = number * each
        own = (lambda seen, _, done=done: report(done + seen, RUNS * each)) if report else None
        taught.append(learn(start, tiles, run / str(number), each, seed * RUNS + number, hardware, own))
    mean = averaged(taught, TrainingTiles(tiles, taught[0].recipe))
    mean.facts = {**mean.facts, "images": sum(one.facts["images"] for one in taught), "averaged_runs": RUNS}
    return mean


def learn(
    start: Segmenter,
    tiles: Sequence[KnownTile],
    run: Path,
    images: int,
    seed: int,
    hardware: Hardware,
    report: Report | None = None,
) -> Segmenter:
    """Go on from a segmenter with tiles; a run that was stopped goes on, at its own length.

    Args:
        start: what is begun with.
        tiles: to learn from.
        run: the run's folder.
        images: windows.
        seed: of the run.
        hardware: where to compute.
        report: called with (windows seen, windows in all).

    Raises:
        Interrupted: Ctrl-C or SIGTERM; a checkpoint was saved.
    """
    resume = holds_run(run)
    recipe = SegmenterRecipe.load(run / "recipe.yaml") if resume else adapted_recipe(start, images, seed)
    known = TrainingTiles(tiles, recipe)
    train(recipe, known, run, resume=resume, hardware=hardware, start=start, report=report)
    taught = load(export_run(run, known), str(next(start.network.parameters()).device))
    taught.facts |= {"mpp": start.mpp, "adapted_from": start.sha256}
    return taught
