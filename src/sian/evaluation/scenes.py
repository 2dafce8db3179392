"""Windows of the test tiles, cut once for any number of painters, and of the training tiles (docs/design.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from sian.evaluation.arrays import Image, Mask
from sian.evaluation.collection import Collection, Entry
from sian.layout import Layout, describe
from sian.windows import WINDOW, test_offsets, train_offsets

if TYPE_CHECKING:
    from sian.data.dataset import Dataset

Offsets: TypeAlias = Callable[[int, int], list[int]]


@dataclass(frozen=True, eq=False)
class Window:
    """A window of a tile.

    Attributes:
        name: ``TILE_y0248_x0000``.
        tile: the item it was cut from.
        organ: of the tile.
        image: (h, w, 3) uint8.
        mask: (h, w) int32, cut from the tile's.
    """

    name: str
    tile: str
    organ: str
    image: Image
    mask: Mask


@dataclass(frozen=True, eq=False)
class Scene:
    """What the protocol paints again, cut once for any number of painters.

    Attributes:
        folder: of the data set, for reports.
        split: what is painted.
        windows: of that split.
        layouts: of the windows, described on the whole tile.
        others: windows of the training tiles; none if there are none or they are what is painted.
    """

    folder: str
    split: str
    windows: list[Window]
    layouts: list[Layout]
    others: list[Window]


def open_scene(
    data: Dataset, split: str = "test", size: int = WINDOW, a_tile: int | None = None, *, tissue: bool = False
) -> Scene:
    """Cut the windows of a split, and those of the training tiles.

    Args:
        data: a data set on disk; its split "train" gives exemplars and the floor.
        split: what is painted.
        size: of a window, in px.
        a_tile: at most so many windows of each tile, evenly spread; all of them if None.
        tissue: whether layouts say what lies between the nuclei, as the tiles' images show it.

    Raises:
        BadInput: an unknown split, or tiles smaller than a window.
    """
    windows, layouts = _windows_and_layouts(data.split(split), size, tissue)
    others = cut_windows(data.split("train"), size) if "train" in data.splits and split != "train" else []
    keep = _spread(windows, a_tile)
    return Scene(
        str(data.folder),
        split,
        [windows[i] for i in keep],
        [layouts[i] for i in keep],
        [others[i] for i in _spread(others, a_tile)],
    )


def cut_windows(data: Dataset, size: int = WINDOW, a_tile: int | None = None) -> list[Window]:
    """The evaluation windows of every tile: 16 of 256 px from a tile of 1000 px, or at most `a_tile`, evenly spread."""
    windows = [window for item in data for window in _cut(item.id, item.organ, data.image(item), data.mask(item), size)]
    return [windows[i] for i in _spread(windows, a_tile)]


def window_sizes(data: Dataset, size: int = WINDOW) -> dict[str, tuple[int, int]]:
    """Names and sizes of the windows that `cut_windows` cuts, without reading a tile.

    Args:
        data: a data set on disk.
        size: of a window, in px.
    """
    places = {item.id: _places((item.height, item.width), size) for item in data}
    return {_name(tile, y, x): (size, size) for tile, found in places.items() for y, x in found}


def window_collection(data: Dataset, size: int = WINDOW, *, dense: bool = False) -> Collection:
    """The windows of a data set's tiles as a collection: the evaluation grid, or the denser one of training."""
    offsets = train_offsets if dense else test_offsets
    windows = [
        window
        for item in data
        for window in _cut(item.id, item.organ, data.image(item), data.mask(item), size, offsets)
    ]
    return collection_of(str(data.folder), windows, "image")


def collection_of(label: str, windows: Sequence[Window], kind: str) -> Collection:
    """Windows as a collection of their images ("image") or masks ("mask")."""
    digest = hashlib.sha256()
    for window in windows:
        digest.update(window.name.encode())
        digest.update(np.ascontiguousarray(getattr(window, kind)).data)
    entries = {w.name: Entry(_reading(w, kind), w.organ, w.tile) for w in windows}
    return Collection(label, entries, digest.hexdigest())


def _windows_and_layouts(data: Dataset, size: int, tissue: bool) -> tuple[list[Window], list[Layout]]:
    """Windows with layouts that are described on the whole tile and then cut."""
    windows, layouts = [], []
    for item in data:
        image, mask = data.image(item), data.mask(item)
        whole = describe(mask, item.class_by_id or None, tissue=image if tissue else None)
        windows += _cut(item.id, item.organ, image, mask, size)
        layouts += [whole.window(y, x, size, size) for y, x in _places(mask.shape, size)]
    return windows, layouts


def _spread(windows: Sequence[Window], a_tile: int | None) -> list[int]:
    """Indices of at most `a_tile` windows of each tile, evenly spread over its windows."""
    tiles: dict[str, list[int]] = {}
    for index, window in enumerate(windows):
        tiles.setdefault(window.tile, []).append(index)
    if a_tile is None:
        return list(range(len(windows)))
    places = {
        tile: np.linspace(0, len(own) - 1, min(a_tile, len(own))).round().astype(int) for tile, own in tiles.items()
    }
    return [own[place] for tile, own in tiles.items() for place in places[tile]]


def _cut(tile: str, organ: str, image: Image, mask: Mask, size: int, offsets: Offsets = test_offsets) -> list[Window]:
    return [
        Window(
            _name(tile, y, x),
            tile,
            organ,
            image[y : y + size, x : x + size],
            mask[y : y + size, x : x + size],
        )
        for y, x in _places(mask.shape, size, offsets)
    ]


def _name(tile: str, y: int, x: int) -> str:
    return f"{tile}_y{y:04d}_x{x:04d}"


def _places(shape: tuple[int, ...], size: int, offsets: Offsets = test_offsets) -> list[tuple[int, int]]:
    return [(y, x) for y in offsets(shape[0], size) for x in offsets(shape[1], size)]


def _reading(window: Window, kind: str) -> Callable[[], Any]:
    return lambda: getattr(window, kind)
