"""The paper's figures with our rows: what the numbers cannot say, to be looked at.

    figure1   the same masks in the style of a real image of every organ
    figure2   one cluster of nuclei: mask and every method
    figure5   clusters with M, P and Q drawn in colour
    figure6   a window of each organ: mask, real image, every method
    figure7   clusters enlarged: mask, semantic mask, real image, every method

Nothing is chosen by eye: a window is the first of its organ with many nuclei, a cluster the densest of its tile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

import sian
from sian.evaluation.scenes import Scene, cut_windows
from sian.files import write_png
from sian.layout.picture import picture
from sian.reproduce.bench import Bench
from sian.reproduce.clusters import Cluster, clusters
from sian.reproduce.paintings import ModelPainter, RowPainter
from sian.synthesis.sheet import contact_sheet, mask_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sian.evaluation.scenes import Window
    from sian.synthesis.model import Model

    Picture = NDArray[np.uint8]  # (H, W, 3)

ENLARGED = 288  # px of a cluster of 96 px
CLUSTERS = 5  # of Figure 7
DESCRIBED = 3  # clusters of Figure 5
MASKS = 2  # of Figure 1


def figures(painters: Sequence[RowPainter], bench: Bench, folder: Path) -> list[Path]:
    """Draw all figures and write them as PNG.

    Args:
        painters: the rows, in the order of the columns. SIAN's model draws Figure 1, or the first that is a model's;
            without any there is no Figure 1, whose styles are not among the paintings that rows keep.
        bench: what the rows share.
        folder: made if it does not exist.

    Returns:
        The files, in the order of the figures.
    """
    scene = bench.scene
    found = clusters(scene.windows, CLUSTERS)
    by_models = [painter for painter in painters if isinstance(painter, ModelPainter)]
    drawn: dict[str, Callable[[], Picture]] = {
        "figure2": lambda: _one_cluster(painters, scene, found[0]),
        "figure5": lambda: _layouts(scene, found[:DESCRIBED]),
        "figure6": lambda: _organs(painters, scene),
        "figure7": lambda: _enlarged(painters, scene, found),
    }
    if by_models:
        first = next((painter for painter in by_models if painter.name == "sian"), by_models[0])
        drawn = {"figure1": lambda: _styles(first.model, bench), **drawn}
    paths = []
    with bench.progress("figures", "figures") as report:
        for number, (name, draw) in enumerate(drawn.items(), 1):
            paths.append(folder / f"{name}.png")
            write_png(paths[-1], draw(), _text(painters, bench, name))
            report(number, len(drawn))
    return paths


def windows_shown(scene: Scene) -> list[int]:
    """The windows of which Figures 2, 6 and 7 show paintings."""
    indices = [*_one_an_organ(scene.windows).values(), *(one.index for one in clusters(scene.windows, CLUSTERS))]
    return sorted(set(indices))


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


def _one_cluster(painters: Sequence[RowPainter], scene: Scene, cluster: Cluster) -> Picture:
    """Figure 2."""
    window = scene.windows[cluster.index]
    shown = [_cut(mask_picture(window.mask), cluster, sharp=True), _cut(window.image, cluster)]
    shown += [_cut(image, cluster) for image in _by_all(painters, cluster.index)]
    return contact_sheet([shown], ["mask", "real", *(painter.title for painter in painters)])


def _layouts(scene: Scene, found: Sequence[Cluster]) -> Picture:
    """Figure 5."""
    rows = []
    for cluster in found:
        maps = picture(scene.layouts[cluster.index])
        shown = [_cut(maps[name], cluster, sharp=True) for name in ("semantic", "direction", "distance")]
        rows.append([_cut(scene.windows[cluster.index].image, cluster), *shown])
    return contact_sheet(rows, ["real", "M, semantic", "P, direction", "Q, distance"])


def _organs(painters: Sequence[RowPainter], scene: Scene) -> Picture:
    """Figure 6."""
    rows, names = [], []
    for organ, index in _one_an_organ(scene.windows).items():
        window = scene.windows[index]
        rows.append([mask_picture(window.mask), window.image, *_by_all(painters, index)])
        names.append(organ)
    return contact_sheet(rows, ["mask", "real", *(painter.title for painter in painters)], names)


def _enlarged(painters: Sequence[RowPainter], scene: Scene, found: Sequence[Cluster]) -> Picture:
    """Figure 7: a column a cluster."""
    columns = []
    for cluster in found:
        window = scene.windows[cluster.index]
        column = [_cut(mask_picture(window.mask), cluster, sharp=True)]
        column += [_cut(_layout_picture(window.mask > 0), cluster, sharp=True), _cut(window.image, cluster)]
        columns.append(column + [_cut(image, cluster) for image in _by_all(painters, cluster.index)])
    names = ["mask", "semantic", "real", *(painter.title for painter in painters)]
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


def _by_all(painters: Sequence[RowPainter], index: int) -> list[Picture]:
    return [painter(index) for painter in painters]


def _text(painters: Sequence[RowPainter], bench: Bench, name: str) -> dict[str, str]:
    """What a figure says of itself: synthetic parts, which models, the licence."""
    return {
        "Title": f"{name}: synthetic H&E images beside real ones",
        "Synthetic": "true",
        "Software": f"sian {sian.__version__}",
        "Model": ", ".join(f"{painter.name}: {painter.sha256}" for painter in painters),
        "Style": "several",
        "Seed": str(bench.seed),
        "Licence": ", ".join(dict.fromkeys(painter.licence for painter in painters)),
        "Disclaimer": "Painted by a generative model; not for diagnosis",
        "Scale": bench.scale.name,
    }
