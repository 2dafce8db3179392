"""The paper's figures with our rows: what the numbers cannot say, to be looked at.

    figure1   the same masks in the style of a real image of every organ
    figure2   one cluster of nuclei: mask and every method
    figure5   clusters with M, P and Q drawn in colour
    figure6   a window of each organ: mask, real image, every method
    figure7   clusters enlarged: mask, semantic mask, real image, every method

Nothing is chosen by eye: a window is the first of its organ with many nuclei, a cluster the densest of its tile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from sian.evaluation.reconstruction import Reference, model_painter
from sian.evaluation.scenes import Scene, cut_windows
from sian.files import write_png
from sian.layout.picture import picture
from sian.reproduce.bench import Bench
from sian.reproduce.clusters import Cluster, clusters
from sian.reproduce.rows import Row
from sian.synthesis.labels import png_text
from sian.synthesis.sheet import contact_sheet, mask_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sian.evaluation.scenes import Window
    from sian.synthesis.model import Model

    Picture = NDArray[np.uint8]  # (H, W, 3)
    Models = Mapping[str, tuple[Row, Model]]

ENLARGED = 288  # px of a cluster of 96 px
CLUSTERS = 5  # of Figure 7
DESCRIBED = 3  # clusters of Figure 5
MASKS = 2  # of Figure 1


def figures(models: Models, bench: Bench, folder: Path) -> list[Path]:
    """Draw all figures and write them as PNG.

    Args:
        models: rows with their models, in the order of the columns; "sian" draws Figure 1.
        bench: what the rows share.
        folder: made if it does not exist.

    Returns:
        The files, in the order of the figures.
    """
    scene = bench.scene
    found = clusters(scene.windows, CLUSTERS)
    paint = _PaintedWindows(models, scene, bench.seed)
    drawn: dict[str, Callable[[], Picture]] = {
        "figure1": lambda: _styles(models["sian"][1] if "sian" in models else next(iter(models.values()))[1], bench),
        "figure2": lambda: _one_cluster(paint, scene, found[0]),
        "figure5": lambda: _layouts(scene, found[:DESCRIBED]),
        "figure6": lambda: _organs(paint, scene),
        "figure7": lambda: _enlarged(paint, scene, found),
    }
    paths = []
    with bench.progress("figures", "figures") as report:
        for number, (name, draw) in enumerate(drawn.items(), 1):
            paths.append(folder / f"{name}.png")
            write_png(paths[-1], draw(), _text(models, bench, name))
            report(number, len(drawn))
    return paths


class _PaintedWindows:
    """Each window painted by each row once, in its own style, as the protocol does."""

    def __init__(self, models: Models, scene: Scene, seed: int) -> None:
        self.titles = [row.title for row, _ in models.values()]
        self._painters = [model_painter(model, row.noise) for row, model in models.values()]
        self._scene, self._seed = scene, seed
        self._painted: dict[int, list[Picture]] = {}

    def __call__(self, index: int) -> list[Picture]:
        """Window `index` by every row."""
        if index not in self._painted:
            window, layout = self._scene.windows[index], self._scene.layouts[index]
            reference = Reference(window.name, window.image, window.mask > 0)
            self._painted[index] = [painter(layout, reference, self._seed) for painter in self._painters]
        return self._painted[index]


def _styles(model: Model, bench: Bench) -> Picture:
    """Figure 1: a real training window of each organ, and two masks in their styles."""
    references = _one_an_organ(cut_windows(bench.train))
    masks = _one_an_organ(bench.scene.windows)
    chosen = [bench.scene.layouts[index] for index in list(masks.values())[:MASKS]]
    own = cut_windows(bench.train)
    real = [own[index].image for index in references.values()]
    rows = [[np.zeros_like(real[0]) + np.uint8(255), *real]]
    rows += [
        [
            _layout_picture(layout.semantic),
            *(model.synthesize(layout, image, seed=bench.seed, noise=0.0) for image in real),
        ]
        for layout in chosen
    ]
    return contact_sheet(rows, ["mask", *references], ["real", *(f"mask {n}" for n in range(1, len(chosen) + 1))])


def _one_cluster(paint: _PaintedWindows, scene: Scene, cluster: Cluster) -> Picture:
    """Figure 2."""
    window = scene.windows[cluster.index]
    shown = [_cut(mask_picture(window.mask), cluster, sharp=True), _cut(window.image, cluster)]
    shown += [_cut(image, cluster) for image in paint(cluster.index)]
    return contact_sheet([shown], ["mask", "real", *paint.titles])


def _layouts(scene: Scene, found: Sequence[Cluster]) -> Picture:
    """Figure 5."""
    rows = []
    for cluster in found:
        maps = picture(scene.layouts[cluster.index])
        shown = [_cut(maps[name], cluster, sharp=True) for name in ("semantic", "direction", "distance")]
        rows.append([_cut(scene.windows[cluster.index].image, cluster), *shown])
    return contact_sheet(rows, ["real", "M, semantic", "P, direction", "Q, distance"])


def _organs(paint: _PaintedWindows, scene: Scene) -> Picture:
    """Figure 6."""
    rows, names = [], []
    for organ, index in _one_an_organ(scene.windows).items():
        window = scene.windows[index]
        rows.append([mask_picture(window.mask), window.image, *paint(index)])
        names.append(organ)
    return contact_sheet(rows, ["mask", "real", *paint.titles], names)


def _enlarged(paint: _PaintedWindows, scene: Scene, found: Sequence[Cluster]) -> Picture:
    """Figure 7: a column a cluster."""
    columns = []
    for cluster in found:
        window = scene.windows[cluster.index]
        column = [_cut(mask_picture(window.mask), cluster, sharp=True)]
        column += [_cut(_layout_picture(window.mask > 0), cluster, sharp=True), _cut(window.image, cluster)]
        columns.append(column + [_cut(image, cluster) for image in paint(cluster.index)])
    names = ["mask", "semantic", "real", *paint.titles]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return contact_sheet(rows, [scene.windows[cluster.index].organ for cluster in found], names)


def _one_an_organ(windows: Sequence[Window]) -> dict[str, int]:
    """For each organ the window of its first tile with the most nuclei."""
    first: dict[str, str] = {}
    best: dict[str, tuple[int, int]] = {}
    for index, window in enumerate(windows):
        if first.setdefault(window.organ, window.tile) == window.tile:
            nuclei = len(np.unique(window.mask))
            if nuclei > best.get(window.organ, (-1, 0))[0]:
                best[window.organ] = (nuclei, index)
    return {organ: best[organ][1] for organ in sorted(best)}


def _cut(image: Picture, cluster: Cluster, *, sharp: bool = False) -> Picture:
    """A cluster of a picture, enlarged; `sharp` keeps the pixels of masks."""
    how = Image.Resampling.NEAREST if sharp else Image.Resampling.BICUBIC
    part = Image.fromarray(np.ascontiguousarray(image[cluster.area]))
    return np.asarray(part.resize((ENLARGED, ENLARGED), how))


def _layout_picture(semantic: NDArray[np.bool_]) -> Picture:
    drawn: Picture = np.repeat(np.where(semantic, np.uint8(255), np.uint8(0))[..., None], 3, -1)
    return drawn


def _text(models: Models, bench: Bench, name: str) -> dict[str, str]:
    """What a figure says of itself: synthetic parts, which models, the licence."""
    model = next(iter(models.values()))[1]
    text: dict[str, Any] = png_text(model, None, bench.seed)
    listed = ", ".join(f"{row}: {painted.sha256}" for row, (_, painted) in models.items())
    more = {"Title": f"{name}: synthetic H&E images beside real ones", "Model": listed, "Scale": bench.scale.name}
    return {**text, **more}
