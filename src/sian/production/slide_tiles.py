"""Tiles to learn from out of a user's own slides, without annotation: windows of tissue, outlined by the segmenter.

They are kept in the run's folder as a data set, RUN/slides, with the pixels of doubtful nuclei beside it. What is
doubtful is not compared in training. Their tiles weigh less than annotated ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sian.data.dataset import DatasetInfo, open_dataset
from sian.data.tiles import read_tiles
from sian.data.writing import DatasetWriter
from sian.errors import BadInput
from sian.files import read_image, write_png
from sian.masks import nucleus_ids
from sian.production.cut_windows import slide_windows
from sian.segmentation.doubt import segment_with_doubt
from sian.synthesis.magnification import check_mpp

if TYPE_CHECKING:
    from sian.data import Dataset
    from sian.data.sampling import Tile
    from sian.segmentation.segmenter import Segmenter

SIDE = 512  # px of a window at the model's magnification
MOST_WINDOWS = 8  # of one slide
LEAST_NUCLEI = 5  # of a window that is learned from
SHARE = 1 / 3  # of what is learned from, where there are annotated tiles
FOLDER, DOUBTFUL = "slides", "doubtful"  # in the run's folder

Report = Callable[[int, int], None]


def slide_tiles(
    slides: Sequence[str | Path],
    run: Path,
    segmenter: Segmenter,
    *,
    mpp: float | None = None,
    given: float | None = None,
    organ: str = "own",
    tissue: bool = False,
    report: Report | None = None,
) -> tuple[Dataset, list[Tile]]:
    """Cut windows of tissue, segment them, and keep them as a data set in the run's folder.

    Slides that are there already are not cut again.

    Args:
        slides: pictures of any size that `sian.slides` opens; each counts as a patient.
        run: the run's folder.
        segmenter: finds the nuclei.
        mpp: micrometres a pixel of the model; windows of slides that say another are rescaled.
        given: micrometres a pixel of the slides, in the place of what they say themselves.
        organ: what the tissue is called.
        tissue: whether the tiles' layouts come with tissue maps.
        report: called with (slides done, slides in all).

    Returns:
        The data set, and its tiles with what is to be ignored.

    Raises:
        BadInput: an absurd mpp; a slide cannot be read, is smaller than 256 px, or none has a window with five nuclei.
    """
    if given is not None:
        check_mpp(given)
    info = DatasetInfo(name="slides, not annotated", mpp=mpp, source="masks of the bundled segmenter")
    folder = run / FOLDER
    writer = DatasetWriter(folder, info)
    for number, path in enumerate(map(Path, slides), 1):
        name = f"{path.stem}-{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:6]}"
        if not any(item.patient == name for item in writer.items.values()):
            for place, image in enumerate(slide_windows(path, mpp, SIDE, MOST_WINDOWS, given)):
                mask, doubt = segment_with_doubt(segmenter, image)
                sure = len(nucleus_ids(np.where(doubt, 0, mask)))
                if sure >= LEAST_NUCLEI:
                    item = f"{name}-{place}"
                    write_png(
                        folder / DOUBTFUL / f"{item}.png", np.repeat(doubt[..., None], 3, -1).astype(np.uint8) * 255
                    )
                    writer.add(item, image, mask, organ=organ, patient=name, mpp=mpp)
        if report:
            report(number, len(slides))
    if not writer.items:
        raise BadInput(
            f"{slides[0]}: found no window with {LEAST_NUCLEI} nuclei that the segmenter is sure of (in any of "
            f"{len(slides)}); give H&E at the model's magnification, or slides that say their micrometres a pixel"
        )
    data = open_dataset(folder)
    return data, [_with_doubt(tile, folder) for tile in read_tiles(data, tissue=tissue)]


def weighted(tiles: Sequence[Tile], annotated: Sequence[Tile]) -> list[Tile]:
    """Tiles of slides that are drawn a third of the time, together, beside annotated ones."""
    weight = sum(tile.weight for tile in annotated) * SHARE / (1 - SHARE) / max(1, len(tiles))
    return [replace(tile, weight=weight) for tile in tiles]


def _with_doubt(tile: Tile, folder: Path) -> Tile:
    return replace(tile, ignored=read_image(folder / DOUBTFUL / f"{tile.id}.png")[..., 0] > 0)
