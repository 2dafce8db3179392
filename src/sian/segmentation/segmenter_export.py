"""From a run's folder to a model file: averaged weights, batch norm estimated anew for them, facts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from sian import seeds
from sian.errors import BadInput
from sian.files.locks import only_writer
from sian.segmentation.jitter import training_pictures
from sian.segmentation.networks import build
from sian.segmentation.segmenter import Segmenter, Storage, save
from sian.segmentation.segmenter_recipe import SegmenterRecipe
from sian.training import average, checkpoint
from sian.training.start import read_start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sian.segmentation.training_windows import TrainingTiles

NORM_BATCHES = 60  # of training windows; enough for means and variances to stand still


def export_run(
    run: Path,
    tiles: TrainingTiles,
    path: Path | None = None,
    *,
    storage: Storage = "float16",
    report: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the newest checkpoint of a run as a model file.

    Args:
        run: the run's folder.
        tiles: the tiles it was trained on; their licence goes into the file.
        path: the model file; `RUN/model.safetensors` if not given.
        storage: dtype of the weights in the file.
        report: called with (batches done, batches in all).

    Returns:
        The model file's path.

    Raises:
        BadInput: the run has no checkpoint, or a damaged one; or the place cannot be written to.
    """
    target = path or run / "model.safetensors"
    with only_writer(target, folder=False):  # before the work
        return _exported(run, tiles, target, storage, report)


def _exported(
    run: Path, tiles: TrainingTiles, target: Path, storage: Storage, report: Callable[[int, int], None] | None
) -> Path:
    found = checkpoint.found(run / "checkpoints")
    if not found:
        raise BadInput(f"{run}: holds no checkpoint, expected a run of `sian segment train`; train first")
    recipe = SegmenterRecipe.load(run / "recipe.yaml")
    state, _ = checkpoint.read_state(found[-1])
    network = build(**recipe.network.model_dump(), seed=recipe.seed)
    network.load_state_dict(checkpoint.read_tensors(found[-1] / "average.safetensors"))
    average.estimate_batch_norm(network, training_passes(network, tiles, recipe, report))
    facts = {**_facts(run, state), **tiles.facts, **_begun_with(run, str(tiles.facts["licence"]))}
    return save(Segmenter(network.eval(), recipe, facts), target, storage)


def training_passes(
    network: torch.nn.Module,
    tiles: TrainingTiles,
    recipe: SegmenterRecipe,
    report: Callable[[int, int], None] | None = None,
) -> Iterator[Callable[[], object]]:
    """Training windows through the network, one batch a call, for batch norm to see."""
    for number, (images, _) in zip(range(NORM_BATCHES), tiles.batches(recipe), strict=False):
        random = seeds.torch_generator(recipe.seed, "batch norm", number)
        pictures = training_pictures(images, recipe.augment, random)
        yield lambda pictures=pictures: network(pictures)  # type: ignore[misc]
        if report:
            report(number + 1, NORM_BATCHES)


def _begun_with(run: Path, licence: str) -> dict[str, Any]:
    """Which segmenter the run began with, if with one; its licence holds for what was made of it."""
    if not (start := read_start(run)):
        return {}
    base = str(start["licence"])
    both = licence if base in licence else f"{base} (base model) and {licence} (tiles)"
    return {"began_with": start["sha256"], "mpp": start["mpp"], "licence": both}


def _facts(run: Path, state: checkpoint.State) -> dict[str, Any]:
    """What the run's own files say of it."""
    path = run / "environment.json"
    environment = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    hours = round(state.scalars.get("seconds", 0.0) / 3600, 3)
    return {"images": state.images, "steps": state.step, "hours": hours, **environment}
