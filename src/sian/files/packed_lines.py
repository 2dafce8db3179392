"""Lines of text in little memory: compressed in blocks, each line parsed when it is asked for.

Ten million items of a data set would take thirty gigabytes as objects, and take two as this. A block is opened for each
line that is not in the block opened last, so that going through all lines is as quick as it can be, and one at random
costs a tenth of a millisecond.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar, overload

BLOCK = 64  # lines; more are hardly smaller, and slower to open
QUICK = 1  # of zlib's levels

T = TypeVar("T")


class PackedLines(Sequence[T]):
    """A sequence of what lines mean.

    Args:
        lines: bytes without a newline in them.
        parse: gives the value of a line; a function that can be pickled, so that this can be.

    >>> squares = PackedLines([b"1", b"4", b"9"], int)
    >>> len(squares), squares[-1], list(squares)
    (3, 9, [1, 4, 9])
    """

    def __init__(self, lines: Iterable[bytes], parse: Callable[[bytes], T]) -> None:
        self._parse = parse
        self._blocks: list[bytes] = []
        self._length = 0
        self._opened: tuple[int, list[bytes]] = (-1, [])
        coming = iter(lines)
        while block := list(islice(coming, BLOCK)):
            self._blocks.append(zlib.compress(b"\n".join(block), QUICK))
            self._length += len(block)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[T, ...]: ...
    def __getitem__(self, place: int | slice) -> T | tuple[T, ...]:
        if isinstance(place, slice):
            return tuple(self[number] for number in range(self._length)[place])
        block, line = divmod(range(self._length)[place], BLOCK)
        return self._parse(self._lines(block)[line])

    def __iter__(self) -> Iterator[T]:
        return map(self._parse, self._all_lines())

    def where(self, wanted: Callable[[T], bool]) -> PackedLines[T]:
        """Those whose value is wanted, packed again."""
        return PackedLines((line for line in self._all_lines() if wanted(self._parse(line))), self._parse)

    def _all_lines(self) -> Iterator[bytes]:
        for block in range(len(self._blocks)):
            yield from self._lines(block)

    def _lines(self, block: int) -> list[bytes]:
        number, lines = self._opened
        if number != block:
            lines = zlib.decompress(self._blocks[block]).split(b"\n")
            self._opened = block, lines  # one assignment: threads may read side by side
        return lines
