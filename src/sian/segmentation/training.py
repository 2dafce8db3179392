"""The segmenters' training loop: one linear function, progress counted in images seen, exact resume.

A run is a folder as SIAN's is: `recipe.yaml`, `environment.json`, `stats.jsonl`, `tensorboard/`, `checkpoints/`.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

import sian
from sian import seeds
from sian.errors import BadInput, Interrupted
from sian.files import write_json, write_text
from sian.interrupts import stop_signals
from sian.segmentation.jitter import training_pictures
from sian.segmentation.networks import build
from sian.segmentation.objectives import TERMS
from sian.training import average, checkpoint
from sian.training.checks import check_finite, check_run, check_weights
from sian.training.device import Hardware, flushed_denormals, launch
from sian.training.environment import as_before, one_at_a_time, write_environment
from sian.training.journal import Journal, Means, due
from sian.training.start import START

if TYPE_CHECKING:
    from collections.abc import Callable

    from sian.segmentation.segmenter import Segmenter
    from sian.segmentation.segmenter_recipe import SegmenterRecipe
    from sian.segmentation.training_windows import TrainingTiles

LAST_RATE = 0.01  # of the full learning rate; where the cosine ends
RATES = "optimiser.rate"
GRADIENT_NORM = 5.0  # larger gradients are shortened to it


@one_at_a_time
@flushed_denormals()
def train(
    recipe: SegmenterRecipe,
    tiles: TrainingTiles,
    run: str | Path,
    *,
    resume: bool = False,
    hardware: Hardware | None = None,
    go_on_from: int | None = None,
    start: Segmenter | None = None,
    report: Callable[[int, int], None] | None = None,
) -> Path:
    """Train a segmenter on one device; returns the last checkpoint.

    Args:
        recipe: what to do.
        tiles: the training tiles.
        run: the run's folder; new, unless `resume`.
        resume: go on with a run from its newest checkpoint (from the start when it has none yet).
        hardware: where to compute.
        go_on_from: of a resumed run, the images of the checkpoint to take instead of the newest.
        start: a segmenter whose weights the run begins with; its network must be the recipe's.
        report: called with (images seen, images in all).

    Raises:
        BadInput: the run exists already or belongs to another recipe, a tile is smaller than a window, `start` is
            another network, or the loss is no longer finite.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint was saved.
    """
    run, hardware = Path(run), hardware or Hardware()
    check_run(run, recipe, resume)
    check_start(start, recipe)
    hardware = as_before(hardware, run, on_cpu=hardware.computes_on_cpu)
    tiles.windows(recipe)  # refuses tiles that are too small before anything is written

    # Device and books.
    fabric = launch(replace(hardware, devices=1))
    write_text(run / "recipe.yaml", recipe.dump())
    write_environment(run, fabric.device, hardware.chosen_precision)
    if start is not None:
        licence = str(start.facts.get("licence", "unknown"))
        write_json(run / START, {"sha256": start.sha256, "licence": licence, "mpp": start.mpp})

    # Network, its average, optimiser, and where the last run of this folder stopped.
    network = build(**recipe.network.model_dump(), seed=recipe.seed)
    averaged = build(**recipe.network.model_dump(), seed=recipe.seed).requires_grad_(False)
    if start is not None:
        for part in (network, averaged):
            part.load_state_dict(start.network.state_dict())
    adam = torch.optim.AdamW(
        _groups(network, recipe.optimiser.weight_decay), recipe.optimiser.rate, recipe.optimiser.betas
    )
    bare = network
    network, optimiser = fabric.setup(bare, adam)
    averaged.to(fabric.device)
    state = checkpoint.State(0, 0, recipe.dump(), sian.__version__)
    # After the move: Adam's moments follow their parameters.
    if saved := checkpoint.chosen(run / "checkpoints", go_on_from):
        state = checkpoint.load(saved, {"segmenter": bare}, averaged, {"segmenter": adam})
    journal = Journal(run, state.images)
    batch_size = recipe.data.batch
    total = math.ceil(recipe.images / batch_size) * batch_size
    seconds, stats, clock = state.scalars.get("seconds", 0.0), Means(), time.perf_counter()
    compute_terms = TERMS[recipe.network.kind]

    if report:
        report(state.images, total)  # what a resumed run had done before is not this session's speed
    with stop_signals() as stopped:
        bare.train()
        for images, targets in tiles.batches(recipe, state.step, hardware.workers):
            if state.images >= total:
                break
            # The batch, its colours changed.
            random = torch.Generator(fabric.device).manual_seed(seeds.derive(recipe.seed, "jitter", state.step))
            pictures = training_pictures(images.to(fabric.device), recipe.augment, random)
            known = type(targets)(**{key: t.to(fabric.device) for key, t in vars(targets).items()})
            for group in optimiser.param_groups:
                group["lr"] = recipe.optimiser.rate * rate_factor(state.images / total, recipe.optimiser.warm_up)

            # One step.
            output = network(pictures.contiguous(memory_format=torch.channels_last))
            terms = compute_terms(output.float(), known, recipe.losses)
            loss = torch.stack(list(terms.values())).sum()
            check_finite(terms, loss, run, state.images, RATES)
            optimiser.zero_grad(set_to_none=True)
            fabric.backward(loss)
            norm = nn.utils.clip_grad_norm_(bare.parameters(), GRADIENT_NORM)
            optimiser.step()

            # Average, books.
            before, state.images, state.step = state.images, state.images + batch_size, state.step + 1
            factor = average.decay(state.images, batch_size, recipe.average.half_life, recipe.average.ramp)
            average.update(averaged, bare, factor)
            stats.add({**terms, "loss": loss, "gradient": norm})
            if due(before, state.images, recipe.every.journal) or state.images >= total:
                now = time.perf_counter()
                seconds += now - clock
                facts = {"images_per_second": stats.count * batch_size / (now - clock), "seconds": seconds}
                journal.write(state.images, {**stats.means(), **facts, "rate": optimiser.param_groups[0]["lr"]})
                stats, clock = Means(), now
            if report:
                report(state.images, total)
            over = state.images >= total
            if due(before, state.images, recipe.every.checkpoint) or over or stopped.is_set():
                check_weights({"segmenter": bare}, run, state.images, RATES)
                state.scalars = {"seconds": seconds + time.perf_counter() - clock}
                checkpoint.save(
                    run / "checkpoints",
                    state,
                    {"segmenter": bare},
                    averaged,
                    {"segmenter": adam},
                    recipe.every.keep,
                )
            if stopped.is_set() and not over:
                journal.close()
                raise Interrupted(f"{run}: stopped after {state.images} of {total} images; go on with --resume")
    journal.close()
    return checkpoint.found(run / "checkpoints")[-1]


def check_start(start: Segmenter | None, recipe: SegmenterRecipe) -> None:
    """Refuse to begin with the weights of another network.

    Raises:
        BadInput: its network is not the recipe's.
    """
    if start is not None and start.recipe.network != recipe.network:
        found, expected = (r.network.model_dump() for r in (start.recipe, recipe))
        raise BadInput(
            f"recipe {recipe.name}: found a network of {expected}, expected that of the model to begin with, {found}; "
            f"change it, e.g. --set network.width={found['width']}"
        )


def rate_factor(done: float, warm_up: float) -> float:
    """The learning rate as a fraction of the full one, after this fraction of the run.

    >>> [round(rate_factor(done, 0.1), 3) for done in (0.0, 0.05, 0.1, 0.55, 1.0)]
    [0.01, 0.505, 1.0, 0.505, 0.01]
    """
    if done < warm_up:
        return LAST_RATE + (1 - LAST_RATE) * done / warm_up
    fallen = (done - warm_up) / (1 - warm_up)
    return LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * fallen)) / 2


def _groups(network: nn.Module, decay: float) -> list[dict[str, object]]:
    """Weights of convolutions shrink; batch norm and biases do not."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
