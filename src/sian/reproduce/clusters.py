"""Where nuclei touch most: the places that the paper's Figures 2, 5 and 7 enlarge, found without looking.

A contact is a pixel whose right or lower neighbour belongs to another nucleus. The square with the most contacts is a
window's densest cluster; of several windows those of different tiles are taken, the densest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sian.evaluation.arrays import Mask
    from sian.evaluation.scenes import Window

SIDE = 96  # px of the enlarged squares; a nucleus of MoNuSeg is about 20 px across


@dataclass(frozen=True)
class Cluster:
    """A square of a window.

    Attributes:
        index: of the window.
        y: its first row.
        x: its first column.
        side: in px.
        contacts: how many pixels touch another nucleus.
    """

    index: int
    y: int
    x: int
    side: int
    contacts: int

    @property
    def area(self) -> tuple[slice, slice]:
        """Rows and columns, to index a picture with."""
        return slice(self.y, self.y + self.side), slice(self.x, self.x + self.side)


def contacts(mask: Mask) -> Mask:
    """Which pixels have another nucleus to the right or below.

    Args:
        mask: (H, W) integer, 0 background.

    Returns:
        (H, W) bool.

    >>> contacts(np.array([[1, 2, 0], [1, 1, 0]])).astype(int).tolist()
    [[1, 1, 0], [0, 0, 0]]
    """
    found = np.zeros(mask.shape, bool)
    for here, there in (((slice(None), slice(-1)), (slice(None), slice(1, None))), (slice(-1), slice(1, None))):
        found[here] |= (mask[here] != mask[there]) & (mask[here] > 0) & (mask[there] > 0)
    return found


def densest(mask: Mask, side: int = SIDE) -> tuple[int, int, int]:
    """The square with the most contacts: its first row and column, and their number; the first of equals.

    Args:
        mask: (H, W), both at least `side`.
        side: of the square, in px.
    """
    sums = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int64)
    sums[1:, 1:] = contacts(mask).cumsum(0).cumsum(1)
    squares = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    y, x = (int(place) for place in np.unravel_index(int(squares.argmax()), squares.shape))
    return y, x, int(squares[y, x])


def clusters(windows: Sequence[Window], count: int, side: int = SIDE) -> list[Cluster]:
    """The densest clusters of so many different tiles, the densest first; fewer if there are fewer tiles."""
    found = sorted(
        (Cluster(index, y, x, side, n) for index, w in enumerate(windows) for y, x, n in [densest(w.mask, side)]),
        key=lambda cluster: (-cluster.contacts, cluster.index),
    )
    chosen: dict[str, Cluster] = {}
    for cluster in found:
        chosen.setdefault(windows[cluster.index].tile, cluster)
    return list(chosen.values())[:count]
