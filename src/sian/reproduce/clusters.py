"""Where nuclei touch most: the places that the paper's Figures 2, 5 and 7 enlarge, found without looking.

The square that holds the most pairs of nuclei that touch, or nearly do, is a window's densest cluster; of several
windows those of different tiles are taken, the densest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sian.evaluation.arrays import Mask
    from sian.evaluation.scenes import Window

REACH = 3  # px; outlines of neighbours often leave a pixel or two between them
SIDE = 96  # px of the enlarged squares; a nucleus of MoNuSeg is about 20 px across


@dataclass(frozen=True)
class Cluster:
    """A square of a window.

    Attributes:
        index: of the window.
        y: its first row.
        x: its first column.
        side: in px.
        pairs: of touching nuclei, those on its edge in part.
    """

    index: int
    y: int
    x: int
    side: int
    pairs: float

    @property
    def area(self) -> tuple[slice, slice]:
        """Rows and columns, to index a picture with."""
        return slice(self.y, self.y + self.side), slice(self.x, self.x + self.side)


def contacts(mask: Mask, reach: int = REACH) -> NDArray[np.float64]:
    """Where nuclei touch: 1 for each pair, shared by the pixels that have the other one to their right or below.

    Args:
        mask: (H, W) integer, 0 background.
        reach: how far to the right or below, in px; 1 for what touches.

    Returns:
        (H, W).

    >>> contacts(np.array([[1, 2, 0], [1, 1, 0]]), reach=1).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]
    """
    right = [(mask[:, :-step], mask[:, step:]) for step in range(1, reach + 1)]
    down = [(mask[:-step], mask[step:]) for step in range(1, reach + 1)]
    places, pairs = [], []
    for here, there in (*right, *down):
        y, x = np.nonzero((here != there) & (here > 0) & (there > 0))
        places.append(np.stack([y, x], 1))
        pairs.append(np.sort(np.stack([here[y, x], there[y, x]], 1), 1))
    found = np.zeros(mask.shape, np.float64)
    where = np.concatenate(places)
    _, pair, counts = np.unique(np.concatenate(pairs), axis=0, return_inverse=True, return_counts=True)
    np.add.at(found, (where[:, 0], where[:, 1]), 1 / counts[pair.reshape(-1)])
    return found


def densest(mask: Mask, side: int = SIDE) -> tuple[int, int, float]:
    """The square with the most touching pairs: its first row and column, and their number; the first of equals.

    Args:
        mask: (H, W), both at least `side`.
        side: of the square, in px.
    """
    sums = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1))
    sums[1:, 1:] = contacts(mask).cumsum(0).cumsum(1)
    squares = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    squares = squares.round(6)  # sums of fractions: equals are equal
    y, x = (int(place) for place in np.unravel_index(int(squares.argmax()), squares.shape))
    return y, x, float(squares[y, x])


def clusters(windows: Sequence[Window], count: int, side: int = SIDE) -> list[Cluster]:
    """The densest clusters of so many different tiles, the densest first; fewer if there are fewer tiles."""
    found = sorted(
        (Cluster(index, y, x, side, n) for index, w in enumerate(windows) for y, x, n in [densest(w.mask, side)]),
        key=lambda cluster: (-cluster.pairs, cluster.index),
    )
    chosen: dict[str, Cluster] = {}
    for cluster in found:
        chosen.setdefault(windows[cluster.index].tile, cluster)
    return list(chosen.values())[:count]
