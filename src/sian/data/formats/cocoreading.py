"""Read COCO's JSON: polygons and run lengths; also as CVAT, Label Studio and Roboflow lay it out.

Crowds are regions of an unknown number of nuclei; boxes and keypoints have no outline: they are counted and left out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sian.data.folder_names import SPLIT_FOLDERS
from sian.data.formats.format import files_in
from sian.data.formats.regions import NO_CLASS, Effort, Shape, draw, outline, own_ids, polygon_region
from sian.data.formats.rle import rle_region
from sian.data.leftovers import as_stated
from sian.data.pairs import Annotated, Pair
from sian.data.provenance import PROVENANCE
from sian.errors import BadInput
from sian.files.jsonfiles import MAX_JSON_BYTES, read_json
from sian.files.real_places import is_inside
from sian.files.unpacking import read_unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sian.data.formats.regions import Region
    from sian.data.provenance import Provenance

PREFIX = "instances_"  # of COCO's own files and ours: instances_SPLIT.json
NO_SPLIT = {"default", ""}  # what CVAT calls a task without splits
EXPECTED = "expected COCO's images, annotations and categories"


@dataclass(frozen=True)
class _Listed:
    """An image as the file lists it, with its annotations."""

    number: int | str
    name: str
    width: Any
    height: Any
    provenance: Any
    entries: list[dict[str, Any]]


def find(source: Path, provenance: Provenance | None) -> list[Pair] | None:  # noqa: ARG001 - the shape of `Format.find`
    """Find COCO's JSON in a folder, its ``annotations``, or the folders of its splits; see `Format.find`."""
    pairs: list[Pair] = []
    for folder in _folders(source):
        for path in files_in(folder, (".json",)):
            if path.name != PROVENANCE:
                pairs += _pairs(source, path) or []
    return pairs or None


def _folders(source: Path) -> Iterator[Path]:
    yield source
    for child in sorted(source.iterdir()):
        if child.is_dir() and (child.name.lower() in SPLIT_FOLDERS or child.name == "annotations"):
            yield child


def _pairs(source: Path, path: Path) -> list[Pair] | None:
    if not _may_be_coco(path):
        return None
    content = read_json(path, nan=True)
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        return None
    images = _images(path, content)
    categories = _categories(path, content)
    split = _split(path)
    found = [(image, _file(source, path, image.name)) for image in images]
    return [
        Pair(
            file.stem,
            file,
            path,
            split=split,
            part=str(image.number),
            read_annotation=partial(_annotation, image, categories),
        )
        for image, file in found
    ]


def _may_be_coco(path: Path) -> bool:
    """Whether a file names COCO's lists; others, such as logs, may lie beside pictures, whole JSON or not."""
    text = read_unpacked(path, "JSON", MAX_JSON_BYTES).replace(b"\0", b"")  # of UTF-16 only the letters
    return b'"images"' in text and b'"annotations"' in text


def _split(path: Path) -> str:
    """The split that the file's name says, else its folder's."""
    if path.stem.startswith(PREFIX) and path.stem.removeprefix(PREFIX).lower() not in NO_SPLIT:
        return path.stem.removeprefix(PREFIX)
    return SPLIT_FOLDERS.get(path.stem.lower()) or SPLIT_FOLDERS.get(path.parent.name.lower(), "train")


def _images(path: Path, content: dict[str, Any]) -> list[_Listed]:
    entries: dict[int | str, list[dict[str, Any]]] = {}
    listed = []
    for image in _entries(path, content, "images", ("id", "file_name")):
        number = _key(path, "image", image["id"])
        if number in entries:
            raise BadInput(f"{path}: found the image id {number!r} twice, expected each once; repair it")
        entries[number] = []
        width, height, provenance = (image.get(key) for key in ("width", "height", "provenance"))
        listed.append(_Listed(number, image["file_name"], width, height, provenance, entries[number]))
    for entry in _entries(path, content, "annotations", ("image_id",)):
        number = _key(path, "image", entry["image_id"])
        if number not in entries:
            raise BadInput(
                f"{path}: found an annotation of the image {number!r}, which the file does not list, {EXPECTED}; "
                "export it again"
            )
        entries[number].append(entry)
    return listed


def _categories(path: Path, content: dict[str, Any]) -> dict[int | str, str]:
    categories: dict[int | str, str] = {}
    for entry in _entries(path, content, "categories", ("id", "name")):
        if not isinstance(entry["name"], str):
            raise BadInput(f"{path}: found a category called {str(entry['name'])[:60]}, expected a text; repair it")
        categories[_key(path, "category", entry["id"])] = entry["name"]
    return categories


def _entries(path: Path, content: dict[str, Any], part: str, needed: tuple[str, ...]) -> list[dict[str, Any]]:
    """One of the file's lists, each entry a dict with the keys that are needed."""
    entries = content.get(part, [])
    if not isinstance(entries, list):
        raise BadInput(f"{path}: found {part} that are not a list, {EXPECTED}; export it again")
    for entry in entries:
        missing = [key for key in needed if not isinstance(entry, dict) or key not in entry]
        if missing:
            raise BadInput(f"{path}: found an entry without {missing[0]!r} in {part}, {EXPECTED}; export it again")
    return entries


def _key(path: Path, thing: str, value: Any) -> int | str:
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value
    raise BadInput(f"{path}: found the {thing} id {str(value)[:60]}, expected a number; export it again")


def _file(source: Path, path: Path, name: Any) -> Path:
    """Where an image lies: beside the JSON, below the source, in the split's folder, or in images/."""
    if not isinstance(name, str) or "\0" in name or not name.isprintable():
        raise BadInput(f"{path}: found the file_name {name!r}, expected a path inside {source}; repair it")
    place: str = name.replace("\\", "/")  # as Label Studio writes it on Windows
    split = path.stem.removeprefix(PREFIX)
    folders = (path.parent, source, source / split, source / "images", source / "images" / split)
    found = next((folder / place for folder in folders if _is_file(folder / place)), source / place)
    if not is_inside(found, source):
        raise BadInput(f"{path}: found the file_name {name!r}, which leads out of {source}; copy the image there")
    if not _is_file(found):
        raise BadInput(f"{path}: found no image {place} below {source}, expected each image; copy what is missing")
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # too long a name
        return False


def _annotation(image: _Listed, categories: dict[int | str, str], path: Path, height: int, width: int) -> Annotated:
    for listed, found in ((image.width, width), (image.height, height)):
        if listed is not None and listed != found:
            raise BadInput(
                f"{path}: says that {image.name} has {str(image.height)[:20]} x {str(image.width)[:20]} pixels, found "
                f"{height} x {width}; give the picture that was annotated"
            )
    others = Counter(kind for entry in image.entries if (kind := _left_out(entry)))
    entries = [entry for entry in image.entries if not _left_out(entry)]
    effort = Effort(path, height, width)
    shapes = []
    for nucleus, entry in zip(own_ids([entry.get("instance_id") for entry in entries]), entries, strict=True):
        where = f"{path}, annotation {str(entry.get('id'))[:60]}"
        region = _region(where, entry, height, width, effort)
        name = _class(where, entry, categories)
        shapes.append(Shape(outline("outline", region), region, nucleus, name, may_hold=True))
    return as_stated(draw(path, shapes, height, width, others), image.provenance)


def _left_out(entry: dict[str, Any]) -> str | None:
    """What an annotation is called that does not outline one nucleus; None for outlines."""
    if entry.get("iscrowd"):
        return "crowd region"
    if entry.get("segmentation"):
        return None
    if entry.get("bbox"):
        return "box without an outline"
    return "point without an outline" if entry.get("keypoints") else "annotation without an outline"


def _class(where: str, entry: dict[str, Any], categories: dict[int | str, str]) -> str | None:
    number = entry.get("category_id")
    if number is None or not categories:
        return None
    if not isinstance(number, int | str) or number not in categories:
        raise BadInput(f"{where}: found the category {str(number)[:60]}, which the file does not list; repair it")
    name = categories[number].strip()
    return None if name.lower() in NO_CLASS or not name else name


def _region(where: str, entry: dict[str, Any], height: int, width: int, effort: Effort) -> Region | None:
    """What an outline covers; None if it has fewer than 3 vertices."""
    segmentation = entry["segmentation"]
    if isinstance(segmentation, dict):
        return rle_region(where, segmentation, height, width, effort)
    if not isinstance(segmentation, list) or not all(isinstance(flat, list) for flat in segmentation):
        raise BadInput(f"{where}: found a segmentation that is neither polygons nor RLE, {EXPECTED}; export it again")
    if any(len(flat) % 2 for flat in segmentation):
        raise BadInput(f"{where}: found a polygon with an odd number of coordinates, expected x, y, x, y, ...")
    rings = [[list(zip(flat[::2], flat[1::2], strict=True))] for flat in segmentation]
    return polygon_region(where, rings, height, width, effort)
