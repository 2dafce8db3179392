"""A row's paintings of the windows that figures show: by its model, or those that were kept of it.

A row whose weights are not on this machine may hold `shown/WINDOW.webp`: the protocol's own paintings of the few
windows that Figures 2, 6 and 7 show, compressed with loss.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from PIL import Image

from sian import seeds
from sian.errors import BadInput
from sian.evaluation.reconstruction import Reference, model_painter
from sian.files import read_image, write_bytes
from sian.reproduce.bench import Bench
from sian.reproduce.rows import Row
from sian.reproduce.running import read_job, report_of, train_row
from sian.synthesis import load

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sian.evaluation.scenes import Scene
    from sian.synthesis.model import Model

    Picture = NDArray[np.uint8]  # (H, W, 3)

SHOWN = "shown"  # a row's folder of kept paintings
QUALITY = 80  # of webp: about 20 kB a window
SAID = "Synthetic H&E image painted by a model; not for diagnosis"
_DESCRIPTION = 0x010E  # EXIF's ImageDescription


class RowPainter(Protocol):
    """Whatever gives a row's paintings.

    Attributes:
        name: of the row.
        title: of the row.
        sha256: of the model that painted.
        licence: of the model.
    """

    name: str
    title: str
    sha256: str
    licence: str

    def __call__(self, index: int) -> Picture:
        """The scene's window of that index, painted in its own style."""


def painter_of(row: Row, bench: Bench) -> RowPainter:
    """A row's painter: of its kept paintings if its weights are elsewhere, else of its model, trained if need be."""
    folder = bench.folder(row)
    if not (folder / "model.safetensors").is_file() and read_job(folder).get("model") is False:
        return KeptPaintings(row, bench)
    return ModelPainter(row, load(train_row(row, bench)).to(bench.device), bench)


class ModelPainter:
    """Paints as the protocol does, each window once.

    Args:
        row: whose model it is.
        model: what paints.
        bench: with the scene.
    """

    def __init__(self, row: Row, model: Model, bench: Bench) -> None:
        self.name, self.title, self.model = row.name, row.title, model
        self.sha256, self.licence = model.sha256, model.info.licence
        self._paint, self._bench = model_painter(model, row.noise), bench
        self._painted: dict[int, Picture] = {}

    def __call__(self, index: int) -> Picture:
        """The scene's window of that index, painted in its own style."""
        if index not in self._painted:
            scene, seed = self._bench.scene, seeds.derive(self._bench.seed, "reconstruction", index)
            window = scene.windows[index]
            reference = Reference(window.name, window.image, window.mask > 0)
            self._painted[index] = self._paint(scene.layouts[index], reference, seed)
        return self._painted[index]


class KeptPaintings:
    """The paintings that a row without a model keeps.

    Args:
        row: whose they are.
        bench: with the scene, and the folder of the row.

    Raises:
        BadInput: the row has no report that holds, or no kept paintings.
    """

    def __init__(self, row: Row, bench: Bench) -> None:
        report, self._folder, self._bench = report_of(row, bench), bench.folder(row) / SHOWN, bench
        if report is None or not self._folder.is_dir():
            raise BadInput(
                f"{bench.folder(row)}: found neither a model nor a report with the folder {SHOWN}, expected one of "
                "them; leave the row out by --rows, or train it"
            )
        self.name, self.title = row.name, row.title
        self.sha256 = str(report["inputs"]["model"]["sha256"])
        self.licence = str(report["reproduce"]["licence"])

    def __call__(self, index: int) -> Picture:
        """The scene's window of that index, painted in its own style."""
        window = self._bench.scene.windows[index]
        path = self._folder / f"{window.name}.webp"
        painted = read_image(path)
        if painted.shape != window.image.shape:
            expected = " x ".join(str(side) for side in window.image.shape[:2])
            found = " x ".join(str(side) for side in painted.shape[:2])
            raise BadInput(f"{path}: is of {found} px, expected {expected}; fetch the row's folder again")
        return painted


def keep_paintings(painter: RowPainter, scene: Scene, indices: Iterable[int], folder: Path) -> list[Path]:
    """Write some of a row's paintings as webp that say they are synthetic; returns the files."""
    paths = []
    for index in indices:
        stream = io.BytesIO()
        exif = Image.Exif()
        exif[_DESCRIPTION] = f"{SAID}; model {painter.sha256}; {painter.licence}"
        Image.fromarray(painter(index)).save(stream, "WEBP", quality=QUALITY, method=6, exif=exif)
        paths.append(folder / f"{scene.windows[index].name}.webp")
        write_bytes(paths[-1], stream.getvalue())
    return paths
