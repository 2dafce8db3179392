"""COCO: annotations/instances_SPLIT.json and SPLIT/ID.png.

A nucleus without holes is a list of polygons, one a piece, with vertices on pixel corners; one with holes, which
COCO's polygons can't hold, is uncompressed RLE. ``instance_id`` keeps the id of the mask.
`sian.data.formats.cocoreading` reads it.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.formats.cocoreading import find
from sian.data.formats.format import Format, Sample, class_names, write_picture
from sian.data.formats.rle import encode_rle
from sian.data.provenance import item_origin
from sian.masks.contours import trace_nuclei

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import TextIO

    from sian.data.dataset import Dataset
    from sian.data.formats.regions import Region
    from sian.masks.contours import Polygon

UNCLASSIFIED = "nucleus"  # the category of nuclei without a class


def write(folder: Path, dataset: Dataset, samples: Iterable[Sample]) -> None:
    """Write a data set; see `Format.write`. Annotations stream to disk, one a line."""
    names = class_names(dataset)
    categories = [*names, *([UNCLASSIFIED] if UNCLASSIFIED not in names else [])]
    (folder / "annotations").mkdir()
    with ExitStack() as files:
        streams = {
            split: files.enter_context(
                (folder / "annotations" / f"instances_{split}.json").open("w", encoding="utf-8", newline="\n")
            )
            for split in dataset.splits
        }
        for stream in streams.values():
            stream.write('{"annotations": [')
        last = 0
        for image_id, sample in enumerate(samples, start=1):
            write_picture(folder / sample.item.split / f"{sample.item.id}.png", sample, dataset.info)
            lines = [json.dumps(entry) for entry in _entries(sample, image_id, last, categories)]
            started = streams[sample.item.split].tell() > len('{"annotations": [')
            if lines:
                streams[sample.item.split].write((",\n" if started else "\n") + ",\n".join(lines))
            last += len(lines)
        for split, stream in streams.items():
            _finish(stream, dataset, split, categories)


def _entries(sample: Sample, image_id: int, last: int, categories: list[str]) -> Iterator[dict[str, Any]]:
    names = sample.item.class_by_id
    for number, (nucleus, polygons) in enumerate(trace_nuclei(sample.mask), start=last + 1):
        corners = np.array([corner for polygon in polygons for corner in polygon[0]])
        (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        inside = sample.mask[top:bottom, left:right] == nucleus
        yield {
            "id": number,
            "image_id": image_id,
            "category_id": categories.index(names.get(nucleus, UNCLASSIFIED)) + 1,
            "segmentation": _segmentation(polygons, (top, left, inside), sample.mask.shape),
            "area": int(inside.sum()),
            "bbox": [left, top, right - left, bottom - top],
            "iscrowd": 0,
            "instance_id": nucleus,
        }


def _segmentation(polygons: list[Polygon], region: Region, shape: tuple[int, ...]) -> Any:
    if any(len(polygon) > 1 for polygon in polygons):
        return encode_rle(region, shape[0], shape[1])
    return [[number for corner in polygon[0] for number in corner] for polygon in polygons]


def _finish(stream: TextIO, dataset: Dataset, split: str, categories: list[str]) -> None:
    info = dataset.info
    numbered = [(number, item) for number, item in enumerate(dataset, start=1) if item.split == split]
    rest = {
        "info": {
            "description": info.name,
            "contributor": "sian",
            "synthetic": info.synthetic,
            "source": info.source,
            "licence": info.licence,
        },
        "licenses": [{"id": 1, "name": info.licence, "url": ""}],
        "categories": [
            {"id": number, "name": name, "supercategory": "nucleus"} for number, name in enumerate(categories, start=1)
        ],
        "images": [
            {
                "id": number,
                "file_name": f"{item.id}.png",
                "width": item.width,
                "height": item.height,
                "license": 1,
                "provenance": item_origin(item, info) | {"nuclei": item.nuclei},
            }
            for number, item in numbered
        ],
    }
    stream.write("\n],\n" + json.dumps(rest, indent=1)[1:] + "\n")


FORMAT = Format(
    name="coco",
    describes="COCO: annotations/instances_SPLIT.json (polygons on pixel corners, RLE with holes), SPLIT/ID.png",
    losses="Holds pixels, ids (as instance_id) and classes whole; a class called nucleus counts as none.",
    write=write,
    find=find,
)
