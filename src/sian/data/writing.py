"""Write a data set on disk item by item; killed at any moment, it leaves whole items only.

The order makes it so: image, mask, both renamed into place, then the item's line in ``items.jsonl``,
flushed to disk.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.dataset import (
    ITEMS,
    MANIFEST,
    Dataset,
    DatasetInfo,
    Item,
    complete_lines,
    read_info,
    read_items,
)
from sian.errors import BadInput
from sian.files import remove_leftovers, sha256_array, sha256_pixels, write_json, write_png, write_text
from sian.files.locks import LOCK
from sian.masks import check_mask, nucleus_ids, write_mask

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt


class DatasetWriter:
    """Adds items to a data set on disk; makes the data set if there is none.

    One writer at a time. What an earlier writer left half done is removed on opening.

    Args:
        folder: the data set; must not exist yet, be empty, or hold a data set of the same name.
        info: what ``dataset.json`` is to say; the mpp of an existing data set is brought up to date.

    Raises:
        BadInput: the folder holds something else.
    """

    def __init__(self, folder: str | Path, info: DatasetInfo) -> None:
        self.folder = Path(folder)
        self.items: dict[str, Item] = {}
        check_target(self.folder, info)
        for part in (self.folder, self.folder / "images", self.folder / "masks"):
            if part.is_dir():
                remove_leftovers(part)
        self.items = {item.id: item for item in _repair_items(self.folder)}
        if not (self.folder / MANIFEST).is_file() or read_info(self.folder) != info:
            write_json(self.folder / MANIFEST, info.model_dump())
        self.info = info

    def add(
        self,
        item_id: str,
        image: npt.NDArray[np.uint8],
        mask: npt.ArrayLike,
        *,
        text: Mapping[str, str] | None = None,
        **facts: Any,
    ) -> Item:
        """Write one image and its mask; the item exists when this returns.

        An item of the same id is replaced.

        Args:
            item_id: unique, and a legal file name.
            image: (H, W, 3) uint8.
            mask: (H, W) integer ids.
            text: PNG text chunks for the image.
            facts: further fields of `Item`: organ, split, preparation, mpp, source, ...
        """
        ids = check_mask(mask, f"mask of {item_id}")
        if image.shape[:2] != ids.shape:
            raise BadInput(
                f"{item_id}: found an image of {image.shape[0]} x {image.shape[1]} and a mask of "
                f"{ids.shape[0]} x {ids.shape[1]} pixels, expected equal sizes; check them"
            )
        item = describe_item(item_id, image, ids, **facts)
        write_png(self.folder / item.image, image, text)
        write_mask(self.folder / item.mask, ids)
        self._append(item)
        return item

    def _append(self, item: Item) -> None:
        replaces = item.id in self.items
        self.items[item.id] = item
        path = self.folder / ITEMS
        if replaces:
            write_text(path, "".join(_line(known) for known in self.items.values()))
            return
        with path.open("a", encoding="utf-8", newline="\n") as stream:
            stream.write(_line(item))
            stream.flush()
            os.fsync(stream.fileno())


def describe_item(item_id: str, image: npt.NDArray[np.uint8], mask: npt.NDArray[np.int32], **facts: Any) -> Item:
    """An item's line, from its image and mask and what else is known of it."""
    ids = nucleus_ids(mask)
    strangers = {number for listed in (facts.get("classes") or {}).values() for number in listed} - set(ids.tolist())
    if strangers:
        raise BadInput(f"{item_id}: found a class for nucleus {min(strangers)}, expected ids of the mask; check them")
    many_ids = int(mask.max(initial=0)) > np.iinfo(np.uint16).max
    return Item(
        id=item_id,
        image=f"images/{item_id}.png",
        mask=f"masks/{item_id}.{'tif' if many_ids else 'png'}",
        width=image.shape[1],
        height=image.shape[0],
        nuclei=len(ids),
        sha256_image=sha256_pixels(image),
        sha256_mask=sha256_array(mask),
        **facts,
    )


def is_intact(dataset: Dataset, item: Item) -> bool:
    """Whether an item's image and mask are on disk, readable, and the ones that its line describes."""
    try:
        image, mask = dataset.image(item), dataset.mask(item)
    except BadInput:
        return False
    return sha256_pixels(image) == item.sha256_image and sha256_array(mask) == item.sha256_mask


def check_target(folder: Path, info: DatasetInfo) -> None:
    """Refuse a target that holds something else than the data set `info` describes; writes nothing."""
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder}: found a file, expected a folder for the data set; choose another name")
    if (folder / MANIFEST).is_file():
        name = read_info(folder).name
        if name != info.name:
            raise BadInput(
                f"{folder}: already holds the data set {name!r}, expected a new folder or {info.name!r}; "
                f"choose another folder, or give both the same --name to have them in one"
            )
    elif folder.is_dir() and any(entry.name != LOCK for entry in folder.iterdir()):
        raise BadInput(f"{folder}: found other files, expected a new or empty folder; choose another folder")


def _repair_items(folder: Path) -> list[Item]:
    """Read the items, and cut off a last line that a killed writer left unfinished."""
    path = folder / ITEMS
    items = read_items(folder)
    if path.is_file():
        text = path.read_text(encoding="utf-8")
        if text and not text.endswith("\n"):
            write_text(path, "".join(line + "\n" for line in complete_lines(text)))
    return items


def _line(item: Item) -> str:
    return json.dumps(item.model_dump(exclude_none=True), ensure_ascii=False) + "\n"
