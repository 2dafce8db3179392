"""What `sian data inspect` finds in the files of each item, kept so that ten million items fit in memory."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from sian.data.dataset import Item

HASH = 32  # bytes of a SHA-256


@dataclass(frozen=True)
class ItemFacts:
    """What was found in one item's files.

    Attributes:
        item: its line in the manifest.
        mask_dtype: of the mask as stored, e.g. "uint16".
        nuclei: ids found in the mask.
        highest_id: above `nuclei` when ids have gaps.
        median_area: pixels; nan without nuclei.
        smallest_area: pixels; 0 without nuclei.
        in_pieces: nuclei that lie in several separate pieces.
        sha256_image: of the pixels found.
    """

    item: Item
    mask_dtype: str
    nuclei: int
    highest_id: int
    median_area: float
    smallest_area: int
    in_pieces: int
    sha256_image: str


class FactTable(Sequence[ItemFacts]):
    """The facts of any number of items in columns, some seventy bytes an item; each is made when it is asked for.

    Args:
        items: of the data set.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items
        self._places, self._dtypes = array("q"), list[str]()
        self.nuclei, self.highest_id, self.smallest_area, self.in_pieces = (array("q") for _ in range(4))
        self.median_area = array("d")
        self._hashes = bytearray()  # 32 bytes an item

    def add(self, place: int, facts: ItemFacts) -> None:
        """Take the facts of the item at a place."""
        self._places.append(place)
        self._dtypes.append(sys.intern(facts.mask_dtype))
        for name in ("nuclei", "highest_id", "smallest_area", "in_pieces", "median_area"):
            getattr(self, name).append(getattr(facts, name))
        self._hashes += bytes.fromhex(facts.sha256_image)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, number: int) -> ItemFacts: ...
    @overload
    def __getitem__(self, number: slice) -> tuple[ItemFacts, ...]: ...
    def __getitem__(self, number: int | slice) -> ItemFacts | tuple[ItemFacts, ...]:
        if isinstance(number, slice):
            return tuple(self[one] for one in range(len(self))[number])
        number = range(len(self))[number]
        return ItemFacts(
            item=self._items[self._places[number]],
            mask_dtype=self._dtypes[number],
            nuclei=self.nuclei[number],
            highest_id=self.highest_id[number],
            median_area=self.median_area[number],
            smallest_area=self.smallest_area[number],
            in_pieces=self.in_pieces[number],
            sha256_image=self._hashes[HASH * number : HASH * (number + 1)].hex(),
        )

    def names(self, chosen: npt.NDArray[np.bool_]) -> Iterator[str]:
        """The ids of chosen facts' items."""
        return (self._items[self._places[number]].id for number in np.flatnonzero(chosen))

    def same_images(self) -> Iterator[Sequence[int]]:
        """The places of the items of each image that is there several times, in the order of the first of them."""
        hashes = np.frombuffer(bytes(self._hashes), ">u8").reshape(-1, HASH // 8)
        order = np.lexsort(tuple(hashes.T[::-1]))  # stable: equal ones stay in the order of the data set
        equal = (hashes[order[1:]] == hashes[order[:-1]]).all(1)
        edges = np.flatnonzero(np.diff(equal, prepend=False, append=False)).reshape(-1, 2)
        groups = (order[first : last + 1] for first, last in edges)
        for group in sorted(groups, key=lambda group: int(group[0])):
            yield [self._places[number] for number in group]
