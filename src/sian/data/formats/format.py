"""What a format is, and what several of them share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.dataset import Dataset, Item
from sian.data.pairs import AnnotationReader, Pair
from sian.data.provenance import Provenance, origin_text
from sian.errors import BadInput
from sian.files import encode_png
from sian.files.images import MAX_PIXELS
from sian.masks import check_mask, nucleus_ids
from sian.masks.checking import whole_numbers

if TYPE_CHECKING:
    import numpy.typing as npt

    from sian.data.dataset import DatasetInfo

FOLDER_DEPTH = 4  # levels of folders below the source in which files of a format are looked for
MAX_FILES = 1_000_000


@dataclass(frozen=True)
class Sample:
    """One item of a data set, read.

    Attributes:
        item: its line in the manifest.
        image: (H, W, 3) uint8.
        mask: (H, W) int32.
    """

    item: Item
    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.int32]


def _no_problems(dataset: Dataset) -> list[str]:  # noqa: ARG001 - the shape of `Format.problems`
    return []


@dataclass(frozen=True)
class Format:
    """A format that data sets are exported to and imported from.

    Attributes:
        name: what ``--format`` takes.
        describes: what it is, in one line.
        losses: what it can't hold, in one sentence; ``provenance.json`` beside the files holds it.
        write: writes a data set into an empty folder: folder, data set, its samples in order.
        find: the pairs below a folder, None if the folder is not in this format; for formats whose pictures
            or annotations are not files of their own.
        annotations: readers of annotation files that lie beside their image, by ending.
        problems: why a data set can't be written in this format, a sentence each.
    """

    name: str
    describes: str
    losses: str
    write: Callable[[Path, Dataset, Iterable[Sample]], None]
    find: Callable[[Path, Provenance | None], list[Pair] | None] | None = None
    annotations: Mapping[str, AnnotationReader] = field(default_factory=dict)
    problems: Callable[[Dataset], list[str]] = _no_problems


def name_collisions(dataset: Dataset, marks: tuple[str, ...]) -> list[str]:
    """Which ids would give files of another item's name, in a format that puts marks behind ids."""
    by_split: dict[str, set[str]] = {}
    for item in dataset:
        by_split.setdefault(item.split, set()).add(item.id.casefold())
    return [
        f"found the ids {item.id!r} and {item.id + mark!r}, whose files could not be told apart; rename one"
        for item in dataset
        for mark in marks
        if item.id.casefold() + mark in by_split[item.split]
    ]


def class_names(dataset: Dataset) -> list[str]:
    """The class names of a data set: those its manifest lists, then others that its items use."""
    used = {name: None for item in dataset for name in sorted(item.classes or {})}
    return list(dict.fromkeys([*dataset.info.classes, *used]))


def class_numbers(item: Item, names: list[str]) -> dict[int, int]:
    """By nucleus id, the number of its class, counted from 1 as in `names`."""
    number = {name: position for position, name in enumerate(names, start=1)}
    return {nucleus: number[name] for nucleus, name in item.class_by_id.items()}


def type_map(mask: npt.NDArray[np.int32], numbers: Mapping[int, int]) -> npt.NDArray[np.int32]:
    """The class number of every pixel: (H, W) int32; 0 in the background and in nuclei without a class."""
    ids = np.concatenate([[0], nucleus_ids(mask)])
    table = np.array([numbers.get(int(nucleus), 0) for nucleus in ids], np.int32)
    return table[np.searchsorted(ids, mask)]


def types_from_map(mask: npt.NDArray[np.int32], types: npt.NDArray[np.integer[Any]]) -> dict[int, int]:
    """By nucleus id, the class number that most of its pixels have; nuclei of class 0 are left out."""
    ids = nucleus_ids(mask)
    if not len(ids):
        return {}
    nuclear = mask > 0
    which = np.searchsorted(ids, mask[nuclear])
    kinds, kind = np.unique(types[nuclear], return_inverse=True)
    votes = np.bincount(which * len(kinds) + kind, minlength=len(ids) * len(kinds)).reshape(len(ids), len(kinds))
    chosen = kinds[votes.argmax(axis=1)]
    return {int(nucleus): int(number) for nucleus, number in zip(ids, chosen, strict=True) if number != 0}


def as_mask(array: npt.NDArray[Any], name: str, height: int, width: int) -> npt.NDArray[np.int32]:
    """Check an instance mask that a format held, whole numbers in floats included, against its picture's size."""
    mask = check_mask(whole_numbers(array, name), name)
    if mask.shape != (height, width):
        raise BadInput(
            f"{name}: found {mask.shape[0]} x {mask.shape[1]} pixels, expected {height} x {width} as the image has; "
            "check that they belong together"
        )
    return mask


def as_picture(array: npt.NDArray[Any], name: str) -> npt.NDArray[np.uint8]:
    """Check a picture that a format held: whole numbers from 0 to 255 of any type."""
    if array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise BadInput(f"{name}: found an image of shape {array.shape}, expected (H, W, 3) R G B; export it again")
    whole = whole_numbers(array, name)
    if int(whole.min()) < 0 or int(whole.max()) > 255:
        raise BadInput(f"{name}: found values from {whole.min()} to {whole.max()}, expected 0 to 255; rescale it")
    return np.ascontiguousarray(whole, dtype=np.uint8)


def check_shape(name: str, shape: tuple[int, ...], limit: int = MAX_PIXELS) -> None:
    """Refuse an array that would not fit into memory, before it is read."""
    if float(np.prod(np.asarray(shape, np.float64))) > limit:
        raise BadInput(f"{name}: found shape {shape}, expected at most {limit:,} pixels; cut it into tiles first")


def write_picture(path: Path, sample: Sample, info: DatasetInfo) -> None:
    """Write a sample's image as PNG that says where it comes from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(sample.image, origin_text(sample.item, info)))


def folders_below(source: Path) -> Iterator[Path]:
    """A folder and those below it, in order, hidden ones left out; links to folders are not followed."""
    level = [source]
    for _ in range(FOLDER_DEPTH + 1):
        yield from level
        level = [
            child
            for folder in level
            for child in sorted(folder.iterdir())
            if child.is_dir() and not child.is_symlink() and not child.name.startswith((".", "__"))
        ]


def files_in(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """The files of a folder whose names end so, in order, hidden ones left out."""
    return [
        file
        for file in sorted(folder.iterdir())
        if file.name.lower().endswith(endings) and file.is_file() and not file.name.startswith(".")
    ]
