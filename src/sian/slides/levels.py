"""What all readers of slides have in common: a pyramid of levels, of which parts are read.

A reader returns what the file stores, (h, w, 3) for pictures or (h, w) for masks. It reads nothing before it is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sian.errors import BadInput
from sian.files.images import MAX_PIXELS

MAX_SIDE = 1 << 20  # px of a level; the largest scans have 300,000
HALF = 0.5


@dataclass(frozen=True)
class Area:
    """A part of a level: its first row and column, and its size, in px of that level."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """The row behind the last one."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """The column behind the last one."""
        return self.left + self.width

    def grown(self, px: int, shape: tuple[int, int]) -> Area:
        """With so many px around it, as far as the picture reaches."""
        return self.joined(Area(self.top - px, self.left - px, self.height + 2 * px, self.width + 2 * px)).inside(shape)

    def joined(self, other: Area) -> Area:
        """The smallest area that holds both."""
        top, left = min(self.top, other.top), min(self.left, other.left)
        return Area(top, left, max(self.bottom, other.bottom) - top, max(self.right, other.right) - left)

    def inside(self, shape: tuple[int, int]) -> Area:
        """What of it lies inside a picture of (height, width)."""
        top, left = max(0, self.top), max(0, self.left)
        return Area(top, left, min(self.bottom, shape[0]) - top, min(self.right, shape[1]) - left)

    def seen_from(self, other: Area) -> Area:
        """The same px, counted from the first ones of another area."""
        return Area(self.top - other.top, self.left - other.left, self.height, self.width)

    def __str__(self) -> str:
        return f"{self.height} x {self.width} px at row {self.top}, column {self.left}"


class Levels(Protocol):
    """A pyramid that is read in parts."""

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """Height and width of each level, the largest first."""
        ...

    @property
    def mpp(self) -> float | None:
        """Micrometres a pixel of the largest level; None if the file does not say."""
        ...

    def read(self, level: int, area: Area) -> NDArray[Any]:
        """A part of a level, (h, w, 3) or (h, w); the area lies inside the level."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class WholePicture:
    """A picture that was read whole, as a pyramid of one level."""

    def __init__(self, pixels: NDArray[Any], mpp: float | None) -> None:
        self.pixels, self.mpp = pixels, mpp
        self.sizes: Sequence[tuple[int, int]] = [(pixels.shape[0], pixels.shape[1])]

    def read(self, level: int, area: Area) -> NDArray[Any]:
        """See `Levels.read`."""
        del level  # there is one
        return np.ascontiguousarray(self.pixels[area.top : area.bottom, area.left : area.right])

    def close(self) -> None:
        """Nothing is open."""


def check_sizes(path: Path, sizes: Sequence[tuple[int, int]]) -> None:
    """Refuse sizes that no scan has, and levels that are not smaller copies of the first.

    Raises:
        BadInput: as said.
    """
    (height, width), *rest = sizes
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise BadInput(f"{path}: found {height} x {width} px, expected 1 to {MAX_SIDE:,} on a side; export it again")
    for number, (rows, columns) in enumerate(rest, 1):
        shares = height / max(1, rows), width / max(1, columns)
        slack = max(shares) / min(rows, columns) if min(rows, columns) else np.inf  # a pixel more or less
        if not abs(shares[0] - shares[1]) <= slack + HALF * min(shares) / 10:
            raise BadInput(
                f"{path}: level {number} has {rows} x {columns} px and level 0 {height} x {width}; expected a smaller "
                "copy of it; the pyramid is broken, export it again"
            )


def check_area(path: Path, size: tuple[int, int], area: Area) -> None:
    """Refuse an area that is empty, too large to hold, or reaches beyond the level.

    Raises:
        BadInput: as said.
    """
    height, width = size
    if min(area.height, area.width) < 1 or min(area.top, area.left) < 0 or area.bottom > height or area.right > width:
        raise BadInput(f"{path}: a region of {area}: expected it inside the {height} x {width} px; choose another")
    if area.height * area.width > MAX_PIXELS:
        raise BadInput(
            f"{path}: {area.height} x {area.width} px are too many to read at once, expected at most {MAX_PIXELS:,}; "
            "give --region X,Y,WIDTH,HEIGHT or a coarser --level"
        )
