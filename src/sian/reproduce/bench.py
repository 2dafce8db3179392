"""What the rows of a scale share: data, hardware, judges and folders; heavy things are read when first needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from sian.files import sha256_file
from sian.files.weights import find_weights
from sian.reproduce.scales import Scale

if TYPE_CHECKING:
    from sian.data.dataset import Dataset, Item
    from sian.data.sampling import Tile
    from sian.evaluation.evaluate import Tools
    from sian.evaluation.scenes import Scene
    from sian.reproduce.rows import Row
    from sian.training import Hardware, Recipe

Report: TypeAlias = Callable[[int, int], None]
Progress: TypeAlias = Callable[[str, str], AbstractContextManager[Report]]  # what is done, what is counted


@contextmanager
def silent(description: str, unit: str = "images") -> Iterator[Report]:
    """Progress that nobody looks at."""
    del description, unit
    yield lambda *_: None


@dataclass
class Bench:
    """Everything but the rows.

    Attributes:
        data: with a split "train" and a split "test".
        scale: how much is spent.
        runs: the folder that holds SCALE/ROW.
        hardware: where is trained.
        device: where is painted and measured, "cpu" or "cuda".
        style: the protocol's source of styles.
        seed: of training, drawn references and noise.
        weights: a folder with VGG19 and Inception, searched first.
        trust_weights: take weights of an unknown SHA-256.
        segmenter: "bundled", or a segmenter's file.
        cache: where features of real images are kept; the user's cache if None.
        progress: shows long work.
        measured: whether anything will be; if not, the data set needs no test tiles.
    """

    data: Dataset
    scale: Scale
    runs: Path
    hardware: Hardware
    device: str = "cpu"
    style: str = "paired"
    seed: int = 0
    weights: Path | None = None
    trust_weights: bool = False
    segmenter: str | Path = "bundled"
    cache: Path | None = None
    progress: Progress = field(default=silent)
    measured: bool = True

    def __post_init__(self) -> None:
        self.train = self.data.split("train")
        if self.measured:
            self.data.split("test")  # a data set without is said before any work

    def folder(self, row: Row) -> Path:
        """Where a row lives: RUNS/SCALE/ROW."""
        return self.runs / self.scale.name / row.name

    def report_path(self, row: Row) -> Path:
        """Where a row's report of this style lies."""
        return self.folder(row) / _report_name("report", self.style)

    def floors_path(self) -> Path:
        """Where the floors of this scale and style lie."""
        return self.runs / self.scale.name / _report_name("floors", self.style)

    @cached_property
    def tiles(self) -> list[Tile]:
        """The training tiles with their layouts."""
        from sian.data.tiles import read_tiles

        with self.progress("describing tiles", "tiles") as report:
            return read_tiles(self.train, None, report)

    @cached_property
    def scene(self) -> Scene:
        """The windows that are painted again."""
        from sian.evaluation.scenes import open_scene

        return open_scene(self.data, "test", a_tile=self.scale.a_tile)

    @cached_property
    def tools(self) -> Tools:
        """Inception and the segmenter."""
        from sian import segmentation
        from sian.evaluation.evaluate import Tools
        from sian.evaluation.features import InceptionFeatures

        extractor = InceptionFeatures.load(self.weights, trust=self.trust_weights, device=self.device)
        return Tools(extractor, segmentation.load(self.segmenter, self.device).predict, self.cache)

    @cached_property
    def segmenter_sha256(self) -> str:
        """Of the segmenter's file."""
        from sian.segmentation.segmenter import BUNDLED

        return sha256_file(BUNDLED if str(self.segmenter) == "bundled" else Path(self.segmenter))

    @cached_property
    def test_sha256(self) -> str:
        """A hash of the test tiles' pixels and masks: recompressed without loss they are the same."""
        return pixels_sha256(self.data.split("test"))

    @cached_property
    def train_sha256(self) -> str:
        """A hash of the training tiles' pixels and masks."""
        return pixels_sha256(self.train)

    def train_run(self, recipe: Recipe, run: Path, report: Report, stop: Callable[[], bool] | None = None) -> Path:
        """Train one row, or go on where it was, at most until `stop` says yes; its last checkpoint."""
        from sian.training import train
        from sian.training.checks import holds_run

        return train(
            recipe,
            self.tiles,
            run,
            resume=holds_run(run),
            hardware=self.hardware,
            weights=self.weights,
            trust_weights=self.trust_weights,
            stop=stop,
            report=report,
        )

    def check_weights(self, *, inception: bool = True) -> None:
        """Refuse to begin without what training and measuring need.

        Args:
            inception: whether something will be measured.

        Raises:
            MissingResource: VGG19 or Inception is not on this machine.
        """
        find_weights("vgg19", self.weights, self.trust_weights)
        if inception:
            find_weights("inception_fid", self.weights, self.trust_weights)


def _report_name(stem: str, style: str) -> str:
    return f"{stem}.json" if style == "paired" else f"{stem}-{style}.json"


def pixels_sha256(items: Iterable[Item]) -> str:
    """A hash of some items' pixels and masks, in any order."""
    lines = sorted(f"{item.id} {item.sha256_image} {item.sha256_mask}" for item in items)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
