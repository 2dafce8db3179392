"""Where masks, and images if there are any, come from: a data set on disk, mask files, or a function that invents some.

`sian.torchdata.shard_reading` reads tar files in the same way. A source is sent to worker processes, so it holds
names and no open files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sian import seeds
from sian.data.dataset import MANIFEST, Dataset, open_dataset
from sian.errors import BadInput
from sian.masks import check_mask, read_mask
from sian.masks.files import MASK_SUFFIXES
from sian.torchdata.example import Example, Source
from sian.torchdata.shard_reading import Shards, find_shards

if TYPE_CHECKING:
    import numpy.typing as npt

MaskMaker = Callable[[int], "npt.NDArray[Any]"]  # a seed to an instance mask


class DatasetItems:
    """The items of a data set on disk."""

    def __init__(self, data: Dataset) -> None:
        self.data, self.name = data, str(data.folder)

    def __len__(self) -> int:
        return len(self.data)

    def shape(self, number: int) -> tuple[int, int]:
        """As the manifest says; checked when the item is read."""
        item = self.data.items[number]
        return item.height, item.width

    def read(self, number: int) -> Example:
        """Image and mask of an item."""
        item = self.data.items[number]
        return Example(self.data.mask(item), self.data.image(item), item.organ, item.class_by_id)


class MaskFiles:
    """Mask files without images."""

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        self.paths, self.name = tuple(paths), name

    def __len__(self) -> int:
        return len(self.paths)

    def shape(self, number: int) -> tuple[int, int]:
        """Of the mask in the file."""
        height, width = read_mask(self.paths[number]).shape
        return height, width

    def read(self, number: int) -> Example:
        """A mask."""
        return Example(read_mask(self.paths[number]))


class InventedMasks:
    """Masks made by a function of a seed; as many as are asked for."""

    def __init__(self, make: MaskMaker, seed: int, length: int) -> None:
        self.make, self.seed, self.length = make, seed, length
        self.name = "the function that makes masks"

    def __len__(self) -> int:
        return self.length

    def shape(self, number: int) -> tuple[int, int]:
        """Of the mask that the function makes."""
        height, width = self.read(number).mask.shape
        return height, width

    def read(self, number: int) -> Example:
        """Mask `number`, from a seed of its own."""
        return Example(check_mask(self.make(seeds.derive(self.seed, "invented mask", number)), self.name))


def open_source(source: Any, split: str | None, seed: int, length: int | None) -> Source:
    """Whatever `torch_dataset` is given, as a source.

    Raises:
        BadInput: nothing there that can be read, or arguments that do not go with it.
    """
    if isinstance(source, Dataset):
        return DatasetItems(source.split(split) if split else source)
    if callable(source):
        if length is None:
            raise BadInput("a function makes as many masks as are asked for; say how many with length=")
        return InventedMasks(source, seed, length)
    paths = [Path(source)] if isinstance(source, str | Path) else [Path(each) for each in source]
    if len(paths) == 1 and (paths[0] / MANIFEST).is_file():
        return open_source(open_dataset(paths[0]), split, seed, length)
    if split is not None:
        raise BadInput(f"{_named(paths)}: found no data set with splits; leave split= out")
    if shards := find_shards(paths):
        return Shards(shards)
    return MaskFiles(_mask_files(paths), _named(paths))


def _mask_files(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(e for e in path.iterdir() if e.suffix.lower() in MASK_SUFFIXES and e.name[0] != ".")
        elif path.is_file() and path.suffix.lower() in MASK_SUFFIXES:
            files.append(path)
        else:
            raise BadInput(
                f"{path}: no such file or folder, expected a data set, shards (.tar) or masks "
                f"({', '.join(MASK_SUFFIXES)}); check the path"
            )
    if not files:
        raise BadInput(f"{_named(paths)}: found no data set, no shards and no masks; check the path")
    return files


def _named(paths: Sequence[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{len(paths)} paths ({paths[0]}, ...)" if paths else "no path"
