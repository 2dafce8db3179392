"""Which window the n-th training sample is: a pure function of the seed and n (docs/design.md).

A sample is a window of a tile with its layout, and a reference: the image that the style encoder sees. No
torch here; `sian.data.loading` makes batches of tensors of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from sian import seeds
from sian.errors import BadInput, nearest
from sian.layout import Layout, turn_image
from sian.windows import WINDOW, train_offsets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Positions = Literal["grid", "random"]
Placing = Literal["centre", "anywhere"]
PLACE_STEP = 32  # px; the coarsest level of generators that know places (SPADE's) has a pixel for so many


@dataclass(frozen=True, eq=False)
class Tile:
    """One annotated image, with the layout of the whole of it.

    Attributes:
        id: the item's name in its data set.
        organ: lower case English, e.g. "kidney".
        preparation: "ffpe", "frozen" or "unknown".
        image: (H, W, 3) uint8.
        layout: (H, W); `sian.layout.describe` of the whole instance mask.
        patient: who the tissue is from; None if unknown.
        weight: how often its windows are drawn beside other tiles'.
        ignored: (H, W) bool, pixels that are not compared; None for none.
    """

    id: str
    organ: str
    preparation: str
    image: NDArray[np.uint8]
    layout: Layout
    patient: str | None = None
    weight: float = 1.0
    ignored: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        height, width = self.layout.shape
        if self.image.shape != (height, width, 3) or self.image.dtype != np.uint8:
            raise BadInput(
                f"{self.id}: expected an RGB image of ({height}, {width}, 3) uint8 like its mask, found "
                f"{self.image.shape} {self.image.dtype}; give the image that the mask was drawn on"
            )


@dataclass(frozen=True, eq=False)
class Sample:
    """One training sample.

    Attributes:
        image: (size, size, 3) uint8.
        layout: (size, size).
        reference: (reference_size, reference_size, 3) uint8; what the style encoder sees.
        tile: which of the sampler's tiles it was cut from.
        place: first row and column of the sample in the window around it, in px, both as they were turned.
        ignored: (size, size) bool, pixels that are not compared; None for none.
    """

    image: NDArray[np.uint8]
    layout: Layout
    reference: NDArray[np.uint8]
    tile: int
    place: tuple[int, int] = (0, 0)
    ignored: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Place:
    """Where a window is cut, and how it is turned.

    Attributes:
        tile: which of the sampler's tiles.
        y: first row.
        x: first column.
        turns: quarter turns counter-clockwise, after the flip.
        flip: mirrored left and right.
    """

    tile: int
    y: int
    x: int
    turns: int
    flip: bool


class WindowSampler:
    """An endless, seeded stream of training windows that can be entered anywhere.

    Args:
        tiles: the tiles; every side at least as long as the window and the reference.
        size: side of the windows in pixels.
        reference_size: side of the references in pixels.
        positions: "grid" shows each window of `train_offsets` once an epoch, in an order fresh every epoch;
            "random" draws the tile by its weight, then the position uniformly.
        seed: the run's seed.
        turn: draw one of the eight flips and quarter turns for each sample.
        sibling: probability in [0, 1] that the reference is another window of the same tile, anywhere, with a
            turn of its own. Otherwise it is the window around the sample, turned alike, which contains the
            sample if it is at least as large.
        placing: where a sample that is smaller than its reference lies in it: at its "centre", as far as the tile
            allows, or "anywhere", in steps of 32 px.

    Raises:
        BadInput: no tiles, a tile smaller than a window, or an argument out of its range.
    """

    def __init__(
        self,
        tiles: Sequence[Tile],
        size: int = WINDOW,
        reference_size: int = WINDOW,
        positions: Positions = "grid",
        seed: int = 0,
        turn: bool = True,
        sibling: float = 0.0,
        placing: Placing = "centre",
    ) -> None:
        self.tiles = list(tiles)
        self.size = size
        self.reference_size = reference_size
        self.positions = positions
        self.seed = seed
        self.turn = turn
        self.sibling = sibling
        self.placing = placing
        self._check()
        self._grid = np.array(  # (windows, 3): tile, y, x
            [
                (number, y, x)
                for number, tile in enumerate(self.tiles)
                for y in train_offsets(tile.layout.shape[0], size)
                for x in train_offsets(tile.layout.shape[1], size)
            ]
        )

    @property
    def epoch_length(self) -> int:
        """Windows of the training grid, 100 a tile of 1000 px at 256 px; "random" counts alike."""
        return len(self._grid)

    def sample(self, index: int) -> Sample:
        """The sample number `index`, from 0; the same for ever, whatever was asked before.

        Args:
            index: at least 0; epoch `e` holds the samples from ``e * epoch_length``.
        """
        place = self.place(index)
        tile, y, x, turn = self.tiles[place.tile], place.y, place.x, (place.turns, place.flip)
        window = tile.layout.window(y, x, self.size, self.size).turned(*turn)
        image = turn_image(tile.image[y : y + self.size, x : x + self.size], *turn)
        top, left = self._around(index, tile, y, x)
        inside = _turned_place(y - top, x - left, self.reference_size - self.size, *turn)
        reference = self._reference(index, tile, top, left, turn)
        left_out = None
        if tile.ignored is not None:
            left_out = turn_image(tile.ignored[y : y + self.size, x : x + self.size], *turn)
        return Sample(image, window, reference, place.tile, inside, left_out)

    def place(self, index: int) -> Place:
        """Where the window of sample number `index` lies, for who cuts something else there."""
        return Place(*self._position(index), *self._turn(index, "turn"))

    def _position(self, index: int) -> tuple[int, int, int]:
        """Tile, row and column of a sample's window."""
        if self.positions == "grid":
            epoch, place = divmod(index, self.epoch_length)
            number, y, x = self._grid[_permutation(self.seed, epoch, self.epoch_length)[place]].tolist()
            return number, y, x
        random = seeds.generator(self.seed, "window", index)
        number = self._drawn(random)
        y, x = _anywhere(random, self.tiles[number].layout.shape, self.size)
        return number, y, x

    def _drawn(self, random: np.random.Generator) -> int:
        """A tile, by the tiles' weights."""
        weights = np.array([tile.weight for tile in self.tiles])
        if (weights == weights[0]).all():
            return int(random.integers(len(self.tiles)))
        return int(random.choice(len(self.tiles), p=weights / weights.sum()))

    def _turn(self, index: int, purpose: str) -> tuple[int, bool]:
        """Quarter turns and flip of a sample or of its reference."""
        if not self.turn:
            return 0, False
        random = seeds.generator(self.seed, purpose, index)
        return int(random.integers(4)), bool(random.integers(2))

    def _around(self, index: int, tile: Tile, y: int, x: int) -> tuple[int, int]:
        """First row and column of the reference window around the window at (y, x)."""
        size, outer, sides = self.size, self.reference_size, tile.layout.shape
        if self.placing == "centre" or size >= outer:
            top, left = (_around(start, size, outer, side) for start, side in zip((y, x), sides, strict=True))
            return top, left
        random = seeds.generator(self.seed, "place", index)
        top, left = (
            start - int(random.choice(_places(start, size, outer, side)))
            for start, side in zip((y, x), sides, strict=True)
        )
        return top, left

    def _reference(self, index: int, tile: Tile, top: int, left: int, turn: tuple[int, bool]) -> NDArray[np.uint8]:
        """The reference of a sample that was turned by `turn`; the window around it begins at (top, left)."""
        size, (height, width) = self.reference_size, tile.layout.shape
        random = seeds.generator(self.seed, "sibling", index)
        if random.random() < self.sibling:
            top, left = _anywhere(random, (height, width), size)
            turn = self._turn(index, "sibling turn")
        return turn_image(tile.image[top : top + size, left : left + size], *turn)

    def _check(self) -> None:
        """Refuse arguments that cannot be served."""
        if not self.tiles:
            raise BadInput("training windows: expected at least one tile, found none; check the data set's split")
        if self.positions not in get_args(Positions):
            known = nearest(self.positions, get_args(Positions))
            raise BadInput(f"positions: found {self.positions!r}{known}")
        if self.placing not in get_args(Placing):
            raise BadInput(f"placing: found {self.placing!r}{nearest(self.placing, get_args(Placing))}")
        if not 0 <= self.sibling <= 1:
            raise BadInput(f"sibling: expected a probability from 0 to 1, found {self.sibling}; 0.5 is half the time")
        needed = max(self.size, self.reference_size)
        for tile in self.tiles:
            if min(tile.layout.shape) < needed:
                height, width = tile.layout.shape
                raise BadInput(
                    f"{tile.id}: expected a tile of at least {needed} x {needed} px, found {height} x "
                    f"{width}; leave it out or train on smaller windows"
                )


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, length: int) -> NDArray[np.int64]:
    """The order of an epoch's windows."""
    return seeds.generator(seed, "epoch", epoch).permutation(length)


def _anywhere(random: np.random.Generator, shape: tuple[int, int], size: int) -> tuple[int, int]:
    """A uniformly random place of a window inside an image."""
    return int(random.integers(shape[0] - size + 1)), int(random.integers(shape[1] - size + 1))


def _around(start: int, size: int, outer: int, side: int) -> int:
    """Where a window of `outer` px around one of `size` px starts, moved into the tile if it must."""
    return min(max(start + size // 2 - outer // 2, 0), side - outer)


def _places(start: int, size: int, outer: int, side: int) -> list[int]:
    """Where in a window of `outer` px around it, inside the tile, a window of `size` px at `start` can begin.

    In steps of `PLACE_STEP`; where the tile's border allows none of them, as near to the middle as it can.
    """
    steps = range(0, outer - size + 1, PLACE_STEP)
    inside = [place for place in steps if 0 <= start - place <= side - outer]
    return inside or [start - _around(start, size, outer, side)]


def _turned_place(y: int, x: int, last: int, turns: int, flip: bool) -> tuple[int, int]:
    """Where a window at (y, x) begins once the square around it is turned; `last` is the last place in there."""
    x = last - x if flip else x
    for _ in range(turns):
        y, x = last - x, y
    return y, x
