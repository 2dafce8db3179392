"""Cellpose's folders: SPLIT/ID.png and SPLIT/ID_masks.png (16-bit ids; ID_masks.tif beyond 65,535).

These are the names that its training takes without options. Those of its own data set, NAME_img.png and
NAME_masks.png (``--img_filter _img``), are read as well.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sian.data.formats.format import Format, Sample, files_in, folders_below, name_collisions, write_picture
from sian.data.pairs import Pair
from sian.files.images import IMAGE_SUFFIXES
from sian.masks.files import MASK_SUFFIXES, MAX_PNG_ID, encode_mask_png, write_mask

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sian.data.dataset import Dataset
    from sian.data.provenance import Provenance

IMAGE_MARK, MASK_MARK = "_img", "_masks"


def write(folder: Path, dataset: Dataset, samples: Iterable[Sample]) -> None:
    """Write a data set; see `Format.write`. `sian data import` reads it as it reads any NAME_masks.png."""
    for sample in samples:
        part = folder / sample.item.split
        write_picture(part / f"{sample.item.id}.png", sample, dataset.info)
        path = part / f"{sample.item.id}{MASK_MARK}.png"
        if int(sample.mask.max()) <= MAX_PNG_ID:
            path.write_bytes(encode_mask_png(sample.mask))
        else:
            write_mask(path.with_suffix(".tif"), sample.mask)


def find(source: Path, provenance: Provenance | None) -> list[Pair] | None:
    """Find NAME_img.* with NAME_masks.*; see `Format.find`."""
    if provenance is not None:
        return None
    pairs = []
    for folder in folders_below(source):
        masks = {file.stem: file for file in files_in(folder, MASK_SUFFIXES) if file.stem.endswith(MASK_MARK)}
        for image in files_in(folder, tuple(IMAGE_MARK + suffix for suffix in IMAGE_SUFFIXES)):
            name = image.stem.removesuffix(IMAGE_MARK)
            if name + MASK_MARK in masks:
                split = folder.name.lower() if folder.name.lower() in ("train", "test", "val") else "train"
                pairs.append(Pair(name, image, masks[name + MASK_MARK], split=split))
    return pairs or None


FORMAT = Format(
    name="cellpose",
    describes="Cellpose: SPLIT/ID.png and SPLIT/ID_masks.png with 16-bit ids",
    losses="Holds pixels and ids whole (ids beyond 65,535 in a .tif); classes and all else only in provenance.json.",
    write=write,
    find=find,
    problems=partial(name_collisions, marks=(MASK_MARK, IMAGE_MARK)),
)
