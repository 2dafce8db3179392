"""Which style each image of a plan has: a shuffled deck of a byte a card, and a count of the cards at every bookmark.

A plan of ten million images has to begin in little memory. The shuffle cannot be computed for one card alone, so
the deck is kept; which of its style's images a card is follows from the bookmark before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sian import seeds

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

BOOKMARK = 4096  # cards between two bookmarks: as many as are counted in a microsecond
CARDS_A_COUNT = 16  # with many styles, so that the bookmarks take less than the deck


class StyleOrder:
    """The styles of a plan, spread over the whole of it, so that every shard is a fair sample.

    Args:
        counts: how many images each style has.
        seed: the plan's.
    """

    def __init__(self, counts: Sequence[int], seed: int) -> None:
        self._styles, self._images = len(counts), sum(counts)
        self._step = max(BOOKMARK, CARDS_A_COUNT * self._styles)
        if self._styles == 1:
            return  # number and rank are one
        smallest = np.min_scalar_type(self._styles - 1)
        self._deck: npt.NDArray[np.unsignedinteger] = np.repeat(np.arange(self._styles, dtype=smallest), counts)
        seeds.generator(seed, "order of styles").shuffle(self._deck)  # draws the same for any type of card
        self._before = self._bookmarks()

    def place(self, number: int) -> tuple[int, int]:
        """An image's style, and which of that style's images it is, both from 0."""
        if self._styles == 1:
            return 0, number
        style, mark = self._deck[number], number // self._step
        since = int(np.count_nonzero(self._deck[mark * self._step : number] == style))
        return int(style), int(self._before[mark, style]) + since

    def _bookmarks(self) -> npt.NDArray[np.int64]:
        """How many cards of each style lie before every bookmark: (bookmarks, styles)."""
        starts = range(0, self._images, self._step)
        between = [np.bincount(self._deck[at : at + self._step], minlength=self._styles) for at in starts]
        return np.cumsum([np.zeros(self._styles, np.int64), *between[:-1]], axis=0)
