"""Segment a slide of any size: every nucleus once, none cut at a tile's border, in memory that a tile bounds.

1. The network's output is computed window by window where there is tissue, and kept (`stored_maps`).
2. Tile by tile the output of the tile and 128 px around it becomes instances. Two tiles see the same numbers where they
   overlap, so they find the same markers there; a nucleus is named by the first pixel of its marker, in both tiles. A
   tile keeps the names of its own pixels.
3. Names whose pixel lies in a tile's core get ids, in the tiles' order; labels, outlines and tables are written.

The work lies in `TARGET.unfinished` until it is whole, goes on after any stop, and may be shared by several processes.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sian.files import sha256_file, write_bytes
from sian.files.atomic import write_json
from sian.files.jsonfiles import read_json
from sian.files.tile_jobs import JOB, begin, finish, unfinished_folder, work_through
from sian.segmentation.instances import SEEDED
from sian.segmentation.magnified import check_areas
from sian.segmentation.slide_tables import SlideResult, write_tables
from sian.segmentation.stored_maps import StoredMaps
from sian.slides.levels import Area
from sian.slides.scaled_slide import ScaledSlide
from sian.slides.slide import Slide, open_slide
from sian.slides.tissue import find_tissue
from sian.slides.zarr_writing import SlideFacts, ZarrSlide
from sian.synthesis.magnification import scaling

if TYPE_CHECKING:
    from sian.segmentation.segmenter import Segmenter

FORMAT = "sian.slide-segmentation/1"
SIDE = 2048  # px of a tile
MARGIN = 128  # px around it that its instances are found with
LABELS = "labels.ome.zarr"
Report: TypeAlias = Callable[[int, int], None]


def segment_slide(
    path: str | Path,
    target: str | Path,
    *,
    segmenter: Segmenter,
    level: int = 0,
    mpp: float | None = None,
    everywhere: bool = False,
    side: int = SIDE,
    report: Report | None = None,
) -> SlideResult:
    """Segment all of a slide.

    Args:
        path: of the slide.
        target: the folder to make: labels.ome.zarr, nuclei.geojson (QuPath), nuclei.csv, summary.json, overlay.png.
        segmenter: see `sian.segmentation.load`.
        level: of the pyramid.
        mpp: of that level; it is rescaled to the segmenter's. None rescales nothing.
        everywhere: also where the slide shows no tissue.
        side: px of a tile, a multiple of 512.
        report: called with (jobs done, jobs in all): windows, then tiles.

    Returns:
        What was found; also summary.json. At once if the target is there already, made of the same.

    Raises:
        BadInput: no slide, an absurd mpp, or the target holds something else.
        MissingResource: the disk is full, or zarr is not installed. What was done is kept.

    Warns:
        SianWarning: the nuclei are of another size than the segmenter learned.
    """
    target = Path(target)
    with open_slide(path) as slide:
        work = _Work(slide, target, segmenter, level, mpp, everywhere, side)
        if (target / JOB).is_file() and read_json(target / JOB) == work.job:
            return SlideResult.read(target)
        begin(target, work.job, work.prepare)
        jobs = [*work.maps.names, *(tile.name for tile in work.tiles)]
        windows = len(work.maps.names)
        work_through(target, jobs[:windows], work.window, report and _of(report, 0, len(jobs)))
        work_through(target, jobs[windows:], work.tile, report and _of(report, windows, len(jobs)))
        results: list[SlideResult] = []
        finish(target, lambda folder: _kept(results, work.complete(folder)))
    return results[0] if results else SlideResult.read(target)


@dataclass(frozen=True)
class _Tile:
    name: str
    core: Area
    seen: Area


class _Work:
    """What all jobs of a slide share."""

    def __init__(
        self,
        slide: Slide,
        target: Path,
        segmenter: Segmenter,
        level: int,
        mpp: float | None,
        everywhere: bool,
        side: int,
    ) -> None:
        slide.step(level)  # refuses a level that is not there
        way = None if mpp is None else scaling(mpp, segmenter.mpp)
        self.slide, self.segmenter, self.asked = slide, segmenter, mpp
        self.picture = ScaledSlide(slide, level, way.factor if way else 1.0)
        self.mpp = segmenter.mpp if way else (slide.mpp and slide.mpp * slide.step(level))
        self.folder = unfinished_folder(target)
        self.maps = StoredMaps(self.folder / "maps", segmenter, self.picture)
        shape = self.picture.shape
        self.tiles = [
            _Tile(f"tile-{top // side:04d}-{left // side:04d}", core, core.grown(MARGIN, shape))
            for top in range(0, shape[0], side)
            for left in range(0, shape[1], side)
            for core in (Area(top, left, side, side).inside(shape),)
        ]
        self.side = side
        self.tissue, self.step = find_tissue(slide)
        self.everywhere = everywhere
        self.job = {
            "format": FORMAT,
            "segmenter": segmenter.sha256,
            "slide": sha256_file(slide.path) if slide.path.is_file() else str(slide.path.resolve()),
            "shape": list(shape),
            "level": level,
            "mpp": mpp,
            "everywhere": everywhere,
            "side": side,
            "tta": segmenter.tta,
        }

    def prepare(self, folder: Path) -> None:
        (folder / "tiles").mkdir(parents=True, exist_ok=True)
        self._labels(folder).prepare()

    def window(self, number: int) -> None:
        if self.everywhere or self._has_tissue(self.maps.area(number)):
            self.maps.compute(number)

    def tile(self, number: int) -> None:
        """Names of the pixels of a tile's core, and those of the nuclei that are the tile's own."""
        tile = self.tiles[number]
        found = SEEDED[self.segmenter.recipe.network.kind](self.maps.part(tile.seen), self.segmenter.recipe.instances)
        names = _names(found.labels, found.seeds, tile.seen)
        core = tile.core.seen_from(tile.seen)
        inner = found.labels[core.top : core.bottom, core.left : core.right]
        rows, columns = names >> 32, names & 0xFFFFFFFF
        own = (rows >= tile.core.top) & (rows < tile.core.bottom)
        own &= (columns >= tile.core.left) & (columns < tile.core.right)
        own &= np.isin(np.arange(len(names)), np.unique(found.labels))
        stream = io.BytesIO()
        np.savez_compressed(stream, labels=inner, names=names, own=own)
        write_bytes(self.folder / "tiles" / f"{tile.name}.npz", stream.getvalue())

    def complete(self, folder: Path) -> Path:
        """Ids, labels, outlines, tables; the folder that is to be the target."""
        stored = [folder / "tiles" / f"{tile.name}.npz" for tile in self.tiles]
        known = []
        for file in stored:
            with np.load(file, allow_pickle=False) as tile:
                known.append(np.sort(tile["names"][tile["own"]]))
        names = np.concatenate(known) if known else np.zeros(0, np.int64)
        order = np.argsort(names, kind="stable")
        writer = self._labels(folder)
        for file, place in zip(stored, self.tiles, strict=True):
            with np.load(file, allow_pickle=False) as tile:
                writer.write(place.core, _ids(tile["labels"], tile["names"], names[order], order + 1))
        writer.finish()
        whole = folder / "whole"
        write_json(whole / JOB, self.job)
        result = write_tables(whole, writer, self.slide, self.picture, self.mpp, self._tissue_px())
        check_areas(str(self.slide.path), result.median_area_px, self.asked)
        return whole

    def _labels(self, folder: Path) -> ZarrSlide:
        facts = SlideFacts(self.slide.path.name, self.picture.shape, self.mpp, {"Segmenter": self.segmenter.sha256})
        return ZarrSlide(folder / "whole" / LABELS, facts, self.side, np.uint32, min(self.side, 512))

    def _has_tissue(self, area: Area) -> bool:
        down, across = (full / self.step for full in self.picture.to_full)
        rows = slice(int(area.top * down), int(area.bottom * down) + 1)
        columns = slice(int(area.left * across), int(area.right * across) + 1)
        return bool(self.tissue[rows, columns].any())

    def _tissue_px(self) -> float:
        """The area of the tissue, in px of what was segmented."""
        down, across = self.picture.to_full
        return float(self.tissue.sum()) * self.step**2 / (down * across)


def _names(labels: NDArray[np.int32], seeds: NDArray[np.int32], seen: Area) -> NDArray[np.int64]:
    """For each label number the place of its marker's first pixel on the slide, row << 32 | column; -1 for none."""
    names = np.full(int(max(labels.max(initial=0), seeds.max(initial=0))) + 1, -1, np.int64)
    where = np.flatnonzero(seeds)[::-1]  # the first one is written last
    rows, columns = np.divmod(where, seeds.shape[1])
    names[seeds.ravel()[where]] = ((rows + seen.top).astype(np.int64) << 32) | (columns + seen.left)
    return names


def _ids(
    labels: NDArray[np.int32], names: NDArray[np.int64], known: NDArray[np.int64], ids: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """A tile's label numbers as ids of the slide; a nucleus that its own tile dropped is dropped."""
    if not len(known):
        return np.zeros(labels.shape, np.uint32)
    place = np.minimum(np.searchsorted(known, names), len(known) - 1)
    table = np.where(known[place] == names, ids[place], 0).astype(np.uint32)
    table[0] = 0
    return table[labels]


def _of(report: Report, before: int, total: int) -> Report:
    return lambda done, _: report(before + done, total)


def _kept(results: list[SlideResult], folder: Path) -> Path:
    results.append(SlideResult.read(folder))
    return folder
