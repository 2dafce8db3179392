"""The training loop's images a second beside the bare step's on one batch that is already there.

    python benchmarks/training.py [--recipe small] [--rounds 5] [--steps 10] [--workers 0]

Both run in turn in one process, so that the ratio survives a busy machine. The bare step is the loop's own step without
data, journal, checks of the run and average: forward, losses, backward and Adam of painter and discriminator. VGG19 is
left out on both sides when its weights are not found, and the output says so. `--clock cpu` counts this process' CPU
seconds instead of the wall's: what other work on the machine takes is left out then. Goal: >= 95 %.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from sian.data.loading import batches
from sian.data.sampling import Tile, WindowSampler
from sian.errors import SianError
from sian.layout import describe
from sian.networks import REFERENCE_SIZE, build_discriminator, build_painter
from sian.nuclei import scatter
from sian.training import Hardware, Recipe, loop, train
from sian.training.batch_making import make_batch
from sian.training.perceptual import perceptual_network
from sian.training.step import ScoreAverages, discriminator_loss, generator_loss, judge

GOAL = 0.95
SIDE = 512  # px of the made-up tiles
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def main() -> None:
    arguments = _arguments()
    recipe = Recipe.load(arguments.recipe)
    try:
        perceptual_network(recipe, arguments.weights, False)
    except SianError as error:
        print(f"without the perceptual loss: {error}")
        recipe = recipe.model_copy(update={"losses": recipe.losses.model_copy(update={"perceptual": 0.0})})
    tiles, ratios = made_up_tiles(), []
    print(f"{recipe.name}: images/s ({arguments.clock}), {arguments.steps} steps, {torch.get_num_threads()} threads")
    for number in range(arguments.rounds + 1):  # the first warms up
        bare = bare_rate(recipe, tiles, arguments)
        whole = loop_rate(recipe, tiles, arguments)
        again = bare_rate(recipe, tiles, arguments)
        if number:
            ratios.append(whole / statistics.mean((bare, again)))
            print(f"bare {bare:.2f} and {again:.2f}, loop {whole:.2f}: {ratios[-1]:.1%}", flush=True)
    print(f"median {statistics.median(ratios):.1%}, goal {GOAL:.0%}")


def bare_rate(recipe: Recipe, tiles: list[Tile], arguments: argparse.Namespace) -> float:
    """Images a second of the step alone, on one batch."""
    step, now = bare_step(recipe, tiles, arguments.weights), CLOCKS[arguments.clock]
    step(1)
    start = now()
    for number in range(arguments.steps):
        step(number)
    return arguments.steps * recipe.stages[0].batch / (now() - start)


def bare_step(recipe: Recipe, tiles: list[Tile], weights: Path | None) -> Callable[[int], None]:
    """The loop's step on a batch that is there already: called with its number."""
    stage, data = recipe.stages[0], recipe.data
    some = {"network": recipe.network, "seed": recipe.seed}
    painter = build_painter(recipe.generator.model_dump(), recipe.encoder.model_dump(), **some)
    discriminator = build_discriminator(recipe.discriminator.model_dump(), **some)
    for network in (painter, discriminator):
        network.to(memory_format=torch.channels_last)
    vgg, rates = perceptual_network(recipe, weights, False), recipe.optimiser
    adams = [
        torch.optim.Adam(painter.parameters(), rates.generator_rate, rates.betas),
        torch.optim.Adam(discriminator.parameters(), rates.discriminator_rate, rates.betas),
    ]
    sampler = WindowSampler(tiles, stage.size, REFERENCE_SIZE, data.positions, 0, data.turn, data.sibling)
    random, scores = torch.Generator().manual_seed(0), ScoreAverages()
    raw = next(batches(sampler, stage.batch))
    batch = make_batch(raw, painter, recipe, stage.size, random, torch.device("cpu"))

    def step(number: int) -> None:
        fake, mean, log_variance = painter(batch.layout, batch.reference, batch.epsilon, batch.noise, batch.place)
        judgement = judge(batch, fake, discriminator, discriminator)
        of_generator = generator_loss(batch, fake, (mean, log_variance), judgement, vgg, recipe.losses, number).total
        of_discriminator = discriminator_loss(batch, judgement, recipe.losses, scores).total
        for adam in adams:
            adam.zero_grad(set_to_none=True)
        of_discriminator.backward(inputs=list(discriminator.parameters()), retain_graph=True)
        of_generator.backward(inputs=list(painter.parameters()))
        for adam in adams:
            adam.step()

    return step


def loop_rate(recipe: Recipe, tiles: list[Tile], arguments: argparse.Namespace) -> float:
    """Images a second of `sian.training.train`, after its first step; samples and checkpoints come once at the end."""
    batch, times = recipe.stages[0].batch, []
    stage = recipe.stages[0].model_copy(update={"images": (arguments.steps + 1) * batch, "epochs": None})
    every = recipe.every.model_copy(update={"samples": 10**9, "checkpoint": 10**9})
    short = recipe.model_copy(update={"stages": (stage,), "every": every})
    grid = np.zeros((8, 8, 3), np.uint8)
    painted, loop.paint_grid = loop.paint_grid, lambda *_: (grid, {})
    try:
        with tempfile.TemporaryDirectory() as folder:
            train(
                short,
                tiles,
                Path(folder) / "run",
                hardware=Hardware("cpu", workers=arguments.workers),
                weights=arguments.weights,
                report=lambda *_: times.append(CLOCKS[arguments.clock]()),
            )
    finally:
        loop.paint_grid = painted
    return arguments.steps * batch / (times[-1] - times[0])


def made_up_tiles(count: int = 2) -> list[Tile]:
    """Scattered nuclei on noise."""
    tiles = []
    for number in range(count):
        mask = scatter(SIDE, SIDE, seed=number)
        image = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        tiles.append(Tile(f"tile {number}", "breast", "ffpe", image, describe(mask)))
    return tiles


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="small")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    return parser.parse_args()


if __name__ == "__main__":
    main()
