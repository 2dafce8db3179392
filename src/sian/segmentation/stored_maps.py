"""A network's output for a whole slide, window by window on disk, and blended again for any part of it.

The windows and their blending are those of `run_network` on the whole picture, so what a part is given does not depend
on which part was asked for: neighbouring parts see the same numbers where they overlap. Halves (float16) are stored.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from sian.files import write_bytes
from sian.segmentation.tiling import ALIGN, OVERLAP, WINDOW, places
from sian.slides.levels import Area

if TYPE_CHECKING:
    from sian.segmentation.segmenter import Segmenter

EFFORT = 1  # of zlib
SURE = 10.0  # the logit of background where no window was looked at


class ReadsPixels(Protocol):
    """A picture of which parts are read."""

    shape: tuple[int, int]

    def part(self, area: Area) -> NDArray[np.uint8]:
        """(h, w, 3) uint8."""
        ...


class StoredMaps:
    """The output of a segmenter's network for a slide.

    Args:
        folder: where the windows lie.
        segmenter: whose network.
        picture: the slide at the segmenter's magnification.
        window: px of a window, a multiple of 32.
        overlap: px that windows share, a multiple of 32.
    """

    def __init__(
        self, folder: Path, segmenter: Segmenter, picture: ReadsPixels, window: int = WINDOW, overlap: int = OVERLAP
    ) -> None:
        self.folder, self.segmenter, self.picture = folder, segmenter, picture
        height, width = (side + -side % ALIGN for side in picture.shape)
        self.rows, self.columns = places(height, window, overlap), places(width, window, overlap)

    @property
    def names(self) -> list[str]:
        """Of all windows, row by row."""
        return [f"window-{y:04d}-{x:04d}" for y in range(len(self.rows)) for x in range(len(self.columns))]

    def area(self, number: int) -> Area:
        """Where a window lies, as far as the picture reaches."""
        y, x = divmod(number, len(self.columns))
        rows, columns = self.rows[y][0], self.columns[x][0]
        whole = Area(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
        return whole.inside(self.picture.shape)

    def compute(self, number: int) -> None:
        """Run the network on one window, and keep what it says."""
        area = self.area(number)
        pixels = self.picture.part(area)
        more = ((0, -area.height % ALIGN), (0, -area.width % ALIGN), (0, 0))
        output = self.segmenter.run(np.pad(pixels, more, mode="symmetric"))
        self.folder.mkdir(parents=True, exist_ok=True)
        packed = zlib.compress(output.astype(np.float16).tobytes(), EFFORT)
        write_bytes(self._file(number), packed)

    def part(self, area: Area) -> NDArray[np.float32]:
        """The blended output of an area, (3, h, w) float32; background where no window was computed."""
        total: NDArray[np.float32] | None = None
        weight: NDArray[np.float32] = np.zeros((area.height, area.width), np.float32)
        for y, (rows, down) in enumerate(self.rows):
            if rows.stop <= area.top or rows.start >= area.bottom:
                continue
            for x, (columns, across) in enumerate(self.columns):
                file = self._file(y * len(self.columns) + x)
                if columns.stop <= area.left or columns.start >= area.right or not file.exists():
                    continue
                stored = np.frombuffer(zlib.decompress(file.read_bytes()), np.float16)
                output = stored.reshape(-1, rows.stop - rows.start, columns.stop - columns.start)
                (own_y, into_y), (own_x, into_x) = (
                    _common(rows, area.top, area.bottom),
                    _common(columns, area.left, area.right),
                )
                share = down[own_y, None] * across[None, own_x]
                if total is None:
                    total = np.zeros((len(output), area.height, area.width), np.float32)
                total[:, into_y, into_x] += output[:, own_y, own_x] * share
                weight[into_y, into_x] += share
        if total is None:
            return self._nothing(area)
        empty = weight == 0
        blended: NDArray[np.float32] = (total / np.where(empty, np.float32(1), weight)).astype(np.float32)
        if empty.any():
            blended[:, empty] = self._nothing(Area(0, 0, 1, 1))[:, 0]
        return blended

    def _nothing(self, area: Area) -> NDArray[np.float32]:
        """What the network says of glass: background, surely."""
        segnet = self.segmenter.recipe.network.kind == "segnet"
        logits = np.array([SURE, -SURE, -SURE] if segnet else [-SURE, 0, 0], np.float32)
        return np.broadcast_to(logits[:, None, None], (len(logits), area.height, area.width)).copy()

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:08d}.maps"


def _common(window: slice, first: int, last: int) -> tuple[slice, slice]:
    """What a window has in common with a part: in the window, and in the part."""
    start, stop = max(window.start, first), min(window.stop, last)
    return slice(start - window.start, stop - window.start), slice(start - first, stop - first)
