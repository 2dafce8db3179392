"""What a segmented slide is written as: GeoJSON for QuPath, a table of nuclei, a summary, an overlay picture."""

from __future__ import annotations

import csv
import json
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sian.data.formats.qupath import NAMESPACE, geometry
from sian.files import write_png
from sian.files.atomic import write_json
from sian.files.jsonfiles import read_json
from sian.masks.boxes import nucleus_boxes
from sian.masks.contours import trace_region
from sian.slides.levels import Area
from sian.slides.nucleus_index import NucleusIndex, index_nuclei

if TYPE_CHECKING:
    from sian.slides.scaled_slide import ScaledSlide
    from sian.slides.slide import Slide
    from sian.slides.zarr_writing import ZarrSlide

SUMMARY, GEOJSON, TABLE, OVERLAY = "summary.json", "nuclei.geojson", "nuclei.csv", "overlay.png"
BLOCK = 2048  # px of a side of the labels that are traced at once
OVERLAY_PIXELS = 2048  # of the longer side
DOT, DOT_SIDE = (40, 255, 60), 3
NO_LIMIT = 1 << 30


@dataclass(frozen=True)
class SlideResult:
    """What was found on a slide.

    Attributes:
        nuclei: how many.
        median_area_px: of a nucleus, at the pixel size at which it was segmented; nan without nuclei.
        mpp: at which the slide was segmented; None for unknown.
        tissue_mm2: area of the tissue; None without mpp.
        nuclei_per_mm2: of tissue; None without mpp or tissue.
        median_area_um2: of a nucleus; None without mpp.
        shape: height and width of what was segmented.
        scale: px of the slide's full size along one of these; outlines and tables are in px of the full size.
    """

    nuclei: int
    median_area_px: float
    mpp: float | None
    tissue_mm2: float | None
    nuclei_per_mm2: float | None
    median_area_um2: float | None
    shape: tuple[int, int]
    scale: float

    @classmethod
    def read(cls, folder: Path) -> SlideResult:
        """The summary in a target's folder."""
        found = read_json(folder / SUMMARY)
        area = found["median_area_px"]
        return cls(
            **{**found, "shape": tuple(found["shape"]), "median_area_px": float("nan") if area is None else area}
        )


class _Labels:
    """Written labels as a mask that is read in parts."""

    def __init__(self, written: ZarrSlide) -> None:
        self.path, self.shape, self._written = written.group, written.facts.shape, written

    def read(self, area: Area) -> NDArray[np.int32]:
        return self._written.read(0, area).astype(np.int32)


def write_tables(
    folder: Path, written: ZarrSlide, slide: Slide, picture: ScaledSlide, mpp: float | None, tissue_px: float
) -> SlideResult:
    """Write all but the labels, which are there.

    Args:
        folder: where to.
        written: the labels.
        slide: the slide.
        picture: as it was segmented.
        mpp: of that.
        tissue_px: area of the tissue, in px of that.
    """
    labels = _Labels(written)
    index = index_nuclei(labels, largest=NO_LIMIT)
    scale = picture.to_full[0]
    middles = _write_outlines(folder, labels, index, picture.to_full, mpp, slide.path.name)
    areas = index.areas.astype(np.float64)
    median = float(np.median(areas)) if len(areas) else float("nan")
    mm2 = None if mpp is None else tissue_px * mpp**2 / 1e6
    result = SlideResult(
        nuclei=len(index),
        median_area_px=median,
        mpp=mpp,
        tissue_mm2=mm2,
        nuclei_per_mm2=len(index) / mm2 if mm2 else None,
        median_area_um2=None if mpp is None or not len(areas) else median * mpp**2,
        shape=picture.shape,
        scale=scale,
    )
    _write_overlay(folder / OVERLAY, slide, middles)
    content = asdict(result) | {"median_area_px": median if len(areas) else None}
    write_json(folder / SUMMARY, content)
    return result


def _write_outlines(
    folder: Path,
    labels: _Labels,
    index: NucleusIndex,
    to_full: tuple[float, float],
    mpp: float | None,
    name: str,
) -> NDArray[np.float64]:
    """GeoJSON and table, nucleus by nucleus; the nuclei's middles (n, 2) as row, column of the full size."""
    middles = np.zeros((len(index), 2), np.float64)
    with (folder / GEOJSON).open("w", encoding="utf-8") as outlines, (folder / TABLE).open("w", newline="") as rows:
        table = csv.writer(rows, lineterminator="\n")
        table.writerow(["id", "x", "y", "area_px", "area_um2"])
        outlines.write('{"type": "FeatureCollection", "features": [')
        before = ""
        for number, region, corner in _regions(labels, index):
            nucleus, area = int(index.ids[number]), int(index.areas[number])
            inside = np.argwhere(region).mean(axis=0) + 0.5 + corner
            middles[number] = inside * to_full
            square = None if mpp is None else round(area * mpp**2, 3)
            table.writerow([nucleus, *np.round(middles[number][::-1], 2).tolist(), area, square])
            feature = _feature(name, nucleus, region, corner, to_full, area, square)
            outlines.write(f"{before}\n{json.dumps(feature)}")
            before = ","
        outlines.write("\n]}\n")
    return middles


def write_outlines(
    path: Path, mask: NDArray[np.int32], name: str, *, area: Area, size: tuple[int, int], mpp: float | None
) -> None:
    """The nuclei of a region as detections for QuPath, in px of the slide's full size.

    Args:
        path: the .geojson file.
        mask: (H, W) of the region.
        name: of the slide.
        area: where the region lies, in px of the full size.
        size: height and width of the region's mask.
        mpp: of the mask.
    """
    to_full = area.height / size[0], area.width / size[1]
    features = []
    for nucleus, box in nucleus_boxes(mask).items():
        region = mask[box] == nucleus
        corner = (box[0].start + area.top / to_full[0], box[1].start + area.left / to_full[1])
        count = int(region.sum())
        square = None if mpp is None else round(count * mpp**2, 3)
        features.append(_feature(name, nucleus, region, corner, to_full, count, square))
    write_json(path, {"type": "FeatureCollection", "features": features})


def _regions(labels: _Labels, index: NucleusIndex) -> Iterator[tuple[int, NDArray[np.bool_], tuple[int, int]]]:
    """Each nucleus' number, its pixels in its box, and the box's first px; block by block."""
    width = labels.shape[1]
    blocks = index.boxes[:, 0] // BLOCK * (-(-width // BLOCK)) + index.boxes[:, 1] // BLOCK
    order = np.argsort(blocks, kind="stable")
    starts = np.flatnonzero(np.diff(blocks[order], prepend=-1))
    for group in np.split(order, starts[1:]) if len(order) else []:
        boxes = index.boxes[group]
        first, last = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        area = Area(int(first[0]), int(first[1]), int(last[0] - first[0]), int(last[1] - first[1]))
        ids = labels.read(area)
        for number, (top, left, bottom, right) in zip(group.tolist(), (boxes - [*first, *first]).tolist(), strict=True):
            region = ids[top:bottom, left:right] == index.ids[number]
            yield number, region, (int(first[0]) + top, int(first[1]) + left)


def _feature(
    name: str,
    nucleus: int,
    region: NDArray[np.bool_],
    corner: tuple[float, float],
    to_full: tuple[float, float],
    area: int,
    square: float | None,
) -> dict[str, Any]:
    shape = geometry(trace_region(region))
    scaled = _placed(shape["coordinates"], corner, to_full)
    measured = {"Area px^2": round(area * to_full[0] * to_full[1], 2)} | (
        {} if square is None else {"Area um^2": square}
    )
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(NAMESPACE, f"{name}/{nucleus}")),
        "geometry": {"type": shape["type"], "coordinates": scaled},
        "properties": {
            "objectType": "detection",
            "name": str(nucleus),
            "classification": {"name": "Nucleus", "color": [40, 200, 60]},
            "measurements": measured,
        },
    }


def _placed(coordinates: Any, corner: tuple[float, float], to_full: tuple[float, float]) -> Any:
    """Rings of a box in px of the slide's full size: whole px stay whole."""
    if not isinstance(coordinates[0], int | float):
        return [_placed(part, corner, to_full) for part in coordinates]
    places = [round((coordinates[axis] + corner[1 - axis]) * to_full[1 - axis], 2) for axis in (0, 1)]
    return [int(place) if place == int(place) else place for place in places]


def _write_overlay(path: Path, slide: Slide, middles: NDArray[np.float64]) -> None:
    """A small copy of the slide with a dot on each nucleus."""
    large = [number for number, size in enumerate(slide.sizes) if max(size) >= OVERLAY_PIXELS]
    level = large[-1] if large else 0
    height, width = slide.sizes[level]
    thin = max(1, -(-max(height, width) // OVERLAY_PIXELS))
    rows = [
        slide.part(Area(top, 0, min(thin * 64, height - top), width), level)[::thin, ::thin]
        for top in range(0, height, thin * 64)
    ]
    image = np.ascontiguousarray(np.concatenate(rows))
    places = (middles / (slide.step(level) * thin)).astype(np.int64)
    for down, across in np.ndindex(DOT_SIDE, DOT_SIDE):
        rows_of, columns_of = places[:, 0] + down - DOT_SIDE // 2, places[:, 1] + across - DOT_SIDE // 2
        image[np.clip(rows_of, 0, image.shape[0] - 1), np.clip(columns_of, 0, image.shape[1] - 1)] = DOT
    write_png(path, image)
