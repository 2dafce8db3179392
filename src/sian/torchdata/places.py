"""Which item, which window of it and which turn sample i is: a pure function of the seed and i."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

from sian import seeds
from sian.errors import BadInput, nearest
from sian.windows import test_offsets, train_offsets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sian.torchdata.example import Source

Windows = Literal["cover", "grid", "random"]


@dataclass(frozen=True)
class Place:
    """A sample's window.

    Attributes:
        number: of the item.
        window: first row, first column, height, width; None for the whole item.
        turn: quarter turns, and whether it is flipped before.
    """

    number: int
    window: tuple[int, int, int, int] | None
    turn: tuple[int, bool]


class Places:
    """The places of all samples.

    Args:
        source: whose items are cut.
        size: side of the windows; None takes items whole.
        windows: "cover" as few as cover an item (the evaluation's), "grid" the training's, "random" anywhere.
        turn: draw one of the eight flips and quarter turns for each sample.
        length: how many samples; None for each item or window once, in order.
        seed: of positions, turns and orders.

    Raises:
        BadInput: an unknown kind of windows, or an item that is smaller than a window.
    """

    def __init__(
        self, source: Source, size: int | None, windows: Windows, turn: bool, length: int | None, seed: int
    ) -> None:
        if windows not in get_args(Windows):
            raise BadInput(f"windows: found {windows!r}{nearest(windows, get_args(Windows))}")
        self.size, self.turn, self.seed, self.source = size, turn, seed, source
        self.random = windows == "random" and size is not None
        self._shapes = [source.shape(number) for number in range(len(source))] if size is not None else []
        self._fixed = self._cut(train_offsets if windows != "cover" else test_offsets)
        self.ordered = length is None
        self.length = len(self._fixed) if length is None else length

    def __call__(self, index: int) -> Place:
        """The place of sample `index`, at least 0."""
        turn = (0, False)
        if self.turn:
            random = seeds.generator(self.seed, "turn", index)
            turn = int(random.integers(4)), bool(random.integers(2))
        if self.random and self.size is not None:
            random = seeds.generator(self.seed, "window", index)
            number = int(random.integers(len(self.source)))
            y, x = (int(random.integers(side - self.size + 1)) for side in self._shapes[number])
            return Place(number, (y, x, self.size, self.size), turn)
        one_pass, place = divmod(index, len(self._fixed))
        if not self.ordered:
            place = int(_order(self.seed, one_pass, len(self._fixed))[place])
        number, window = self._fixed[place]
        return Place(number, window, turn)

    def _cut(self, offsets: Callable[[int, int], list[int]]) -> list[tuple[int, tuple[int, int, int, int] | None]]:
        if self.size is None:
            return [(number, None) for number in range(len(self.source))]
        size, places = self.size, []
        for number, (height, width) in enumerate(self._shapes):
            if min(height, width) < size:
                raise BadInput(
                    f"{self.source.name}: item {number} has {height} x {width} px, expected at least {size} x {size} "
                    "for a window; choose a smaller size, or leave it out for whole items"
                )
            places += [(number, (y, x, size, size)) for y in offsets(height, size) for x in offsets(width, size)]
        return list(places)


@lru_cache(maxsize=4)
def _order(seed: int, one_pass: int, length: int) -> NDArray[np.int64]:
    """The order of one pass over everything."""
    return seeds.generator(seed, "pass", one_pass).permutation(length)
