"""PanNuke's arrays: SPLIT/images.npy (n, H, W, 3), SPLIT/masks.npy (n, H, W, 6), SPLIT/types.npy (n) organ names.

Channels 0 to 4 of the masks hold the ids of one class each, channel 5 is 1 in the background. PanNuke itself is
256 x 256, in float64; here uint8 images and masks in the smallest unsigned type that holds the ids, which its readers
take alike. Read besides: its download's folders (images/fold1/images.npy, masks/fold1/masks.npy).
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.formats.format import Format, Sample, as_mask, as_picture, check_shape, folders_below
from sian.data.formats.hovernet_npy import open_array
from sian.data.pairs import Annotated, Pair
from sian.errors import BadInput
from sian.masks import nucleus_ids
from sian.masks.checking import whole_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from sian.data.dataset import Dataset
    from sian.data.provenance import Provenance

CLASSES = ("neoplastic", "inflammatory", "connective", "dead", "epithelial")
BACKGROUND = len(CLASSES)
CHANNELS = BACKGROUND + 1
MAX_NAME = 64  # characters of an organ's name


def problems(dataset: Dataset) -> list[str]:
    """Why a data set does not fit: pictures of several sizes, other classes, nuclei without one beside some with."""
    found = []
    sizes = sorted({(item.height, item.width) for item in dataset})
    if len(sizes) > 1:
        shown = ", ".join(f"{height} x {width}" for height, width in sizes[:5])
        found.append(f"found images of {shown} pixels, expected one size in PanNuke's arrays; cut them into windows")
    others = sorted({name for item in dataset for name in item.classes or {} if name.lower() not in CLASSES})
    if others:
        found.append(f"found the classes {', '.join(others)}, expected PanNuke's {', '.join(CLASSES)}; rename them")
    partly = [item.id for item in dataset if len(item.class_by_id) != item.nuclei]
    if partly and any(item.classes for item in dataset):
        found.append(f"found nuclei without a class in {partly[0]}, expected all or none to have one; classify them")
    return found


def write(folder: Path, dataset: Dataset, samples: Iterable[Sample]) -> None:
    """Write a data set; see `Format.write`. Pictures stream to disk; none but the current one is in memory."""
    with ExitStack() as files:
        streams: dict[str, tuple[Any, Any]] = {}
        dtypes: dict[str, str] = {}
        for split in dataset.splits:
            part = dataset.split(split)
            size = (len(part), part.items[0].height, part.items[0].width)
            dtypes[split] = "<u2" if all(item.mask.endswith(".png") for item in part) else "<u4"
            (folder / split).mkdir()
            images = files.enter_context((folder / split / "images.npy").open("wb"))
            masks = files.enter_context((folder / split / "masks.npy").open("wb"))
            _start(images, "|u1", (*size, 3))
            _start(masks, dtypes[split], (*size, CHANNELS))
            streams[split] = (images, masks)
            np.save(folder / split / "types.npy", np.array([item.organ for item in part], dtype=np.str_))
        for sample in samples:
            images, masks = streams[sample.item.split]
            images.write(sample.image.tobytes())
            masks.write(_channels(sample).astype(dtypes[sample.item.split]).tobytes())


def _start(stream: Any, dtype: str, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})


def _channels(sample: Sample) -> npt.NDArray[np.int32]:
    """(H, W, 6); nuclei without classes all lie in channel 0."""
    channels = np.zeros((*sample.mask.shape, CHANNELS), np.int32)
    channels[..., BACKGROUND] = sample.mask == 0
    if not sample.item.classes:
        channels[..., 0] = sample.mask
        return channels
    for name, ids in sample.item.classes.items():
        channels[..., CLASSES.index(name.lower())] = np.where(np.isin(sample.mask, ids), sample.mask, 0)
    return channels


def find(source: Path, provenance: Provenance | None) -> list[Pair] | None:
    """Find images.npy with their masks.npy; see `Format.find`."""
    pairs: list[Pair] = []
    for folder in folders_below(source):
        masks = _masks_of(folder)
        if (folder / "images.npy").is_file() and masks is not None:
            pairs += _pairs(folder, masks, provenance)
    return pairs or None


def _masks_of(folder: Path) -> Path | None:
    """masks.npy in the same folder, or where PanNuke's download has it."""
    beside = folder / "masks.npy"
    other = folder.parent.parent / "masks" / folder.name / "masks.npy"
    return beside if beside.is_file() else other if other.is_file() else None


def _pairs(folder: Path, masks: Path, provenance: Provenance | None) -> list[Pair]:
    images = folder / "images.npy"
    count, height, width = _checked(images, 3).shape[:3]
    if _checked(masks, CHANNELS).shape[:3] != (count, height, width):
        raise BadInput(f"{masks}: found shape {open_array(masks).shape}, expected ({count}, {height}, {width}, 6)")
    names = organs(folder / "types.npy", count)
    known = provenance.ids(folder.name) if provenance is not None else []
    ids = known if len(known) == count else [f"{folder.name}-{number:05d}" for number in range(count)]
    has_classes = provenance is None or bool(provenance.dataset.classes)
    return [
        Pair(
            ids[number],
            images,
            masks,
            organ=names[number],
            split=folder.name,
            part=str(number),
            read_picture=partial(_picture, images, number),
            read_annotation=partial(_annotation, number, has_classes),
        )
        for number in range(count)
    ]


def organs(path: Path, count: int) -> list[str]:
    """The organs' names in types.npy, one a picture; "unknown" where there is no such file."""
    if not path.is_file():
        return ["unknown"] * count
    names = open_array(path)
    if names.dtype.kind != "U" or names.shape != (count,) or names.dtype.itemsize > 4 * MAX_NAME:
        raise BadInput(
            f"{path}: found {names.dtype} of shape {names.shape}, expected {count} organ names; save it again"
        )
    try:
        return [str(name).strip().lower().replace("_", " ") or "unknown" for name in names]
    except (SystemError, ValueError) as error:  # numbers that are not characters
        raise BadInput(f"{path}: found names that are not text, expected organ names; save it again") from error


def _checked(path: Path, channels: int) -> npt.NDArray[Any]:
    array = open_array(path)
    if array.ndim != 4 or array.shape[3] != channels:
        raise BadInput(f"{path}: found shape {array.shape}, expected (n, H, W, {channels}); export it again")
    check_shape(str(path), array.shape[1:3])
    return array


def _picture(path: Path, number: int) -> npt.NDArray[np.uint8]:
    return as_picture(np.array(_checked(path, 3)[number]), f"{path}, image {number}")


def _annotation(number: int, has_classes: bool, path: Path, height: int, width: int) -> Annotated:
    name = f"{path}, mask {number}"
    channels = whole_numbers(np.array(_checked(path, CHANNELS)[number]), name)[..., :BACKGROUND]
    if int(channels.min()) < 0:
        raise BadInput(f"{name}: found negative ids, expected 0 for what is not of the class and ids from 1")
    channels, ids = _unique_ids(channels)
    first = (channels > 0).argmax(axis=2)  # where channels overlap, the first keeps the pixel
    mask = as_mask(np.take_along_axis(channels, first[..., None], axis=2)[..., 0], name, height, width)
    lost = int((channels > 0).sum() - (mask > 0).sum())
    present = set(nucleus_ids(mask).tolist())
    classes = {nucleus: CLASSES[kind] for kind, these in enumerate(ids) for nucleus in these if nucleus in present}
    return Annotated(mask, classes if has_classes else {}, {"lost_pixels": lost, "overlaps": int(lost > 0)})


def _unique_ids(channels: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], list[list[int]]]:
    """The channels with every id in one channel only, renumbered from 1 if they were not; and the ids of each."""
    ids = [[int(nucleus) for nucleus in np.unique(channels[..., kind]) if nucleus] for kind in range(BACKGROUND)]
    listed = [nucleus for these in ids for nucleus in these]
    if len(set(listed)) == len(listed):
        return channels, ids
    renumbered, start = np.zeros(channels.shape, np.int64), 1
    for kind, these in enumerate(ids):
        table = np.concatenate([[0], np.arange(start, start + len(these))])
        renumbered[..., kind] = table[np.searchsorted(np.array([0, *these]), channels[..., kind])]
        ids[kind], start = table[1:].tolist(), start + len(these)
    return renumbered, ids


FORMAT = Format(
    name="pannuke",
    describes="PanNuke: SPLIT/images.npy, masks.npy (n, H, W, 6) and types.npy; all images of one size",
    losses=(
        "Holds pixels, ids, PanNuke's five classes and the organ; without classes all nuclei are in channel 0 "
        "(neoplastic), and names, seeds, mpp and licence are only in provenance.json."
    ),
    write=write,
    find=find,
    problems=problems,
)
