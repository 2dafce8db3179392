"""HoVer-Net's training patches: SPLIT/ID.npy, (H, W, 4) int32 as R, G, B, id, or (H, W, 5) with the class number."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.formats.format import (
    Format,
    Sample,
    as_mask,
    as_picture,
    check_shape,
    class_names,
    class_numbers,
    files_in,
    folders_below,
    type_map,
    types_from_map,
)
from sian.data.formats.typeinfo import name_types, write_type_info
from sian.data.pairs import Annotated, Pair
from sian.errors import BadInput
from sian.files.images import IMAGE_SUFFIXES, MAX_PIXELS
from sian.files.numpy_files import map_npy
from sian.masks.checking import whole_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy.typing as npt

    from sian.data.dataset import Dataset
    from sian.data.provenance import Provenance

CHANNELS = (4, 5)


def write(folder: Path, dataset: Dataset, samples: Iterable[Sample]) -> None:
    """Write a data set; see `Format.write`."""
    names = class_names(dataset)
    for sample in samples:
        layers = [sample.image.astype(np.int32), sample.mask[..., None]]
        if names:
            layers.append(type_map(sample.mask, class_numbers(sample.item, names))[..., None])
        (folder / sample.item.split).mkdir(exist_ok=True)
        np.save(folder / sample.item.split / f"{sample.item.id}.npy", np.concatenate(layers, axis=-1))
    if names:
        write_type_info(folder, names)


def find(source: Path, provenance: Provenance | None) -> list[Pair] | None:
    """Find the patches below a folder that holds no pictures; see `Format.find`."""
    arrays: list[Path] = []
    for folder in folders_below(source):
        if files_in(folder, IMAGE_SUFFIXES):
            return None
        arrays += files_in(folder, (".npy",))
    if not arrays or (provenance is not None and provenance.layout != FORMAT.name):
        return None
    if provenance is None and any(file.name == "images.npy" for file in arrays):
        return None  # PanNuke
    return [
        Pair(
            file.stem,
            file,
            file,
            split=file.parent.name if file.parent != source else "train",
            read_picture=partial(_picture, file),
            read_annotation=_annotation,
        )
        for file in arrays
    ]


def _picture(path: Path) -> npt.NDArray[np.uint8]:
    return as_picture(np.array(_open(path)[..., :3]), str(path))


def _annotation(path: Path, height: int, width: int) -> Annotated:
    array = _open(path)
    mask = as_mask(np.array(array[..., 3]), f"{path}, channel 4", height, width)
    if array.shape[2] == 4:
        return Annotated(mask)
    types = whole_numbers(np.array(array[..., 4]), f"{path}, channel 5")
    return Annotated(mask, name_types(path, types_from_map(mask, types)))


def _open(path: Path) -> npt.NDArray[Any]:
    array = open_array(path)
    if array.ndim != 3 or array.shape[2] not in CHANNELS:
        raise BadInput(
            f"{path}: found shape {array.shape}, expected (H, W, 4) or (H, W, 5): R, G, B, id, class; export it again"
        )
    check_shape(str(path), array.shape[:2])
    return array


def open_array(path: Path, limit: int = 1 << 40) -> npt.NDArray[Any]:
    """Map an .npy file into memory; never unpickles."""
    array = map_npy(path)
    check_shape(str(path), array.shape, max(limit, MAX_PIXELS))
    return array


FORMAT = Format(
    name="hovernet-npy",
    describes="HoVer-Net's patches: SPLIT/ID.npy, (H, W, 4 or 5) int32: R, G, B, id and, where known, class number",
    losses="Holds pixels, ids and classes whole; where it comes from, organ, mpp and the like only in provenance.json.",
    write=write,
    find=find,
)
