"""Confidence intervals of scores by test tile and by seed: bootstrap over both at once.

Test tiles are few and differ more than methods do, and so do seeds; windows of one tile are not independent, so that
nothing finer than tiles is drawn. Differences of two rows are taken for each tile and seed first, and then drawn:
tiles that are hard for both count for neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sian import seeds as streams

if TYPE_CHECKING:
    from numpy.typing import NDArray

DRAWS = 4000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and the interval that 95 % of the bootstrap's means lie in, or more where a choice was made.

    Attributes:
        mean: over seeds and tiles.
        low: 2.5 % lie below.
        high: 2.5 % lie above.
    """

    mean: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 or -1 if the whole interval lies above or below 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)


def level(choices: int = 1) -> float:
    """Of an interval whose scores were picked among so many, so that all of them together hold at 95 % (Bonferroni).

    >>> round(level(3), 4)
    0.9833
    """
    return 1 - (1 - LEVEL) / choices


def interval(scores: NDArray[np.float64], draws: int = DRAWS, choices: int = 1) -> Interval:
    """Draw seeds and tiles with replacement, and take the mean each time.

    Args:
        scores: (seeds, tiles); nan where a tile has no score.
        draws: of the bootstrap.
        choices: among how many these scores were picked by what they are; see `level`.

    >>> interval(np.full((2, 3), 0.5))
    Interval(mean=0.5, low=0.5, high=0.5)
    """
    random = streams.generator(0, "table4 bootstrap")
    n_seeds, n_tiles = scores.shape
    known = ~np.isnan(scores)
    values = np.where(known, scores, 0.0)
    seeds = _counts(random.integers(n_seeds, size=(draws, n_seeds)), n_seeds)  # (draws, seeds): how often each
    tiles = _counts(random.integers(n_tiles, size=(draws, n_tiles)), n_tiles)
    total = np.einsum("ds,st,dt->d", seeds, values, tiles)
    count = np.einsum("ds,st,dt->d", seeds, known.astype(float), tiles)
    means = total[count > 0] / count[count > 0]
    low, high = np.quantile(means, [(1 - level(choices)) / 2, (1 + level(choices)) / 2])
    return Interval(float(np.nanmean(scores)), float(low), float(high))


def _counts(drawn: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """(draws, k) indices to (draws, n) how often each was drawn."""
    return np.stack([(drawn == which).sum(1) for which in range(n)], 1).astype(float)
