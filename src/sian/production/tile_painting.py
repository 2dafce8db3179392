"""Who paints the super-tiles of a slide: this process, or workers that hold a copy of the model.

A job holds all that a super-tile needs but the model: the ids around it, whole at its rim. So a worker on another
machine reads no file, and the pixels do not depend on who painted them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sian.errors import BadInput
from sian.layout import Layout, describe
from sian.memory import give_back
from sian.networks.devices import one_thread
from sian.synthesis import load
from sian.synthesis.brushes import Backend
from sian.synthesis.load_model import bundled_model
from sian.synthesis.model_classes import with_classes
from sian.synthesis.painting import Noise
from sian.synthesis.supertiles import SuperTile, check_local, paint_supertile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sian.networks import Brush
    from sian.slides.levels import Area
    from sian.synthesis import Model


@dataclass(frozen=True, eq=False)
class TileJob:
    """A super-tile to paint.

    Attributes:
        number: which one.
        tile: where it lies.
        ids: (h, w) int32 of `window`.
        window: the part of the mask in which every nucleus that the tile sees is whole.
        classes: of the nuclei in it, for a model that knows classes.
        tissue: (h, w, 5) int8 of the tile's `cut`, see `sian.layout.tissue_map.tissue_layers`.
    """

    number: int
    tile: SuperTile
    ids: NDArray[np.int32]
    window: Area
    classes: Mapping[int, str] | None = None
    tissue: NDArray[np.int8] | None = None


@dataclass(frozen=True, eq=False)
class PaintedTile:
    """A painted super-tile: its number and its core, (h, w, 3) uint8."""

    number: int
    pixels: NDArray[np.uint8]


class TilePainter:
    """Paints super-tiles of one slide; see `sian.production.executors` for what it is to a worker.

    Args:
        model: a SIAN model.
        style: (D,) float32.
        noise: of the whole slide.
    """

    def __init__(self, model: Model, style: NDArray[np.float32], noise: Noise) -> None:
        self.model, self.noise = model, noise
        self.generator = check_local(model.painter.generator)
        self.vector = torch.from_numpy(style).to(model.device)
        self.brush: Brush | None = model.brush(self.vector[None])

    def make(self, job: TileJob) -> PaintedTile:
        """Paint a super-tile.

        Raises:
            BadInput: nuclei without classes for a model that wants them, or nothing but black came out.
        """
        layout = self._layout(job)
        give_back()  # what describing it took
        pixels = paint_supertile(self.generator, layout, self.vector, self.noise, job.tile, self.brush)
        if not pixels.any():
            raise BadInput("every painted pixel is black; the model's weights or the style are damaged")
        return PaintedTile(job.number, pixels)

    def _layout(self, job: TileJob) -> Layout:
        """The layout of a part as it is on the whole: nuclei at its edge are described whole."""
        found = with_classes(job.ids, self.model.info.classes, job.classes)
        layout = found if isinstance(found, Layout) else describe(found)
        inner = job.tile.cut.seen_from(job.window)
        cut = layout.window(inner.top, inner.left, inner.height, inner.width)
        return cut if job.tissue is None else replace(cut, tissue=job.tissue)


@dataclass(frozen=True)
class Crew:
    """Workers that paint a slide's super-tiles.

    Attributes:
        workers: how many, of one thread each; 0 is this process, None as many as there are cores.
        ray: whether by Ray, or the address of a cluster.
        model: the file of the model that paints; the bundled one if None.
    """

    workers: int | None = None
    ray: str | bool = False
    model: Path | None = None


@dataclass(frozen=True, eq=False)
class TileKit:
    """What a worker needs once: see `sian.production.executors.Kit`.

    Attributes:
        model: the model's file.
        sha256: what it must be.
        device: where a worker computes.
        backend: what computes.
        style: (D,) float32.
        noise: of the whole slide.
    """

    model: Path
    sha256: str
    device: str
    backend: Backend
    style: NDArray[np.float32]
    noise: Noise

    @classmethod
    def of(cls, model: Model, crew: Crew, style: NDArray[np.float32], noise: Noise) -> TileKit:
        """What a crew needs of a loaded model."""
        path = bundled_model() if crew.model is None or str(crew.model) == "bundled" else crew.model
        return cls(path, model.sha256, str(model.device), model.backend, style, noise)

    @property
    def files(self) -> list[Path]:
        """What has to travel."""
        return [self.model]

    def moved(self, files: list[Path]) -> TileKit:
        """The same with the files where they lie now."""
        return replace(self, model=files[0])

    def worker(self) -> Any:
        """A painter of one thread: the number of threads changes the last bit of a few pixels."""
        model = load(self.model, self.device, self.backend)
        if model.sha256 != self.sha256:
            raise BadInput(f"{self.model}: is another model by now; start again")
        return _OneThread(TilePainter(model, self.style, self.noise))


class _OneThread:
    """A painter as a worker has it."""

    def __init__(self, painter: TilePainter) -> None:
        self.painter = painter

    def make(self, job: TileJob) -> PaintedTile:
        with one_thread():
            made = self.painter.make(job)
        give_back()
        return made
