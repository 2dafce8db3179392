"""Write a picture or labels as OME-Zarr 0.5, tile by tile: a tile's chunks are its own, so tiles may come in any order.

The levels that lie within a tile are written with it; the coarser ones at the end, from the last of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sian.data.formats.omezarr import COLOURS, VERSION
from sian.data.formats.zarrfiles import zarr_library
from sian.slides.levels import Area
from sian.slides.pyramids import halved, level_shapes, levels_within

CHUNK = 512  # px on a side


@dataclass(frozen=True)
class SlideFacts:
    """What a written slide says of itself.

    Attributes:
        name: of the picture.
        shape: height and width.
        mpp: micrometres a pixel; None for unknown.
        notes: where it comes from, that it is synthetic, the licence.
    """

    name: str
    shape: tuple[int, int]
    mpp: float | None
    notes: dict[str, str]


class ZarrSlide:
    """An OME-Zarr group that is filled tile by tile.

    Args:
        group: its folder.
        facts: what it says.
        side: px of a tile, a multiple of `chunk`.
        dtype: uint8 for a picture (c, y, x); whole numbers for labels (y, x).
        chunk: px of a chunk.
    """

    def __init__(
        self, group: Path, facts: SlideFacts, side: int, dtype: type[np.integer[Any]] = np.uint8, chunk: int = CHUNK
    ) -> None:
        self.group, self.facts, self.side, self.dtype, self.chunk = group, facts, side, np.dtype(dtype), chunk
        self.colour = self.dtype == np.uint8
        self.shapes = level_shapes(facts.shape, chunk)
        self.within = levels_within(side, chunk, len(self.shapes))

    def prepare(self) -> None:
        """Make the group and its arrays, without chunks.

        Raises:
            MissingResource: zarr is not installed.
        """
        group = zarr_library().open_group(str(self.group), mode="w", zarr_format=3)
        axes = "cyx" if self.colour else "yx"
        for number, (height, width) in enumerate(self.shapes):
            shape = (3, height, width) if self.colour else (height, width)
            chunks = (3, self.chunk, self.chunk) if self.colour else (self.chunk, self.chunk)
            group.create_array(
                str(number),
                shape=shape,
                chunks=chunks,
                dtype=self.dtype,
                dimension_names=list(axes),
                config={"write_empty_chunks": True},  # a chunk that is missing is one that was lost
            )
        group.attrs["ome"] = self._about(axes)
        group.attrs["provenance"] = dict(self.facts.notes)

    def write(self, core: Area, pixels: NDArray[Any]) -> None:
        """One tile, (h, w, 3) or (h, w), whose first px are multiples of `side`."""
        level = pixels
        for number in range(self.within):
            self._put(number, core.top >> number, core.left >> number, level)
            level = halved(level)

    def finish(self) -> None:
        """The levels that are coarser than a tile's."""
        for number in range(self.within, len(self.shapes)):
            height, width = self.shapes[number]
            for top in range(0, height, self.chunk):
                rows = min(self.chunk, height - top)
                below = self.read(number - 1, Area(2 * top, 0, 2 * rows, 2 * width))
                self._put(number, top, 0, halved(below))

    def read(self, level: int, area: Area) -> NDArray[Any]:
        """What was written, (h, w, 3) or (h, w)."""
        cut = (slice(area.top, area.bottom), slice(area.left, area.right))
        found = np.asarray(self._array(level, "r")[(slice(None), *cut) if self.colour else cut])
        return np.moveaxis(found, 0, -1) if self.colour else found

    def _put(self, number: int, top: int, left: int, pixels: NDArray[Any]) -> None:
        height, width = pixels.shape[:2]
        if height and width:
            cut = (slice(top, top + height), slice(left, left + width))
            stored = np.moveaxis(pixels, -1, 0) if self.colour else pixels
            self._array(number, "r+")[(slice(None), *cut) if self.colour else cut] = stored

    def _array(self, level: int, mode: str) -> Any:
        return zarr_library().open_array(str(self.group / str(level)), mode=mode, zarr_format=3)

    def _about(self, axes: str) -> dict[str, Any]:
        mpp = self.facts.mpp
        unit = {"unit": "micrometer"} if mpp else {}
        named = [{"name": a, "type": "channel"} if a == "c" else {"name": a, "type": "space", **unit} for a in axes]
        datasets = [
            {
                "path": str(level),
                "coordinateTransformations": [
                    {"type": "scale", "scale": [1.0 if axis == "c" else (mpp or 1.0) * 2**level for axis in axes]}
                ],
            }
            for level in range(len(self.shapes))
        ]
        about: dict[str, Any] = {
            "version": VERSION,
            "multiscales": [{"name": self.facts.name, "axes": named, "datasets": datasets}],
        }
        if not self.colour:
            return {**about, "image-label": {}}
        window = {"start": 0, "end": 255, "min": 0, "max": 255}
        channels = [{"label": name, "color": colour, "active": True, "window": window} for name, colour in COLOURS]
        return {**about, "omero": {"channels": channels}}
