"""Write a picture as tiled pyramidal OME-TIFF: packed tiles are kept in files of their own, and joined at the end.

A TIFF has one writer. So each super-tile, whoever made it, leaves a file with its packed tiles; `finish` copies them
into the TIFF without unpacking, and makes the coarser levels of the last one that lies within a super-tile.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from sian.data.formats.ometiff import NAMESPACE
from sian.files import write_bytes
from sian.slides.levels import Area
from sian.slides.pyramids import halved, level_shapes, levels_within
from sian.slides.zarr_writing import SlideFacts

TILE = 512  # px on a side
EFFORT = 3  # of zlib; the bytes depend on it
BIG = 1 << 31  # bytes of pixels beyond which a TIFF may need 64-bit offsets


class TiffSlide:
    """An OME-TIFF that is made of super-tiles.

    Args:
        folder: of the packed super-tiles.
        facts: what it says.
        side: px of a super-tile, a multiple of `tile`.
        tile: px of the TIFF's tiles.
    """

    def __init__(self, folder: Path, facts: SlideFacts, side: int, tile: int = TILE) -> None:
        self.folder, self.facts, self.side, self.tile = folder, facts, side, tile
        self.shapes = level_shapes(facts.shape, tile)
        self.within = levels_within(side, tile, len(self.shapes))

    def prepare(self) -> None:
        """Make the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def write(self, core: Area, pixels: NDArray[Any]) -> None:
        """One super-tile, (h, w, 3) uint8, whose first px are multiples of `side`."""
        packed: list[list[bytes]] = []
        level = pixels
        for _ in range(self.within):
            packed.append([_packed(part, self.tile) for part in _tiles(level, self.tile)])
            level = halved(level)
        head = json.dumps([[len(part) for part in parts] for parts in packed]).encode()
        body = b"".join(part for parts in packed for part in parts)
        write_bytes(self._file(core.top, core.left), struct.pack("<Q", len(head)) + head + body)

    def finish(self, path: Path) -> None:
        """The whole file."""
        import tifffile

        height, width = self.facts.shape
        options: dict[str, Any] = {
            "photometric": "rgb", "tile": (self.tile, self.tile), "compression": "zlib", "dtype": np.uint8,
            "maxworkers": 1,
        }  # fmt: skip
        with tifffile.TiffWriter(path, ome=True, bigtiff=height * width * 4 > BIG) as file:
            for number, shape in enumerate(self.shapes):
                about: dict[str, Any] = {"subfiletype": 1, "metadata": None}
                if not number:
                    about = {"subifds": len(self.shapes) - 1, "metadata": self._metadata()}
                data = self._packed_rows(number, 0, shape[0]) if number < self.within else self._coarse_level(number)
                file.write(data, shape=(*shape, 3), software="sian", **about, **options)

    def _coarse_level(self, number: int) -> Iterator[bytes]:
        """A level that no super-tile has: made of the level before, which is kept in a file until the next one."""
        height, width = self.shapes[number]
        made = np.lib.format.open_memmap(self._level_file(number), "w+", np.uint8, (height, width, 3))
        for top in range(0, height, self.tile):
            rows = min(self.tile, height - top)
            made[top : top + rows] = halved(self._rows(number - 1, 2 * top, 2 * rows))[:, :width]
        made.flush()
        for top in range(0, height, self.tile):
            yield from (_packed(part, self.tile) for part in _tiles(made[top : top + self.tile], self.tile))

    def _rows(self, number: int, top: int, count: int) -> NDArray[np.uint8]:
        """Rows of a level that is finished."""
        if number >= self.within:
            stored: NDArray[np.uint8] = np.lib.format.open_memmap(self._level_file(number), "r")
            return np.array(stored[top : top + count])
        width = self.shapes[number][1]
        found = np.zeros((count, width, 3), np.uint8)
        across, packed = -(-width // self.tile), self._packed_rows(number, top, count)
        for place, tile in enumerate(packed):
            y, x = place // across * self.tile, place % across * self.tile
            part = np.frombuffer(zlib.decompress(tile), np.uint8).reshape(self.tile, self.tile, 3)
            into = found[y : y + self.tile, x : x + self.tile]
            into[...] = part[: into.shape[0], : into.shape[1]]
        return found

    def _packed_rows(self, number: int, top: int, count: int) -> Iterator[bytes]:
        """The tiles of some rows of a level; both are multiples of a tile unless the level ends."""
        width, across = self.shapes[number][1], self.side >> number
        for y in range(top, top + count, self.tile):
            for x in range(0, width, self.tile):
                file = self._file(y // across * self.side, x // across * self.side)
                columns = -(-min(across, width - x // across * across) // self.tile)
                start, length = _index(file)[number][y % across // self.tile * columns + x % across // self.tile]
                with file.open("rb") as stream:
                    stream.seek(start)
                    yield stream.read(length)

    def _file(self, top: int, left: int) -> Path:
        return self.folder / f"{top // self.side:04d}-{left // self.side:04d}.tiles"

    def _level_file(self, number: int) -> Path:
        return self.folder / f"level-{number}.npy"

    def _metadata(self) -> dict[str, Any]:
        facts = self.facts
        about: dict[str, Any] = {"axes": "YXS", "Name": facts.name}
        about["MapAnnotation"] = {"Namespace": NAMESPACE, **facts.notes}
        seed = zlib.crc32(json.dumps([facts.name, facts.shape, facts.notes], sort_keys=True).encode())
        about["UUID"] = f"urn:uuid:{UUID(int=seed)}"  # tifffile would draw one by chance
        if facts.mpp:
            about |= {"PhysicalSizeX": facts.mpp, "PhysicalSizeXUnit": "µm"}
            about |= {"PhysicalSizeY": facts.mpp, "PhysicalSizeYUnit": "µm"}
        return about


def _tiles(level: NDArray[Any], tile: int) -> Iterator[NDArray[Any]]:
    for y in range(0, level.shape[0], tile):
        for x in range(0, level.shape[1], tile):
            yield level[y : y + tile, x : x + tile]


def _packed(part: NDArray[Any], tile: int) -> bytes:
    """A tile, filled up with its last row and column where the picture ends."""
    height, width = part.shape[:2]
    if (height, width) != (tile, tile):
        part = np.pad(part, ((0, tile - height), (0, tile - width), (0, 0)), mode="edge")
    return zlib.compress(np.ascontiguousarray(part).tobytes(), EFFORT)


@lru_cache(maxsize=4096)
def _index(file: Path) -> list[list[tuple[int, int]]]:
    """Where the packed tiles of a super-tile lie: for each level (start, length)."""
    with file.open("rb") as stream:
        (size,) = struct.unpack("<Q", stream.read(8))
        lengths = json.loads(stream.read(size))
    start, found = 8 + size, []
    for level in lengths:
        places = []
        for length in level:
            places.append((start, length))
            start += length
        found.append(places)
    return found
