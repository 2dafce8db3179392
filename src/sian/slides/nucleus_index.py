"""Where each nucleus of a large mask lies, by one walk over it: id, bounding box, area.

With it a part of the mask is described as the whole would be: `around` says which part has to be read so that every
nucleus in an area is whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sian.errors import BadInput
from sian.masks import nucleus_ids
from sian.slides.levels import Area

BLOCK = 2048  # px of a side of what is read at once
LARGEST_NUCLEUS = 512  # px of a side of a nucleus' box; 128 um at 0.25 um a pixel
SHARE_OF_LARGE = "its tiles may number their nuclei anew each, or it holds classes; number the nuclei through first"


class ReadsIds(Protocol):
    """What the index needs of a mask; see `MaskSource`."""

    path: Path
    shape: tuple[int, int]

    def read(self, area: Area) -> NDArray[np.int32]:
        """The ids of an area."""
        ...


@dataclass(frozen=True, eq=False)
class NucleusIndex:
    """All n nuclei of a mask, by ascending id.

    Attributes:
        shape: of the mask.
        ids: (n,) int64.
        boxes: (n, 4) int64: top, left, bottom, right.
        areas: (n,) int64 px.
    """

    shape: tuple[int, int]
    ids: NDArray[np.int64]
    boxes: NDArray[np.int64]
    areas: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def around(self, area: Area) -> Area:
        """The area with a pixel around it, and all of each nucleus whose box touches it."""
        top, left, bottom, right = self.boxes.T
        touching = (top < area.bottom) & (bottom > area.top) & (left < area.right) & (right > area.left)
        grown = area.grown(1, self.shape)
        if not touching.any():
            return grown
        first = self.boxes[touching, :2].min(axis=0)
        last = self.boxes[touching, 2:].max(axis=0)
        return grown.joined(Area(int(first[0]), int(first[1]), int(last[0] - first[0]), int(last[1] - first[1])))

    @property
    def digest(self) -> str:
        """SHA-256 of size, ids, boxes and areas: another mask has another one."""
        found = hashlib.sha256(np.array(self.shape, np.int64).tobytes())
        for part in (self.ids, self.boxes, self.areas):
            found.update(np.ascontiguousarray(part).tobytes())
        return found.hexdigest()


def index_nuclei(
    mask: ReadsIds, report: Callable[[int, int], None] | None = None, block: int = BLOCK, largest: int = LARGEST_NUCLEUS
) -> NucleusIndex:
    """Walk over a mask once.

    Args:
        mask: opened.
        report: called with (blocks done, blocks in all).
        block: px of a side of what is read at once.
        largest: px of a side of a nucleus' box.

    Raises:
        BadInput: broken, not ids, or a nucleus whose box is larger than that, as where ids occur twice.
    """
    height, width = mask.shape
    places = [(top, left) for top in range(0, height, block) for left in range(0, width, block)]
    parts: list[NDArray[np.int64]] = []  # each (n, 6): id, top, left, bottom, right, area
    for done, (top, left) in enumerate(places, 1):
        area = Area(top, left, block, block).inside(mask.shape)
        parts.append(_boxes(mask.read(area), area))
        if report:
            report(done, len(places))
    found = _merged(np.concatenate(parts) if parts else np.zeros((0, 6), np.int64))
    index = NucleusIndex((height, width), found[:, 0], np.ascontiguousarray(found[:, 1:5]), found[:, 5])
    _check_sizes(mask.path, index, largest)
    return index


def _boxes(ids: NDArray[np.int32], area: Area) -> NDArray[np.int64]:
    """The nuclei of one block."""
    from scipy.ndimage import find_objects

    known = nucleus_ids(ids)
    numbers = _numbered(ids, known)
    counts = np.bincount(numbers.ravel(), minlength=len(known) + 1)[1:]
    rows = [
        (int(nucleus), cut[0].start, cut[1].start, cut[0].stop, cut[1].stop, int(count))
        for nucleus, cut, count in zip(known, find_objects(numbers), counts, strict=True)
    ]
    found = np.array(rows, np.int64).reshape(-1, 6)
    found[:, 1:5] += (area.top, area.left, area.top, area.left)
    return found


def _numbered(ids: NDArray[np.int32], known: NDArray[np.int64]) -> NDArray[np.int32]:
    """The ids as 1, 2, ... in their order; the background stays 0."""
    highest = int(known[-1]) if len(known) else 0
    if highest > 4 * ids.size:
        return np.where(ids > 0, np.searchsorted(known, ids) + 1, 0).astype(np.int32)
    table = np.zeros(highest + 1, np.int32)
    table[known] = np.arange(1, len(known) + 1)
    return table[ids]


def _merged(found: NDArray[np.int64]) -> NDArray[np.int64]:
    """One row a nucleus, of which several blocks may have found parts."""
    found = found[np.argsort(found[:, 0], kind="stable")]
    if not len(found):
        return found
    start = np.flatnonzero(np.diff(found[:, 0], prepend=-1))
    columns: list[tuple[Any, int]] = [
        (np.minimum, 1), (np.minimum, 2), (np.maximum, 3), (np.maximum, 4), (np.add, 5),
    ]  # fmt: skip
    return np.stack([found[start, 0], *(how.reduceat(found[:, column], start) for how, column in columns)], axis=1)


def _check_sizes(path: Path, index: NucleusIndex, largest: int) -> None:
    sides = index.boxes[:, 2:] - index.boxes[:, :2]
    large = np.flatnonzero((sides > largest).any(axis=1))
    if len(large):
        first = int(large[0])
        raise BadInput(
            f"{path}: nucleus {index.ids[first]} reaches over {sides[first, 0]} x {sides[first, 1]} px, expected at "
            f"most {largest} ({len(large)} of {len(index)} do): {SHARE_OF_LARGE}"
        )
