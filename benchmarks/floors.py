"""What real tiles score against real tiles: the floors (FID and KID, in all and per
organ).

    python benchmarks/floors.py MONUSEG --weights DIR --features runs/floors

Reads a folder with `tiles.csv` and `train|test/TILE.webp`, cuts 16 windows of 256 px a tile, runs the
Inception once (about two minutes on one core; the features are kept), and prints the tables of
docs/results/floors.md.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np

from sian import seeds
from sian.evaluation import InceptionFeatures, fid, kid
from sian.files import read_image

OFFSETS = (0, 248, 496, 744)
SIZE = 256
FROZEN = ("TS", "BS", "MS")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tiles", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--features", type=Path, default=Path("runs/floors"))
    parser.add_argument("--bootstrap", type=int, default=100)
    options = parser.parse_args()
    rows = list(csv.DictReader((options.tiles / "tiles.csv").open()))
    features = features_of(options.tiles, rows, options.weights, options.features)
    side = {split: np.array([r["split"] == split for r in rows]) for split in ("train", "test")}
    train, test = features[side["train"]], features[side["test"]]  # (tiles, 16, 2048)
    frozen = np.array([r["tile"].split("-")[-1][:2] in FROZEN for r in rows])[side["train"]]
    print_floors(train, test, frozen)
    print_bootstrap(train, test, options.bootstrap)
    organs = np.array([r["organ"] for r in rows])
    print_organs(train, test, organs[side["train"]], organs[side["test"]])


def features_of(folder: Path, rows: list[dict[str, str]], weights: Path | None, cache: Path) -> np.ndarray:
    """(tiles, 16, 2048)."""
    windows = [window for row in rows for window in cut(read_image(folder / row["split"] / f"{row['tile']}.webp"))]
    start = time.perf_counter()
    features = InceptionFeatures.load(weights).cached(windows, cache)
    seconds = time.perf_counter() - start
    print(f"{len(windows)} windows: {seconds:.0f} s, {len(windows) / seconds:.1f} images/s\n")
    return features.reshape(len(rows), len(OFFSETS) ** 2, -1)


def cut(tile: np.ndarray) -> list[np.ndarray]:
    return [tile[y : y + SIZE, x : x + SIZE] for y in OFFSETS for x in OFFSETS]


def flat(features: np.ndarray) -> np.ndarray:
    return features.reshape(-1, features.shape[-1])


def print_floors(train: np.ndarray, test: np.ndarray, frozen: np.ndarray) -> None:
    print("| real | against | n | FID | KID x 1000 |\n|---|---|---|---|---|")
    halves = [halve(flat(test), seed) for seed in range(5)]
    values = [fid(a, b) for a, b in halves]
    kids = [1000 * kid(a, b).mean for a, b in halves]
    n = f"{len(halves[0][0])} / {len(halves[0][1])}"
    print(
        f"| half of the test windows | the other half (5 splits) | {n} "
        f"| {np.mean(values):.1f} +- {np.std(values):.1f} | {np.mean(kids):.2f} +- {np.std(kids):.2f} |"
    )
    line("training windows", flat(train), "test windows", flat(test))
    draws = [seeds.generator(0, "draw", i).choice(len(flat(train)), len(flat(test)), replace=False) for i in range(5)]
    values = [fid(flat(train)[d], flat(test)) for d in draws]
    n = len(flat(test))
    print(
        f"| training windows, {n} of them (5 draws) | test windows | {n} / {n} "
        f"| {np.mean(values):.1f} +- {np.std(values):.1f} | |"
    )
    line("FFPE training windows", flat(train[~frozen]), "test windows", flat(test))
    line("frozen training windows", flat(train[frozen]), "test windows", flat(test))
    line("FFPE training windows", flat(train[~frozen]), "frozen training windows", flat(train[frozen]))


def line(name: str, a: np.ndarray, other: str, b: np.ndarray) -> None:
    score = kid(a, b)
    print(
        f"| {name} | {other} | {len(a)} / {len(b)} | {fid(a, b):.2f} "
        f"| {1000 * score.mean:.2f} +- {1000 * score.std:.2f} (subsets) |"
    )


def halve(features: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    order = seeds.generator(seed, "halves").permutation(len(features))
    return features[order[: len(order) // 2]], features[order[len(order) // 2 :]]


def print_bootstrap(train: np.ndarray, test: np.ndarray, rounds: int) -> None:
    """Tiles, not windows, are drawn with replacement: windows of a tile are not independent."""
    for name, distance in (("FID", fid), ("KID x 1000", lambda a, b: 1000 * kid(a, b, len(b), subsets=1).mean)):
        values = []
        for i in range(rounds):
            rng = seeds.generator(0, "bootstrap", i)
            drawn = [side[rng.integers(len(side), size=len(side))] for side in (train, test)]
            values.append(distance(*(flat(side) for side in drawn)))
        low, high = np.percentile(values, [2.5, 97.5])
        print(
            f"\n{name} of training against test windows, bootstrap over tiles ({rounds} rounds): "
            f"mean {np.mean(values):.1f}, 95 % of rounds between {low:.1f} and {high:.1f}."
        )
    print()


def print_organs(train: np.ndarray, test: np.ndarray, train_organs: np.ndarray, test_organs: np.ndarray) -> None:
    print("| organ | n | half against half | all training windows | its training windows | rest of test |")
    print("|---|---|---|---|---|---|")
    for organ in sorted(set(test_organs)):
        own = flat(test[test_organs == organ])
        halves = np.mean([fid(*halve(own, seed)) for seed in range(5)])
        name = "liver" if organ == "lung" else organ  # the six "liver" tiles carry TCGA's lung codes
        same = train[train_organs == name]
        trained = f"{fid(flat(same), own):.1f}" if len(same) else "no training tile"
        rest = fid(flat(test[test_organs != organ]), own)
        print(f"| {organ} | {len(own)} | {halves:.1f} | {fid(flat(train), own):.1f} | {trained} | {rest:.1f} |")


if __name__ == "__main__":
    main()
