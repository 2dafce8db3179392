"""Trainings to scores: one training is one folder RUNS/SCALE/table4/ROW/seed-S; what is done is skipped.

    run/                recipe, journal, checkpoints (removed when the training has been tested)
    model.safetensors   the segmenter
    score.json          its scores on every test tile, and what it learned from: format "sian.table4/1"

A training that fails is set aside and the others go on.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sian import seeds, segmentation
from sian.data import Dataset
from sian.errors import BadInput, SianError
from sian.evaluation.agreement import agreement, summarize
from sian.evaluation.scenes import cut_windows
from sian.files import write_json
from sian.files.code_and_machine import commit
from sian.reproduce.failures import of_failures, set_aside
from sian.reproduce.table4.segmenter_rows import Scale4, Training
from sian.reproduce.workbench import Workbench, pixels_sha256
from sian.segmentation.segmenter_export import export_run
from sian.segmentation.training import train
from sian.segmentation.training_windows import KnownTile, TrainingTiles, read_known
from sian.training.checks import holds_run

if TYPE_CHECKING:
    from sian.data.dataset import Item
    from sian.evaluation.arrays import Image, Mask
    from sian.segmentation import SegmenterRecipe

FORMAT = "sian.table4/1"
METRICS = ("dq", "sq", "pq", "aji", "dice", "f1")
IDENTITY = (
    "row",
    "scale",
    "seed",
    "recipe",
    "learned_from",
    "tested_on",
    "windows",
)  # what makes a score that of this training


@dataclass(kw_only=True)
class Bench4(Workbench):
    """What the trainings of segmenters share; `data` are real tiles.

    Attributes:
        synthetic: opens, or makes, the synthetic data set; called when a row first needs it.
        scale: how much is spent.
        painter: "bundled", or the file of the model that is thought to have painted the synthetic images.
    """

    synthetic: Callable[[], Dataset]
    scale: Scale4
    painter: str = "bundled"

    def __post_init__(self) -> None:
        self.data.split("train"), self.data.split("test")  # a data set without is said before any work
        self._known: dict[tuple[str, int], list[KnownTile]] = {}

    @property
    def folder(self) -> Path:
        """Where the trainings of this scale live."""
        return self.runs / self.scale.name / "table4"

    @cached_property
    def painted(self) -> Dataset:
        """The synthetic data set."""
        return self.synthetic()

    def known(self, which: str, border_px: int) -> list[KnownTile]:
        """The real ("train") or the synthetic ("painted") tiles, read once."""
        key = (which, border_px)
        if key not in self._known:
            data = self.train if which == "train" else self.painted
            with self.progress(f"reading {which} tiles", "tiles") as report:
                self._known[key] = read_known(data, border_px, report)
        return self._known[key]


@dataclass
class Scores:
    """What became of the trainings.

    Attributes:
        done: score.json by row and seed.
        failures: by row and seed.
    """

    done: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    failures: dict[tuple[str, int], Exception] = field(default_factory=dict)

    def error(self) -> SianError | None:
        """One sentence for all failures, of the kind of the first; None if there is none."""
        named = {f"{row}, seed {seed}": error for (row, seed), error in self.failures.items()}
        return of_failures(named, len(self.done), "trainings")


def run_rows(rows: Iterable[Training], bench: Bench4, others: Iterable[Training] = ()) -> Scores:
    """Train and test what is missing, the first seed of every row before the second.

    Args:
        rows: what is wanted.
        bench: what they share.
        others: rows whose scores are taken if they are there.

    Raises:
        BadInput: a folder holds the score of another training.
        Interrupted: the user stopped; what is done stays, the training in work goes on next time.
    """
    rows, others, scores = list(rows), list(others), Scores()
    for row in {row.name: row for row in [*rows, *others]}.values():
        for seed in range(bench.scale.seeds):
            if (found := read_score(row, seed, bench)) is not None:
                scores.done[row.name, seed] = found
    for seed in range(bench.scale.seeds):
        for row in rows:
            if (row.name, seed) in scores.done:
                continue
            with set_aside(scores.failures, (row.name, seed)):
                scores.done[row.name, seed] = run(row, seed, bench)
    return scores


def run(row: Training, seed: int, bench: Bench4) -> dict[str, Any]:
    """One training, resumed if it was begun, and its score, which is also written down."""
    recipe, folder = row.recipe(bench.scale, seed), _folder(row, seed, bench)
    label = f"{row.name}, seed {seed}"
    real = bench.known("train", recipe.losses.border_px)
    chosen = [real[number] for number in subset(len(real), row.tiles, seed)]
    painted = bench.known("painted", recipe.losses.border_px) if row.synthetic else []
    tiles = TrainingTiles([*chosen, *painted], recipe)
    with bench.progress(label, "windows") as report:
        resume = holds_run(folder / "run")
        train(recipe, tiles, folder / "run", resume=resume, hardware=bench.hardware, report=report)
    started = time.perf_counter()
    model = export_run(folder / "run", tiles, folder / "model.safetensors")
    segmenter = segmentation.load(model, bench.device)
    with bench.progress(f"{label}: testing", "tiles") as report:
        lines = _test(segmenter, bench.test, bench.scale.windows, report)
    score = {
        "format": FORMAT,
        **_identity(row, seed, recipe, bench),
        "tiles": lines,
        "training": segmenter.facts,
        "real_tiles": [known.tile.id for known in chosen],
        "synthetic_tiles": len(painted),
        "parameters": sum(part.numel() for part in segmenter.network.parameters()),
        "minutes": round(60 * segmenter.facts["hours"] + (time.perf_counter() - started) / 60, 2),
        "commit": commit(),
    }
    write_json(folder / "score.json", score)
    shutil.rmtree(folder / "run" / "checkpoints", ignore_errors=True)  # four times the model, for every training
    return score


def subset(count: int, share: float, seed: int) -> list[int]:
    """Which real tiles a row sees: at random, a smaller share within the larger one, the same for rows of one seed.

    >>> len(subset(30, 0.1, 0)), set(subset(30, 0.1, 0)) < set(subset(30, 0.25, 0)), subset(3, 1.0, 0)
    (3, True, [0, 1, 2])
    """
    order = seeds.generator(seed, "table4 tiles").permutation(count)
    return sorted(order[: max(1, round(count * share))].tolist())


def read_score(row: Training, seed: int, bench: Bench4) -> dict[str, Any] | None:
    """A training's score; None if there is none yet.

    Raises:
        BadInput: something else lies there, or the score of a training of other data, length or settings.
    """
    path = _folder(row, seed, bench) / "score.json"
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT or not content["tiles"]:
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError):
        raise BadInput(f"{path}: expected the score of a training, found something else; remove the file") from None
    wanted = _identity(row, seed, row.recipe(bench.scale, seed), bench)
    for key in IDENTITY:
        if content.get(key) != wanted[key]:
            raise BadInput(
                f"{path}: is of another training ({key!r} differs); name another output folder, or remove "
                f"{path.parent} to train it again"
            )
    found: dict[str, Any] = content
    return found


def _folder(row: Training, seed: int, bench: Bench4) -> Path:
    return bench.folder / row.name / f"seed-{seed}"


def _identity(row: Training, seed: int, recipe: SegmenterRecipe, bench: Bench4) -> dict[str, Any]:
    """What decides a score, as it stands in its file."""
    real = [bench.train.items[number].id for number in subset(len(bench.train), row.tiles, seed)]
    learned = pixels_sha256(bench.train[name] for name in real)
    if row.synthetic:
        learned += f" {pixels_sha256(bench.painted)}"
    values: dict[str, Any] = {
        "row": row.name,
        "scale": bench.scale.name,
        "seed": seed,
        "recipe": json.loads(recipe.model_dump_json()),
        "learned_from": learned,
        "tested_on": bench.test_sha256,
        "windows": bench.scale.windows,
    }
    return values


def _test(
    segmenter: segmentation.Segmenter, test: Dataset, windows: int | None, report: Callable[[int, int], None]
) -> list[dict[str, Any]]:
    """The scores of the test tiles, each the mean over its tested windows."""
    lines: list[dict[str, Any]] = []
    for number, item in enumerate(test, 1):
        pairs = _tested(test, item, windows)
        score, _ = summarize([agreement(mask, segmenter.predict(image)) for image, mask in pairs])
        plain = {key: None if score[key] != score[key] else round(score[key], 6) for key in METRICS}
        lines.append({"id": item.id, "organ": item.organ, "preparation": item.preparation, **plain})
        report(number, len(test))
    return lines


def _tested(test: Dataset, item: Item, windows: int | None) -> list[tuple[Image, Mask]]:
    """What is tested of a tile: all of it, or some of the protocol's windows (docs/design.md, "Windows")."""
    if windows is None:
        return [(test.image(item), test.mask(item))]
    return [(w.image, w.mask) for w in cut_windows(Dataset(test.folder, test.info, [item]), a_tile=windows)]
