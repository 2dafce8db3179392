"""How well the screen for copies sees a training window again: turned, in another stain, and shifted.

    python benchmarks/copies.py data/monuseg --weights DIR

Copies are made of windows of the training split, moved by 0, 41 or 124 px against the grid of training windows (41 is
the furthest from the dense grid that `sian evaluate --memorisation` uses, 124 from the coarse grid that is used here),
turned or mirrored, and stained anew. The share that is flagged stands beside the share of held-out real windows, which
is 5 % by the choice of the threshold.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from sian import seeds
from sian.data import open_dataset
from sian.data.dataset import Dataset
from sian.evaluation import InceptionFeatures
from sian.evaluation.collection import Collection, from_images
from sian.evaluation.memorisation import TURNS, screen
from sian.evaluation.scenes import window_collection
from sian.layout import turn_image

SIZE, STEP = 256, 248
SHIFTS = (0, 41, 124)
QUANTILE = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("runs/copies"))
    parser.add_argument("--copies", type=int, default=15, help="of each kind")
    options = parser.parse_args()
    data = open_dataset(options.data)
    training = window_collection(data.split("train"))
    held_out = thinned(window_collection(data.split("test")), 4)
    fakes = {f"shift {s}, {i}": copy(data.split("train"), s, i) for s in SHIFTS for i in range(options.copies)}
    extractor = InceptionFeatures.load(options.weights)
    found = screen(from_images("copies", fakes), training, held_out, extractor, quantile=QUANTILE, cache=options.cache)
    flagged = {image["name"] for image in found["flagged"]}
    print(f"threshold {found['threshold']:.4f}: {QUANTILE:.0%} of {len(held_out)} held-out windows lie nearer\n")
    print("| copies | n | flagged | median distance |\n|---|---|---|---|")
    for shift in SHIFTS:
        images = [image for image in found["images"] if image["name"].startswith(f"shift {shift},")]
        share = np.mean([image["name"] in flagged for image in images])
        distance = np.median([image["distance"] for image in images])
        print(f"| shifted by {shift} px in both directions | {len(images)} | {share:.0%} | {distance:.4f} |")


def copy(data: Dataset, shift: int, index: int) -> np.ndarray:
    """A window of a training tile, moved off the grid, turned and stained anew."""
    rng = seeds.generator(0, "copies", shift, index)
    item = data.items[int(rng.integers(len(data)))]
    y, x = (STEP * int(k) + shift for k in rng.integers(0, 3, 2))
    window = data.image(item)[y : y + SIZE, x : x + SIZE]
    turns, flip = TURNS[int(rng.integers(len(TURNS)))]
    density = -np.log((window.astype(float) + 1) / 256) * rng.uniform(0.7, 1.4, 3) + rng.uniform(0, 0.08, 3)
    stained = (256 * np.exp(-density) - 1).round().clip(0, 255).astype(np.uint8)
    return turn_image(stained, turns, flip)


def thinned(images: Collection, step: int) -> Collection:
    return Collection(images.label, {name: images.entries[name] for name in images.names[::step]})


if __name__ == "__main__":
    main()
