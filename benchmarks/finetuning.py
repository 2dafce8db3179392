"""CPU minutes, wall minutes and peak memory of a fine-tuning from the bundled model.

    python benchmarks/finetuning.py [--data DATASET] [--weights DIR] [--tiles 3] [--scale 0.1]

Without --data, made-up tiles of 512 px. `--scale` shortens both stages of the recipe `finetune`; the last line says
what the whole recipe would take. One thread. Peak memory is this process', the export with it. Without VGG19's weights
the perceptual loss is left out, and the output says so.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import sian
from sian.data import Dataset, DatasetInfo, DatasetWriter, open_dataset
from sian.errors import SianError
from sian.files.weights import find_weights
from sian.nuclei import scatter
from sian.training import Hardware, Recipe

SIDE = 512  # px of the made-up tiles


def main() -> None:
    """Run and print."""
    arguments = _arguments()
    torch.set_num_threads(1)
    recipe = Recipe.load("finetune")
    images = [stage.images or 0 for stage in recipe.stages]
    changes = {f"stages.{n}.images": str(max(8, round(count * arguments.scale))) for n, count in enumerate(images)}
    try:
        find_weights("vgg19", arguments.weights)
    except SianError as error:
        print(f"without the perceptual loss: {error}")
        changes |= {"losses.perceptual": "0", "losses.texture": "0", "discriminator.features": "0"}
    short = Recipe.load("finetune", changes)
    total = sum(stage.images or 0 for stage in short.stages)
    with tempfile.TemporaryDirectory() as folder:
        data = (
            _some(arguments.data, arguments.tiles)
            if arguments.data
            else made_up(Path(folder) / "data", arguments.tiles)
        )
        times: list[tuple[float, float]] = []
        start = (time.perf_counter(), time.process_time())
        sian.train(
            short,
            data,
            Path(folder) / "run",
            init="bundled",
            hardware=Hardware("cpu"),
            weights=arguments.weights,
            report=lambda *_: times.append((time.perf_counter(), time.process_time())),
        )
        end = (time.perf_counter(), time.process_time())
    wall, cpu = (last - first for first, last in zip(start, end, strict=True))
    training = times[-1][1] - times[0][1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(
        f"{len(data)} tiles, {total} windows: {cpu / 60:.1f} CPU minutes, {wall / 60:.1f} minutes, peak {peak:.2f} GB"
    )
    whole = training * sum(images) / total + cpu - training
    print(f"training alone {training / total:.2f} CPU s a window; the whole recipe about {whole / 60:.1f} CPU minutes")


def made_up(folder: Path, count: int) -> Dataset:
    """Scattered nuclei on noise."""
    writer = DatasetWriter(folder, DatasetInfo(name="made up", mpp=0.25))
    for number in range(count):
        image = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        writer.add(f"tile-{number}", image, scatter(SIDE, SIDE, seed=number), organ="breast")
    return open_dataset(folder)


def _some(folder: Path, count: int) -> Dataset:
    data = open_dataset(folder)
    return Dataset(data.folder, data.info, data.items[:count])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--tiles", type=int, default=3)
    parser.add_argument("--scale", type=float, default=0.1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
