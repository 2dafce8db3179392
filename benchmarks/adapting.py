r"""Adapting a segmenter to slides that nobody annotated: which way helps, on slides that decided nothing.

    python benchmarks/adapting.py --target data/tnbc --out OUT \
        --labelled data/monuseg data/cryonuseg data/monuseg7 --list
    python benchmarks/adapting.py ... self+painted 0          # one row: an arm and a seed
    python benchmarks/adapting.py ... --all                   # all that are missing, seed by seed
    python benchmarks/adapting.py ... self+painted --average  # the mean of its seeds' weights
    python benchmarks/adapting.py ... --table [--development]

No label of the target is seen by the bundled painter or segmenter. Without annotation: all images of the slides in
`UNANNOTATED`; tested: all images of the others. `--development` shows the unannotated images themselves instead, by
whose labels `sian adapt` was developed. All arms begin with the bundled segmenter and learn from as many windows; only
what they learn from differs:

    start           nothing
    real            the labelled data sets (the price of more steps)
    self            outlines that the start found in the unannotated images, by test-time augmentation
    real+self       both, in equal shares
    painted         these outlines, painted in the images' styles by the bundled painter
    self+painted    both, 30 % painted; what `sian adapt` does
    real+painted    labelled data, and 30 % painted
    labels+painted  outlines found, and 30 % real masks of the labelled data painted in the images' styles
    oracle          the unannotated images with their true labels

A row is OUT/ROWS/ARM-SEED.json. A killed one begins again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import sian
from sian import seeds
from sian.adaptation.averaging import averaged
from sian.adaptation.learning import adapted_recipe, learn
from sian.adaptation.painted import painted_tiles
from sian.data import Dataset, open_dataset
from sian.evaluation.agreement import agreement
from sian.files.atomic import write_json
from sian.segmentation.segmenter import Segmenter, load
from sian.segmentation.self_training import outline, self_taught
from sian.segmentation.training_windows import KnownTile, TrainingTiles, read_known
from sian.training.device import Hardware

Image = NDArray[np.uint8]
Mask = NDArray[np.int32]

UNANNOTATED = ("03", "05", "07", "09", "10")  # TNBC's slides that are learned from, and developed on
ARMS = ("start", "real", "self", "real+self", "painted", "self+painted", "real+painted", "labels+painted", "oracle")
WINDOWS = 2000
PAINTED = 66
BORDER = 2
CONTROLS = ("start", "real", "self", "real+self")
DRAWS = 10_000  # of the bootstrap


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)
    if arguments.table:
        table(arguments)
    elif arguments.average:
        average(arguments, arguments.arm)
    elif arguments.list or not (arguments.arm or arguments.all):
        print("\n".join(f"{arm} {seed}" for arm, seed in _missing(arguments)))
    else:
        rows = _missing(arguments) if arguments.all else [(arguments.arm, arguments.seed)]
        for arm, seed in rows:
            row(arguments, arm, seed)


def row(arguments: argparse.Namespace, arm: str, seed: int) -> None:
    """Train one arm, and score it with and without test-time augmentation."""
    begun = time.process_time()
    target = open_dataset(arguments.target)
    start = load()
    segmenter = start
    if arm != "start":
        tiles = _tiles(arguments, arm, target, start)
        run = arguments.out / "runs" / f"{arm}-{arguments.windows}-{seed}"
        segmenter = learn(start, tiles, run, arguments.windows, seed, Hardware("cpu"))
    minutes = (time.process_time() - begun) / 60
    _finish(arguments, arm, seed, segmenter, minutes)


def average(arguments: argparse.Namespace, arm: str) -> None:
    """Score the mean of the weights of an arm's seeds."""
    target, start = open_dataset(arguments.target), load()
    runs = sorted((arguments.out / "runs").glob(f"{arm}-{arguments.windows}-*"))
    known = TrainingTiles(_tiles(arguments, arm, target, start), adapted_recipe(start, arguments.windows, 0))
    _finish(arguments, arm, "average", averaged([load(run / "model.safetensors") for run in runs], known), 0.0)


def _finish(arguments: argparse.Namespace, arm: str, seed: int | str, segmenter: Segmenter, minutes: float) -> None:
    target = open_dataset(arguments.target)
    scores = {
        part: {item.id: _scores(segmenter, target, item) for item in _items(target, unannotated=part == "development")}
        for part in ("development", "test")
        if part == "test" or not arguments.no_development
    }
    facts = {"arm": arm, "seed": seed, "windows": arguments.windows, "minutes": round(minutes, 2), "scores": scores}
    write_json(_path(arguments, arm, seed), facts)
    for part, found in scores.items():
        print(f"{arm:15s} seed {seed} {part:12s} {_means(found)} ({minutes:.1f} CPU min)", flush=True)


def table(arguments: argparse.Namespace) -> None:
    """Means over tiles and seeds, and the paired difference to the best control, bootstrapped over slides."""
    part = "development" if arguments.development else "test"
    rows: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((arguments.out / "rows").glob("*.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        wanted = facts["arm"] == "start" or (facts["seed"] == "average") == arguments.average
        if wanted and facts["windows"] == arguments.windows and part in facts["scores"]:
            rows.setdefault(facts["arm"], []).append(facts["scores"][part])
    for key in ("pq", "pq_tta"):
        known = {arm: _by_tile(found, key) for arm, found in rows.items()}
        controls = [arm for arm in CONTROLS if arm in known]
        best = max(controls, key=lambda arm: float(np.mean(list(known[arm].values()))))
        print(f"{part}, {key}: n = {len(known[best])} tiles; best control: {best}")
        for arm in (arm for arm in ARMS if arm in known):
            gain = _difference(known[arm], known[best])
            print(f"{arm:15s} seeds {len(rows[arm])}  {np.mean(list(known[arm].values())):.4f}  {gain}")


def _tiles(arguments: argparse.Namespace, arm: str, target: Dataset, start: Segmenter) -> list[KnownTile]:
    items = _items(target, unannotated=True)
    images = [target.image(item) for item in items]
    if arm == "oracle":
        own = zip(items, images, strict=True)
        return [self_taught(item.id, image, target.mask(item), BORDER, "") for item, image in own]
    labelled = [open_dataset(path).split("train") for path in arguments.labelled]
    tiles: list[KnownTile] = []
    real = [tile for data in labelled for tile in read_known(data, BORDER)] if "real" in arm else []
    masks = _kept(arguments.out / "outlines.npz", lambda: [outline(start, image) for image in images])
    found = [self_taught(i.id, x, m, BORDER, "") for i, x, m in zip(items, images, masks, strict=True)]
    tiles += real
    if "self" in arm or arm == "labels+painted":
        area = sum(tile.classes.size for tile in real) / max(1, sum(tile.classes.size for tile in found))
        tiles += found * max(1, round(area))
    if "painted" in arm:
        if arm == "labels+painted":
            masks = _corners(labelled)
        tiles += _painted(
            arguments.out / f"paintings-of-{'labels' if arm == 'labels+painted' else 'outlines'}.npz", images, masks
        )
    return tiles


def _painted(path: Path, images: list[Image], masks: list[Mask]) -> list[KnownTile]:
    """Paintings, made once for all arms and seeds that share their masks."""

    drawn = [int(seeds.generator(0, "paintings", number).integers(len(masks))) for number in range(PAINTED)]

    def paint() -> list[Image]:
        tiles = painted_tiles(sian.load(), images, masks, PAINTED, BORDER, 0)
        assert all(np.array_equal(t.classes > 0, masks[n] > 0) for n, t in zip(drawn, tiles, strict=True))
        return [tile.tile.image for tile in tiles]

    tiles = zip(drawn, _kept(path, paint), strict=True)
    return [
        replace(self_taught(f"painted-{n}", image, masks[which], BORDER, ""), synthetic=True)
        for n, (which, image) in enumerate(tiles)
    ]


def _kept(path: Path, make: Callable[[], list[Any]]) -> list[Any]:
    """Arrays of a file, made and kept where there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **{f"{number:03d}": array for number, array in enumerate(make())})
    with np.load(path, allow_pickle=False) as found:
        return [found[name] for name in sorted(found.files)]


def _corners(labelled: list[Dataset]) -> list[Mask]:
    """The middle 512 px of every labelled mask."""
    found = []
    for data in labelled:
        for item in data:
            mask = data.mask(item)
            top, left = ((side - min(side, 512)) // 2 for side in mask.shape)
            found.append(np.ascontiguousarray(mask[top : top + 512, left : left + 512]))
    return found


def _items(target: Dataset, *, unannotated: bool) -> list[Any]:
    return [item for item in target if ((item.patient or "")[-2:] in UNANNOTATED) == unannotated]


def _scores(segmenter: Segmenter, target: Dataset, item: Any) -> dict[str, float]:
    image, mask = target.image(item), target.mask(item)
    once, often = (agreement(mask, replace(segmenter, tta=tta).predict(image)).as_dict() for tta in (False, True))
    return {key: once[key] for key in ("pq", "aji", "dq", "sq")} | {f"{key}_tta": often[key] for key in ("pq", "aji")}


def _means(found: dict[str, dict[str, float]]) -> str:
    keys = next(iter(found.values()))
    return ", ".join(f"{key} {np.mean([scores[key] for scores in found.values()]):.4f}" for key in keys)


def _by_tile(rows: list[dict[str, dict[str, float]]], key: str) -> dict[str, float]:
    """Each tile's mean over seeds."""
    return {tile: float(np.mean([row[tile][key] for row in rows])) for tile in rows[0]}


def _difference(ours: dict[str, float], theirs: dict[str, float]) -> str:
    """The mean difference with its 95 % interval over slides (a tile's id begins with its slide's)."""
    slides: dict[str, list[float]] = {}
    for tile in ours:
        slides.setdefault(tile.rpartition("_")[0], []).append(ours[tile] - theirs[tile])
    groups, random = list(slides.values()), np.random.default_rng(0)
    drawn = random.integers(len(groups), size=(DRAWS, len(groups)))
    sums, counts = (np.array([function(group) for group in groups]) for function in (sum, len))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{sums.sum() / counts.sum():+.4f} [{low:+.4f}, {high:+.4f}]"


def _missing(arguments: argparse.Namespace) -> list[tuple[str, int]]:
    wanted = [(arm, seed) for seed in range(arguments.seeds) for arm in ARMS if seed == 0 or arm != "start"]
    return [(arm, seed) for arm, seed in wanted if not _path(arguments, arm, seed).exists()]


def _path(arguments: argparse.Namespace, arm: str, seed: int | str) -> Path:
    return Path(arguments.out / "rows" / f"{arm}-{arguments.windows}-{seed}.json")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("arm", nargs="?", choices=ARMS)
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--labelled", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--windows", type=int, default=WINDOWS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--no-development", action="store_true")
    parser.add_argument("--development", action="store_true")
    for flag in ("--list", "--all", "--table", "--average"):
        parser.add_argument(flag, action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
