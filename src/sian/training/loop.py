"""The training loop (paper, section 3.3): one linear function, progress counted in images seen.

A run is a folder: `recipe.yaml`, `stats.jsonl`, `tensorboard/`, `samples/`, `checkpoints/`. The loop knows no
metrics and makes no model file; `sian.synthesis.export` does.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import sian
from sian import seeds
from sian.data.loading import batches
from sian.data.sampling import Tile
from sian.errors import BadInput, Interrupted
from sian.files import write_png, write_text
from sian.interrupts import stop_signals
from sian.networks import (
    LAYOUT_CHANNELS,
    Discriminator,
    Painter,
    build_discriminator,
    build_painter,
    channels_of,
)
from sian.training import average, checkpoint
from sian.training.batch_making import drawn_between, make_batch
from sian.training.candidates import Candidates
from sian.training.checks import check_finite, check_run, check_weights
from sian.training.device import Hardware, agreed, flushed_denormals, launch, of_main_process
from sian.training.environment import as_before, one_at_a_time, write_environment
from sian.training.journal import Journal, Means, due
from sian.training.losses import kld_per_dimension
from sian.training.moving import only_moving
from sian.training.perceptual import perceptual_network
from sian.training.recipe import Recipe
from sian.training.recipe_sections import Stage
from sian.training.samples import choose_windows, paint_grid
from sian.training.start import Start, begin, check_start, write_start
from sian.training.step import (
    ScoreAverages,
    Terms,
    discriminator_loss,
    features_of,
    generator_loss,
    judge,
    painted_again,
)
from sian.training.stopping import Watch, hold_out
from sian.training.stretches import RankView, schedule_of

RATES = "optimiser.generator_rate, optimiser.discriminator_rate"  # what to lower when a loss explodes

Report = Callable[[int, int], None]


@one_at_a_time
@flushed_denormals()
def train(
    recipe: Recipe,
    tiles: Sequence[Tile],
    run: str | Path,
    *,
    resume: bool = False,
    hardware: Hardware | None = None,
    weights: Path | None = None,
    trust_weights: bool = False,
    start: Start | None = None,
    stop: Callable[[], bool] | None = None,
    go_on_from: int | None = None,
    candidates: Candidates | None = None,
    report: Report | None = None,
) -> Path:
    """Train a painter; returns the last checkpoint.

    Args:
        recipe: what to do.
        tiles: the training tiles, with their layouts.
        run: the run's folder; new, unless `resume`.
        resume: go on with a run from its newest checkpoint (from the start when it has none yet).
        hardware: where to compute.
        weights: a folder that holds `vgg19.safetensors`, searched first.
        trust_weights: accept weights of an unknown SHA-256.
        start: the networks to begin with, when the recipe starts from a model.
        stop: asked after every step; once it says yes, a checkpoint is saved and the run ends.
        go_on_from: of a resumed run, the images of the checkpoint to take instead of the newest.
        candidates: compares the running average now and then with what the run starts from; on one device.
        report: called with (images seen, images in all).

    Raises:
        BadInput: the run exists already, belongs to another recipe, or a loss is no longer finite.
        MissingResource: VGG19's weights, the device, or space on the disk are not on this machine.
        Interrupted: Ctrl-C, SIGTERM or `stop`; a checkpoint was saved.
    """
    run = Path(run)
    check_run(run, recipe, resume)
    hardware = hardware or Hardware()
    hardware = as_before(hardware, run, on_cpu=hardware.computes_on_cpu)
    check_start(run, recipe, start, bool(checkpoint.found(run / "checkpoints")))
    vgg = perceptual_network(recipe, weights, trust_weights)

    # Devices and precision.
    fabric = launch(hardware)
    learned, held_out = hold_out(tiles, recipe.stopping, recipe.seed)
    schedule = schedule_of(recipe, learned, fabric.world_size)
    if fabric.is_global_zero:
        write_text(run / "recipe.yaml", recipe.dump())
        write_environment(run, fabric.device, hardware.chosen_precision)
        write_start(run, start)

    # Networks, their average, optimisers.
    generator_arguments = recipe.generator.model_dump()
    encoder_arguments = recipe.encoder.model_dump()
    kind = recipe.network
    some: dict[str, Any] = {"network": kind, "seed": recipe.seed, "classes": len(recipe.data.class_names)}
    begun: dict[str, Any] = {**some, "initialisation": recipe.initialisation}
    painter = build_painter(generator_arguments, encoder_arguments, **begun)
    bare_discriminator = build_discriminator(recipe.discriminator.model_dump(), **begun)
    begin(recipe, start, painter, bare_discriminator)
    averaged = build_painter(generator_arguments, encoder_arguments, **some, spectral=False)
    averaged.load_state_dict(average.folded(painter))
    averaged.requires_grad_(False)
    extras = needs_extras(recipe, painter, bare_discriminator)
    beside = {"classes": some["classes"] > 0, "tissue": painter.generator.tissue}
    for network in (painter, averaged, bare_discriminator):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        painter = nn.SyncBatchNorm.convert_sync_batchnorm(painter)  # type: ignore[no-untyped-call]
    painter_adam, discriminator_adam = (
        torch.optim.Adam(network.parameters(), lr=rate, betas=recipe.optimiser.betas)
        for network, rate in (
            (painter, recipe.optimiser.generator_rate),
            (bare_discriminator, recipe.optimiser.discriminator_rate),
        )
    )

    # On their device, then where the last run of this folder stopped: Adam's moments follow their parameters.
    wrapped_painter, painter_optimiser = fabric.setup(painter, painter_adam)
    discriminator, discriminator_optimiser = fabric.setup(bare_discriminator, discriminator_adam)
    averaged.to(fabric.device)
    vgg = vgg.to(fabric.device, memory_format=torch.channels_last) if vgg is not None else None  # type: ignore[call-overload]
    networks = {"painter": painter, "discriminator": bare_discriminator}
    optimisers = {"painter": painter_adam, "discriminator": discriminator_adam}
    state = checkpoint.State(0, 0, recipe.dump(), sian.__version__)
    if saved := checkpoint.chosen(run / "checkpoints", go_on_from, fabric.is_global_zero):
        state = checkpoint.load(saved, networks, averaged, optimisers)
        state.recipe, state.version = recipe.dump(), sian.__version__  # of what goes on now
    scores = ScoreAverages(state.scalars.get("real", 0.0), state.scalars.get("fake", 0.0))
    journal = Journal(run, state.images) if fabric.is_global_zero else None
    windows = choose_windows(tiles, recipe.seed, classes=some["classes"], tissue=beside["tissue"])
    between = drawn_between(learned) if recipe.data.drawn and beside["tissue"] else None
    settle = partial(of_main_process, fabric)
    watch = Watch(held_out, recipe.stopping, recipe.seed, run, state.images, settle)
    total = schedule[-1].end if schedule else 0
    if candidates and fabric.world_size > 1:
        raise BadInput(f"recipe {recipe.name}: comparing works on one device only; leave --devices out")

    def save() -> None:
        check_weights(networks, run, state.images, RATES)
        state.scalars = {"real": scores.real, "fake": scores.fake}
        if fabric.is_global_zero:
            checkpoint.save(run / "checkpoints", state, networks, averaged, optimisers, recipe.every.keep)
        fabric.barrier()

    def draw_samples() -> dict[str, float]:
        if journal is None:
            return {}
        grid, facts = paint_grid(averaged, windows, recipe.seed)
        write_png(run / "samples" / f"{state.images:09d}.png", grid, {"Description": "synthetic H&E (SIAN samples)"})
        journal.picture(state.images, "samples", grid)
        return facts

    if held_out and not watch.looks:
        watch.look(averaged, vgg, state.images, fabric.is_global_zero)

    def over() -> bool:
        return state.images >= total or watch.ended or (candidates is not None and candidates.ended)

    stats, clock = Means(), time.perf_counter()
    if report:
        report(state.images, total)  # what a resumed run had done before is not this session's speed
    with stop_signals() as stopped:
        if candidates:
            candidates.begin(_as_begun(averaged, start) if start else averaged, state.images)
            if not state.images:
                candidates.prepare(painter)
                averaged.load_state_dict(average.folded(painter))
        for stretch in schedule:
            if state.images >= stretch.end or over():
                continue
            painter.train()
            _freeze(painter, stretch.stage)
            if stretch.stage.frozen_batch_norm:
                _freeze_batch_norm(painter)
            size, batch_size = stretch.stage.size, stretch.stage.batch
            local = batch_size // fabric.world_size
            first = (state.images - stretch.begin) // batch_size
            view = RankView(stretch.sampler, local, fabric.global_rank, fabric.world_size)
            stream = batches(view, local, first, hardware.workers, extras=extras, **beside)  # type: ignore[arg-type]
            for raw in stream:
                # The batch, and this step's random numbers.
                random = torch.Generator(fabric.device).manual_seed(
                    seeds.derive(recipe.seed, "step", state.step, fabric.global_rank)
                )
                batch = make_batch(raw, painter, recipe, size, random, fabric.device, between)
                _set_rates(recipe, state.images / total, painter_adam, discriminator_adam)

                # Both sides' losses from one judgement. A side that is frozen has none.
                fake, mean, log_variance = wrapped_painter(
                    batch.layout, batch.reference, batch.epsilon, batch.noise, batch.place
                )
                fake = batch.compared(fake)
                of_generator = of_discriminator = Terms(fake.new_zeros(()))
                with fabric.autocast():
                    features = features_of(batch, fake, bare_discriminator, vgg) if recipe.judged else None
                    judgement = (
                        judge(batch, fake, discriminator, bare_discriminator, features) if recipe.judged else None
                    )
                    if fake.requires_grad:
                        style = (mean, log_variance)
                        other = painted_again(batch, painter, style, random) if recipe.losses.diversity else None
                        of_generator = generator_loss(
                            batch, fake, style, judgement, vgg, recipe.losses, state.step, features, other
                        )
                if judgement is not None and "discriminator" not in stretch.stage.frozen:
                    of_discriminator = discriminator_loss(batch, judgement, recipe.losses, scores)
                for terms in (of_generator, of_discriminator):
                    check_finite(terms.terms, terms.total, run, state.images, RATES)

                # Gradients of each side's own parameters; the generator's last, which frees the graph as it goes.
                learning = [
                    (terms.total, optimiser, [part for part in network.parameters() if part.requires_grad])
                    for terms, optimiser, network in (
                        (of_discriminator, discriminator_optimiser, bare_discriminator),
                        (of_generator, painter_optimiser, painter),
                    )
                    if terms.terms
                ]
                for number, (loss, optimiser, parameters) in enumerate(learning, 1):
                    optimiser.zero_grad(set_to_none=True)
                    fabric.backward(loss, inputs=parameters, retain_graph=number < len(learning))
                for _, optimiser, _ in reversed(learning):
                    optimiser.step()

                # Average, books.
                before, state.images, state.step = state.images, state.images + batch_size, state.step + 1
                factor = average.decay(state.images, batch_size, recipe.average.half_life, recipe.average.ramp)
                average.update(averaged, painter, factor)
                stats.add({**of_generator.terms, **of_discriminator.terms, **_style_facts(mean, log_variance)})
                facts: dict[str, float] = {}
                if due(before, state.images, recipe.every.samples) or state.images >= total:
                    facts = draw_samples()
                look = held_out and fake.requires_grad  # what is frozen gets no better
                if look and (due(before, state.images, recipe.stopping.every) or state.images >= total):
                    watch.look(averaged, vgg, state.images, fabric.is_global_zero)
                    facts["held_out_distance"] = watch.looks[-1]["distance"]
                compared = candidates is not None and fake.requires_grad
                if (
                    candidates
                    and compared
                    and (due(before, state.images, recipe.comparing.every) or state.images >= total)
                ):
                    facts |= candidates.look(averaged, state.images)
                if journal and (facts or due(before, state.images, recipe.every.journal)):
                    now = time.perf_counter()
                    facts["images_per_second"] = stats.count * batch_size / (now - clock)
                    facts["rate"] = painter_adam.param_groups[0]["lr"]
                    journal.write(state.images, {**stats.means(), **facts})
                    stats, clock = Means(), now
                if report:
                    report(state.images, total)
                ending = agreed(fabric, stopped.is_set() or (stop is not None and stop()))
                if due(before, state.images, recipe.every.checkpoint) or over() or ending:
                    save()
                if candidates and (over() or ending):
                    candidates.end(averaged)
                if ending and not over():
                    raise Interrupted(f"{run}: stopped after {state.images} of {total} images; go on with --resume")
                if state.images >= stretch.end or over():
                    break
    if journal:
        journal.close()
    if not schedule:
        save()
        if candidates:
            candidates.end(averaged)
    return checkpoint.found(run / "checkpoints")[-1]


def _as_begun(average: Painter, start: Start) -> Painter:
    """The average as it was before the first step, also of a run that is resumed."""
    begun = copy.deepcopy(average)
    begun.load_state_dict(dict(start.painter))
    return begun


def needs_extras(recipe: Recipe, painter: Painter, discriminator: Discriminator) -> bool:
    """Whether boundary and depth of the nuclei are needed beside M, P and Q."""
    given = channels_of([painter.generator.condition, discriminator.condition])
    return given > LAYOUT_CHANNELS or recipe.losses.sharpness > 0


def _style_facts(mean: Tensor, log_variance: Tensor) -> dict[str, Tensor]:
    """What the journal says of a batch's styles; nothing for a network without."""
    if not mean.shape[1]:
        return {}
    nats = kld_per_dimension(mean.detach().float(), log_variance.detach().float()).mean(0)
    return {
        "kld_nats": nats.sum(),
        "kld_active": (nats > 0.1).float().sum(),
        "style_batch_spread": mean.detach().std(0, correction=1 if len(mean) > 1 else 0).mean(),
    }


def _set_rates(recipe: Recipe, done: float, *optimisers: torch.optim.Optimizer) -> None:
    start = recipe.optimiser.decay_from
    lost = 1 - recipe.optimiser.last_rate
    factor = 1.0 if done < start else 1 - lost * (done - start) / max(1e-9, 1 - start)
    if done < recipe.optimiser.rise_until:
        factor *= done / recipe.optimiser.rise_until
    rates = (recipe.optimiser.generator_rate, recipe.optimiser.discriminator_rate)
    for optimiser, rate in zip(optimisers, rates, strict=True):
        for group in optimiser.param_groups:
            group["lr"] = rate * factor


def _freeze(painter: Painter, stage: Stage) -> None:
    painter.generator.requires_grad_("generator" not in stage.frozen)
    painter.encoder.requires_grad_("encoder" not in stage.frozen)
    only_moving(painter, stage.moves)


def _freeze_batch_norm(painter: Painter) -> None:
    for part in painter.modules():
        if isinstance(part, nn.BatchNorm2d | nn.SyncBatchNorm):
            part.eval()
