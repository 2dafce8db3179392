"""Shards of images and masks: tar files in WebDataset's manner, read by number without unpacking them.

Which members belong together is `sian.data.formats.shard_items`' affair. An image may be missing, a mask not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sian.data.formats.shard_items import ShardItem, read_ids, read_items, read_picture, read_record
from sian.errors import BadInput
from sian.masks.checking import MAX_ID
from sian.torchdata.example import Example


class Shards:
    """The examples of tar files, in the files' order.

    Args:
        paths: the tar files.

    Raises:
        BadInput: a file is not a tar file, or holds an image without a mask, or nothing.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.name = str(paths[0].parent if len(paths) > 1 else paths[0])
        self._items = [item for path in paths for item in _with_masks(path)]
        if not self._items:
            raise BadInput(f"{self.name}: found no masks in the shards, expected members named NAME.mask.png16")

    def __len__(self) -> int:
        return len(self._items)

    def shape(self, number: int) -> tuple[int, int]:
        """Height and width, from the mask."""
        height, width = self.read(number).mask.shape
        return height, width

    def read(self, number: int) -> Example:
        """Image and mask of one name."""
        item = self._items[number]
        if item.mask is None:
            raise BadInput(f"{self.name}: {item.name} has no mask")
        mask = read_ids(item.mask)
        image = None if item.image is None else read_picture(item.image)
        if image is not None and image.shape[:2] != mask.shape:
            raise BadInput(
                f"{item.image}: found {image.shape[0]} x {image.shape[1]} pixels and a mask of {mask.shape[0]} x "
                f"{mask.shape[1]}, expected equal sizes; make the shard again"
            )
        facts = read_record(item.record)
        return Example(mask, image, str(facts.get("organ") or "unknown"), _classes(facts.get("classes")))


def find_shards(paths: Iterable[Path]) -> list[Path]:
    """The tar files among the paths and in the folders named (and in their ``shards``), sorted; empty if none."""
    found: list[Path] = []
    for path in paths:
        folders = [folder for folder in (path, path / "shards") if folder.is_dir()]
        found += sorted(e for f in folders for e in f.glob("*.tar") if not e.name.startswith("."))
        if path.suffix == ".tar" and path.is_file():
            found.append(path)
    return found


def _with_masks(path: Path) -> list[ShardItem]:
    items = read_items(path)
    bare = next((item.name for item in items if item.image is not None and item.mask is None), None)
    if bare is not None:
        raise BadInput(f"{path}: found an image without a mask ({bare}), expected {bare}.mask.png16; make it again")
    return [item for item in items if item.mask is not None]


def _classes(found: Any) -> dict[int, str]:
    """Class name by id, of what the JSON says; anything else is left out."""
    if not isinstance(found, dict):
        return {}
    listed = ((name, ids) for name, ids in found.items() if isinstance(ids, list))
    return {number: name for name, ids in listed for number in ids if isinstance(number, int) and 0 < number <= MAX_ID}
