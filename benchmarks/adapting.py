r"""Adapting a segmenter to slides that nobody annotated: which way helps, on slides that decided nothing.

    python benchmarks/adapting.py --data data --target tnbc --out OUT --list
    python benchmarks/adapting.py ... self+painted 0          # one row: an arm and a seed
    python benchmarks/adapting.py ... --all                   # all that are missing, seed by seed
    python benchmarks/adapting.py ... self+painted --average  # the mean of its seeds' weights
    python benchmarks/adapting.py ... --table [--development]

No label of the target is seen by painter or segmenter; `adapting_targets.py` says what is learned from and what is
tested. `--development` shows the unannotated images themselves instead, by whose labels `sian adapt` was developed. All
arms begin with one segmenter (`--start`, else the bundled one) and learn from as many windows; only what they learn
from differs:

    start           nothing
    real            the labelled data sets (the price of more steps)
    self            outlines that the start found in the unannotated images, by test-time augmentation
    real+self       both, in equal shares
    painted         these outlines, painted in the images' styles by the painter (`--painter`, else the bundled one)
    self+painted    both, 30 % painted; what `sian adapt` does
    real+painted    labelled data, and 30 % painted
    labels+painted  outlines found, and 30 % real masks of the labelled data painted in the images' styles
    self+painted:F  as self+painted; the paintings are filtered, hard or clean (`adapting_filters.py`)
    oracle          the unannotated images with their true labels
    oracle:N        N of them, from all slides alike

A row is OUT/ROWS/ARM-SEED.json. A killed one begins again. Rows of other starts or painters, or with `--keep nuclei`,
belong into another OUT.
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
from adapting_filters import FILTERS
from adapting_targets import WINDOW, Picture, Target, open_target
from sian import seeds
from sian.adaptation.averaging import averaged
from sian.adaptation.learning import adapted_recipe, learn
from sian.adaptation.painted import painted_tiles
from sian.data import Dataset
from sian.evaluation.agreement import agreement
from sian.files.atomic import write_json
from sian.files.code_and_machine import commit
from sian.segmentation.segmenter import Segmenter, load
from sian.segmentation.self_training import outline, self_taught
from sian.segmentation.training_windows import KnownTile, TrainingTiles
from sian.training.device import Hardware

Image = NDArray[np.uint8]
Mask = NDArray[np.int32]

ARMS = (
    "start",
    "real",
    "self",
    "real+self",
    "painted",
    "self+painted",
    "real+painted",
    "labels+painted",
    *(f"self+painted:{way}" for way in FILTERS),
    "oracle",
    "oracle:2",
    "oracle:5",
    "oracle:11",
)
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
    target, segmenter = open_target(arguments.target, arguments.data), load(arguments.start)
    begun = time.process_time()
    if arm != "start":
        tiles = _tiles(arguments, arm, target, segmenter)
        run = _run(arguments, arm, seed)
        segmenter = learn(
            segmenter, tiles, run, arguments.windows, seed, Hardware("cpu", precision=arguments.precision)
        )
    _finish(arguments, arm, seed, segmenter, target, (time.process_time() - begun) / 60)


def average(arguments: argparse.Namespace, arm: str) -> None:
    """Score the mean of the weights of an arm's seeds."""
    target, start = open_target(arguments.target, arguments.data), load(arguments.start)
    runs = [load(_run(arguments, arm, seed) / "model.safetensors") for seed in range(arguments.seeds)]
    known = TrainingTiles(_tiles(arguments, arm, target, start), adapted_recipe(start, arguments.windows, 0))
    _finish(arguments, arm, "average", averaged(runs, known), target, 0.0)


def _finish(
    arguments: argparse.Namespace, arm: str, seed: int | str, segmenter: Segmenter, target: Target, minutes: float
) -> None:
    parts = {"development": target.unannotated, "test": target.tested}
    if arguments.no_development:
        del parts["development"]
    scores = {part: {one.name: _scores(segmenter, one) for one in pictures} for part, pictures in parts.items()}
    slides = {one.name: one.slide for pictures in parts.values() for one in pictures}
    facts = {"arm": arm, "seed": seed, "windows": arguments.windows, "minutes": round(minutes, 2)}
    precision = Hardware("cpu", precision=arguments.precision).chosen_precision
    facts |= {"start": segmenter.facts.get("adapted_from") or segmenter.sha256, "precision": precision}
    write_json(_path(arguments, arm, seed), {**facts, "commit": commit(), "slides": slides, "scores": scores})
    for part, found in scores.items():
        print(f"{arm:22s} seed {seed} {part:12s} {_means(found)} ({minutes:.1f} CPU min)", flush=True)


def table(arguments: argparse.Namespace) -> None:
    """Means over tiles and seeds, and the paired difference to the best control, bootstrapped over slides."""
    part = "development" if arguments.development else "test"
    rows: dict[str, list[dict[str, Any]]] = {}
    slides: dict[str, str] = {}
    for path in sorted((arguments.out / "rows").glob("*.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        wanted = facts["arm"] == "start" or (facts["seed"] == "average") == arguments.average
        if wanted and facts["windows"] == arguments.windows and part in facts["scores"]:
            rows.setdefault(facts["arm"], []).append(facts["scores"][part])
            slides |= facts["slides"]
    for key in ("pq", "pq_tta"):
        known = {arm: _by_tile(found, key) for arm, found in rows.items()}
        controls = [arm for arm in CONTROLS if arm in known]
        best = max(controls, key=lambda arm: float(np.mean(list(known[arm].values()))))
        print(f"{part}, {key}: n = {len(known[best])} tiles; best control: {best}")
        for arm in (arm for arm in ARMS if arm in known):
            gain = _difference(known[arm], known[best], slides)
            print(f"{arm:22s} seeds {len(rows[arm])}  {np.mean(list(known[arm].values())):.4f}  {gain}")


def _tiles(arguments: argparse.Namespace, arm: str, target: Target, start: Segmenter) -> list[KnownTile]:
    own = target.unannotated
    images = [picture.image for picture in own]
    if arm.startswith("oracle"):
        count = int(arm.partition(":")[2] or len(own))
        return _found([own[n * len(own) // count] for n in range(count)])
    labelled = target.known(BORDER) if "real" in arm else []
    masks = _kept(arguments.out / "outlines.npz", lambda: [outline(start, image) for image in images])
    found = _found([replace(picture, mask=mask) for picture, mask in zip(own, masks, strict=True)])
    tiles = list(labelled)
    if "self" in arm or arm == "labels+painted":
        area = sum(tile.classes.size for tile in labelled) / sum(tile.classes.size for tile in found)
        tiles += found * max(1, round(area))
    if "painted" in arm:
        if arm == "labels+painted":
            masks = _corners(target.labelled)
        name = f"paintings-of-{'labels' if arm == 'labels+painted' else 'outlines'}.npz"
        paintings = _painted(arguments, arguments.out / name, images, masks)
        way = arm.partition(":")[2]
        tiles += FILTERS[way](start, paintings) if way else paintings
    return tiles


def _found(pictures: list[Picture]) -> list[KnownTile]:
    return [self_taught(one.name, one.image, one.mask.astype(np.int32), BORDER, "") for one in pictures]


def _painted(arguments: argparse.Namespace, path: Path, images: list[Image], masks: list[Mask]) -> list[KnownTile]:
    """Paintings, made once for all arms and seeds that share their masks."""

    drawn = [int(seeds.generator(0, "paintings", number).integers(len(masks))) for number in range(PAINTED)]

    def paint() -> list[Image]:
        painter = sian.load(arguments.painter)
        keep = arguments.keep == "tissue" and painter.takes_tissue
        tiles = painted_tiles(painter, images, masks, PAINTED, BORDER, 0, keep_tissue=keep)
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
            top, left = ((side - min(side, WINDOW)) // 2 for side in mask.shape)
            found.append(np.ascontiguousarray(mask[top : top + WINDOW, left : left + WINDOW]))
    return found


def _scores(segmenter: Segmenter, picture: Picture) -> dict[str, float]:
    once, often = (
        agreement(picture.mask, replace(segmenter, tta=tta).predict(picture.image)).as_dict() for tta in (False, True)
    )
    return {key: once[key] for key in ("pq", "aji", "dq", "sq")} | {f"{key}_tta": often[key] for key in ("pq", "aji")}


def _means(found: dict[str, dict[str, float]]) -> str:
    keys = next(iter(found.values()))
    return ", ".join(f"{key} {np.mean([scores[key] for scores in found.values()]):.4f}" for key in keys)


def _by_tile(rows: list[dict[str, dict[str, float]]], key: str) -> dict[str, float]:
    """Each tile's mean over seeds."""
    return {tile: float(np.mean([row[tile][key] for row in rows])) for tile in rows[0]}


def _difference(ours: dict[str, float], theirs: dict[str, float], slides: dict[str, str]) -> str:
    """The mean difference with its 95 % interval over slides."""
    by_slide: dict[str, list[float]] = {}
    for tile in ours:
        by_slide.setdefault(slides[tile], []).append(ours[tile] - theirs[tile])
    groups, random = list(by_slide.values()), np.random.default_rng(0)
    drawn = random.integers(len(groups), size=(DRAWS, len(groups)))
    sums, counts = (np.array([function(group) for group in groups]) for function in (sum, len))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{sums.sum() / counts.sum():+.4f} [{low:+.4f}, {high:+.4f}]"


def _missing(arguments: argparse.Namespace) -> list[tuple[str, int]]:
    wanted = [(arm, seed) for seed in range(arguments.seeds) for arm in ARMS if seed == 0 or arm != "start"]
    return [(arm, seed) for arm, seed in wanted if not _path(arguments, arm, seed).exists()]


def _run(arguments: argparse.Namespace, arm: str, seed: int) -> Path:
    return Path(arguments.out / "runs" / f"{arm.replace(':', '-')}-{arguments.windows}-{seed}")


def _path(arguments: argparse.Namespace, arm: str, seed: int | str) -> Path:
    return Path(arguments.out / "rows" / f"{arm.replace(':', '-')}-{arguments.windows}-{seed}.json")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("arm", nargs="?", choices=ARMS)
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--target", choices=("tnbc", "frozen"), default="tnbc")
    parser.add_argument("--start", default="bundled", help="segmenter to begin with")
    parser.add_argument("--painter", default="bundled", help="model that paints")
    parser.add_argument("--keep", choices=("tissue", "nuclei"), default="tissue", help="of the outlines' windows")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--precision", default="auto", help="32-true, bf16-mixed, or what is quicker here")
    parser.add_argument("--windows", type=int, default=WINDOWS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--no-development", action="store_true")
    parser.add_argument("--development", action="store_true")
    for flag in ("--list", "--all", "--table", "--average"):
        parser.add_argument(flag, action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
