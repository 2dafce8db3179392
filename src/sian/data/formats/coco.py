"""COCO: annotations/instances_SPLIT.json and SPLIT/ID.png.

A nucleus without holes is a list of polygons, one a piece, with vertices on pixel corners; one with holes, which
COCO's polygons can't hold, is uncompressed RLE. ``instance_id`` keeps the id of the mask.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.formats.format import Format, Sample, class_names, files_in, write_picture
from sian.data.formats.regions import annotated, own_ids, polygon_region
from sian.data.formats.rle import encode_rle, rle_region
from sian.data.pairs import Annotated, Pair
from sian.data.provenance import PROVENANCE, item_origin
from sian.errors import BadInput
from sian.files.jsonfiles import read_json
from sian.masks.contours import trace_nuclei

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TextIO

    from sian.data.dataset import Dataset
    from sian.data.formats.regions import Region
    from sian.data.provenance import Provenance
    from sian.masks.contours import Polygon

UNCLASSIFIED = "nucleus"  # the category of nuclei without a class
NO_CLASS = {"nucleus", "nuclei"}
FOLDERS = (".", "annotations")
EXPECTED = "expected COCO's images, annotations and categories"


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
                "provenance": item_origin(item, info),
            }
            for number, item in numbered
        ],
    }
    stream.write("\n],\n" + json.dumps(rest, indent=1)[1:] + "\n")


def find(source: Path, provenance: Provenance | None) -> list[Pair] | None:  # noqa: ARG001 - the shape of `Format.find`
    """Find COCO's JSON in a folder or its ``annotations``; see `Format.find`."""
    pairs: list[Pair] = []
    for folder in (source / name for name in FOLDERS):
        if folder.is_dir():
            for path in files_in(folder, (".json",)):
                if path.name != PROVENANCE:
                    pairs += _pairs(source, path) or []
    return pairs or None


def _pairs(source: Path, path: Path) -> list[Pair] | None:
    content = read_json(path)
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        return None
    by_image: dict[Any, list[dict[str, Any]]] = {}
    try:
        categories = {entry["id"]: str(entry["name"]) for entry in content.get("categories", [])}
        for entry in content["annotations"]:
            by_image.setdefault(entry["image_id"], []).append(entry)
        listed = [(image["id"], image["file_name"]) for image in content["images"]]
    except (TypeError, KeyError) as error:
        raise BadInput(f"{path}: found an entry without {error}, {EXPECTED}; export it again") from error
    split = path.stem.removeprefix("instances_")
    images = [(number, _image(source, path, split, name)) for number, name in listed]
    return [
        Pair(
            image.stem,
            image,
            path,
            split=split,
            part=str(number),
            read_annotation=partial(_annotation, by_image.get(number, []), categories),
        )
        for number, image in images
    ]


def _image(source: Path, path: Path, split: str, name: Any) -> Path:
    """Where an image lies: beside the JSON, below the source, in the split's folder, or in images/."""
    if not isinstance(name, str) or "\\" in name or "\0" in name:
        raise BadInput(f"{path}: found the file_name {name!r}, expected a path inside {source}; repair it")
    places = (path.parent, source, source / split, source / "images", source / "images" / split)
    found = next((place / name for place in places if (place / name).is_file()), places[2] / name)
    if not found.resolve().is_relative_to(source.resolve()):
        raise BadInput(f"{path}: found the file_name {name!r}, which leads out of {source}; copy the image there")
    if not found.is_file():
        raise BadInput(f"{path}: found no image {name} below {source}, expected each image; copy what is missing")
    return found


def _annotation(
    entries: list[dict[str, Any]], categories: dict[Any, str], path: Path, height: int, width: int
) -> Annotated:
    ids = own_ids([entry.get("instance_id") for entry in entries])
    regions = (
        (nucleus, _class(entry, categories), _region(path, entry, height, width))
        for nucleus, entry in zip(ids, entries, strict=True)
    )
    return annotated(str(path), regions, height, width)


def _class(entry: dict[str, Any], categories: dict[Any, str]) -> str | None:
    number = entry.get("category_id")
    name = categories.get(number) if isinstance(number, int) else None
    return None if name is None or name.lower() in NO_CLASS or not name.strip() else name


def _region(path: Path, entry: dict[str, Any], height: int, width: int) -> Region | None:
    """What an annotation covers; None for crowds, which are no single nucleus, and for empty ones."""
    where = f"{path}, annotation {entry.get('id')}"
    segmentation = entry.get("segmentation")
    if entry.get("iscrowd") or not segmentation:
        return None
    if isinstance(segmentation, dict):
        return rle_region(where, segmentation, height, width)
    if not isinstance(segmentation, list) or not all(isinstance(flat, list) for flat in segmentation):
        raise BadInput(f"{where}: found a segmentation that is neither polygons nor RLE, {EXPECTED}; export it again")
    if any(len(flat) % 2 for flat in segmentation):
        raise BadInput(f"{where}: found a polygon with an odd number of coordinates, expected x, y, x, y, ...")
    return polygon_region(where, [[list(zip(f[::2], f[1::2], strict=True))] for f in segmentation], height, width)


FORMAT = Format(
    name="coco",
    describes="COCO: annotations/instances_SPLIT.json (polygons on pixel corners, RLE with holes), SPLIT/ID.png",
    losses="Holds pixels, ids (as instance_id) and classes whole; a class called nucleus counts as none.",
    write=write,
    find=find,
)
