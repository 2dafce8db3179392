"""What the rows of a scale share: data, hardware, judges and folders; heavy things are read when first needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sian.files import sha256_file
from sian.files.weights import find_weights
from sian.reproduce.scales import Scale
from sian.reproduce.workbench import Report, Workbench

if TYPE_CHECKING:
    from sian.data.sampling import Tile
    from sian.evaluation.evaluate import Tools
    from sian.evaluation.scenes import Scene
    from sian.reproduce.rows import Row
    from sian.training import Recipe


@dataclass(kw_only=True)
class Bench(Workbench):
    """Everything but the rows of painters.

    Attributes:
        scale: how much is spent.
        style: the protocol's source of styles.
        seed: of training, drawn references and noise.
        weights: a folder with VGG19 and Inception, searched first.
        trust_weights: take weights of an unknown SHA-256.
        segmenter: "judge", or another segmenter's name or file.
        cache: where features of real images are kept; the user's cache if None.
        measured: whether anything will be; if not, the data set needs no test tiles.
        judge_sha256: of the segmenter that reports must be of; of `segmenter`'s file if None.
    """

    scale: Scale
    style: str = "paired"
    seed: int = 0
    weights: Path | None = None
    trust_weights: bool = False
    segmenter: str | Path = "judge"
    cache: Path | None = None
    measured: bool = True
    judge_sha256: str | None = None

    def __post_init__(self) -> None:
        self.data.split("train")  # a data set without is said before any work
        if self.measured:
            self.data.split("test")

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

    @property
    def segmenter_sha256(self) -> str:
        """Of the segmenter that judges."""
        return self.judge_sha256 or self._segmenter_file_sha256

    @cached_property
    def _segmenter_file_sha256(self) -> str:
        from sian.files.bundled import segmenter_path

        return sha256_file(segmenter_path(self.segmenter))

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
