"""Draw nuclei that may press against one another: who owns a pixel, who touches whom, and whole pieces only.

A nucleus is known by its depth: how far inside of its outline a pixel lies, in pixels, below 0 outside. Where two
overlap, a pixel belongs to the one it lies deeper in, so that the border runs through the middle of what they
share, as between cells that press against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sian.nuclei.statistics import contacts

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Depths:
    """Pixels inside of nuclei, in any order, a pixel perhaps several times.

    Attributes:
        pixel: (m,) int64 place in the flattened mask.
        nucleus: (m,) int64 number from 0.
        depth: (m,) px inside of the nucleus' outline, at least 0.
    """

    pixel: Integers
    nucleus: Integers
    depth: Floats


@dataclass(frozen=True)
class Patches:
    """The pixels of the mask in a square around each of some nuclei, flattened.

    Attributes:
        pixel: (m,) int64 place in the flattened mask.
        nucleus: (m,) int64 which of the nuclei, counted from 0.
        dy: (m,) px from the nucleus' centre.
        dx: (m,).
    """

    pixel: Integers
    nucleus: Integers
    dy: Floats
    dx: Floats


def patches(y: Floats, x: Floats, reach: Floats, height: int, width: int) -> Patches:
    """The pixels within `reach` of each centre, a square each, cut at the mask's border.

    Args:
        y: (n,) centres; a pixel's centre is at + 0.5.
        x: (n,).
        reach: (n,) px.
        height: of the mask.
        width: of the mask.
    """
    top, left = np.clip(np.floor(y - reach), 0, height), np.clip(np.floor(x - reach), 0, width)
    bottom, right = np.clip(np.ceil(y + reach), 0, height), np.clip(np.ceil(x + reach), 0, width)
    rows, columns = (bottom - top).astype(np.int64), (right - left).astype(np.int64)
    sizes = rows * columns
    nucleus = np.repeat(np.arange(len(y)), sizes)
    place = np.arange(len(nucleus)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    row, column = np.divmod(place, np.maximum(columns, 1)[nucleus])
    row += top.astype(np.int64)[nucleus]
    column += left.astype(np.int64)[nucleus]
    return Patches(row * width + column, nucleus, row + 0.5 - y[nucleus], column + 0.5 - x[nucleus])


def draw(parts: Iterable[Depths], cluster: Integers, height: int, width: int) -> npt.NDArray[np.int32]:
    """Nuclei to an instance mask.

    Nuclei of one cluster may touch; between those of different clusters a gap of a pixel is cut. A nucleus that
    others, the gap or the border would leave in several pieces keeps its largest.

    Args:
        parts: what each nucleus covers.
        cluster: (n,) each nucleus' cluster.
        height: of the mask.
        width: of the mask.

    Returns:
        (height, width) int32: 0 background, 1..n without gaps, each nucleus in one piece.
    """
    deepest = np.zeros(height * width)
    owner = np.full(height * width, -1, np.int64)
    for part in parts:
        order = np.argsort(part.depth, kind="stable")  # of equal places the last assignment stays: the deepest
        pixel, nucleus, depth = part.pixel[order], part.nucleus[order], part.depth[order]
        above = depth > deepest[pixel]
        owner[pixel[above]] = nucleus[above]
        deepest[pixel[above]] = depth[above]
    mask = (owner + 1).reshape(height, width).astype(np.int32)
    _separate(mask, cluster)
    return _whole_pieces(mask)


def _separate(mask: npt.NDArray[np.int32], cluster: Integers) -> None:
    """Clear the pixels with which a nucleus touches one of another cluster and of a smaller id."""
    pairs = contacts(mask)
    apart = cluster[pairs[:, 0] - 1] != cluster[pairs[:, 1] - 1]
    if not apart.any():
        return
    of = np.concatenate([[-1], cluster])
    padded = np.pad(mask, 1)
    inner = padded[1:-1, 1:-1]
    clear = np.zeros(mask.shape, np.bool_)
    height, width = mask.shape
    for down in (0, 1, 2):
        for right in (0, 1, 2):
            other = padded[down : down + height, right : right + width]
            clear |= (other < inner) & (other > 0) & (of[other] != of[inner])
    mask[clear] = 0


def _whole_pieces(mask: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The largest piece of each nucleus (pixels that share a side), numbered 1..n in the order of ids."""
    from skimage.measure import label

    labels = label(mask, connectivity=1)  # type: ignore[no-untyped-call]
    sizes = np.bincount(labels.ravel())
    first = np.zeros(len(sizes), np.int64)
    first[labels.ravel()[::-1]] = np.arange(labels.size)[::-1]
    owners = mask.ravel()[first]
    order = np.lexsort((sizes, owners))  # by nucleus, the largest piece last
    order = order[order > 0]  # 0 is the background
    last = np.ones(len(order), np.bool_)
    last[:-1] = owners[order][1:] != owners[order][:-1]
    number = np.zeros(len(sizes), np.int32)
    number[order[last]] = np.arange(1, int(last.sum()) + 1)
    renumbered: npt.NDArray[np.int32] = number[labels]
    return renumbered
