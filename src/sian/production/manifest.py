"""``manifest.jsonl``: one line a shard, written when the shard's files are whole; the line is what makes it exist.

A line says: shard, files, their bytes, their SHA-256, the version of SIAN that made it, a record of every image kept
("items"), of every image that the gate refused ("rejected", with the reason) and of every one that could not be made
("failed"). A killed writer leaves at most an unfinished last line, which is cut off. A complete data set has its lines
in order.

Manifests grow to gigabytes: they are read line by line, and what is kept of a line is where it stands and how much it
lists.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sian.data.dataset import ITEMS, Item
from sian.errors import BadInput
from sian.files.atomic import atomic_file

MANIFEST = "manifest.jsonl"
ITEM_KEYS = frozenset(Item.model_fields)

FileName = Annotated[str, Field(pattern=r"^(images|masks|shards)/[^/\\:]+$")]
Kind = Literal["items", "rejected", "failed"]

_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


class ShardLine(BaseModel):
    """One line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shard: int = Field(ge=0)
    files: list[FileName]
    bytes: list[int]
    sha256: str
    version: str = ""  # the first versions did not say
    items: list[dict[str, Any]]
    rejected: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []

    def text(self) -> str:
        """The line."""
        return _to_json(self.model_dump()) + "\n"

    def item_lines(self) -> str:
        """The lines of its items in a data set's ``items.jsonl``."""
        return "".join(_to_json(_of_item(record)) + "\n" for record in self.items)


class ShardEntry(NamedTuple):
    """What is kept of a line.

    Attributes:
        offset: of its first byte in the file.
        length: in bytes.
        items: how many images are in the shard.
        rejected: how many the gate refused.
        failed: how many could not be made.
        version: of SIAN that made it.
        there: whether its files were there, and of the right size, when the line was read.
    """

    offset: int
    length: int
    items: int
    rejected: int
    failed: int
    version: str
    there: bool

    @property
    def whole(self) -> bool:
        """Whether nothing of it needs to be made again; contents are `verify`'s affair."""
        return self.there and not self.failed


@dataclass(frozen=True, eq=False)
class Records(Collection[dict[str, Any]]):
    """The records of a kind in a manifest, in its order; each is read when it is asked for."""

    manifest: Manifest
    kind: Kind

    def __len__(self) -> int:
        return sum(getattr(entry, self.kind) for entry in self.manifest.entries.values())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        shards = (number for number, entry in self.manifest.entries.items() if getattr(entry, self.kind))
        return (record for line in self.manifest.lines(shards) for record in getattr(line, self.kind))

    def __contains__(self, record: object) -> bool:
        return any(record == known for known in self)

    def __repr__(self) -> str:
        return f"Records({str(self.manifest.path)!r}, {len(self)} {self.kind})"


class Manifest:
    """The shards of a folder that exist.

    Args:
        folder: of the data set.
        with_items: whether ``items.jsonl`` is kept as well, for the form that is a data set of folders.

    Attributes:
        entries: by number of the shard.

    Raises:
        BadInput: a line that `sian dataset` did not write.
    """

    def __init__(self, folder: Path, with_items: bool = False) -> None:
        self.folder, self.with_items = folder, with_items
        self.path = folder / MANIFEST
        self.entries: dict[int, ShardEntry] = {}
        self._size = 0  # of the file, in bytes
        for number, text in self._read():
            if text.endswith(b"\n") and text.strip():
                self._enter(number, text)
            self._size += len(text)

    def __len__(self) -> int:
        return len(self.entries)

    def lines(self, shards: Iterable[int] | None = None) -> Iterator[ShardLine]:
        """These shards' lines, or all of them in the order of the file, read one by one."""
        for number, text in self._texts(self.entries if shards is None else shards):
            try:
                yield ShardLine.model_validate_json(text)
            except ValidationError as error:
                raise self._complaint(f"shard {number}", error) from None

    def gaps(self, shards: int) -> list[range]:
        """Which of the plan's shards are missing or not whole, as few ranges."""
        whole = sorted(number for number, entry in self.entries.items() if entry.whole and number < shards)
        return [range(last + 1, next_) for last, next_ in pairwise([-1, *whole, shards]) if next_ > last + 1]

    def repair(self) -> None:
        """Cut off what a killed writer left, and forget the shards that are not whole."""
        self.entries = {number: entry for number, entry in self.entries.items() if entry.whole}
        self._write_if_changed()
        self._write_items_if_changed()

    def add(self, line: ShardLine) -> None:
        """Make a shard exist."""
        text = line.text()
        _append(self.path, text)
        length = len(text.encode())
        counts = len(line.items), len(line.rejected), len(line.failed)
        self.entries[line.shard] = ShardEntry(self._size, length, *counts, line.version, True)
        self._size += length
        if self.with_items:
            _append(self.folder / ITEMS, line.item_lines())

    def finish(self) -> None:
        """Put the lines in order."""
        self.entries = dict(sorted(self.entries.items()))
        if self._write_if_changed():
            self._write_items_if_changed()

    def _read(self) -> Iterator[tuple[int, bytes]]:
        """The file's lines with their numbers from 1, a last one that is cut off included."""
        try:
            with self.path.open("rb") as stream:
                yield from enumerate(stream, start=1)
        except FileNotFoundError:
            return
        except OSError as error:
            raise BadInput(f"{self.path}: cannot be read ({error.strerror or error}); check the file") from error

    def _enter(self, number: int, text: bytes) -> None:
        try:
            line = _Scanned.model_validate_json(text)
        except ValidationError as error:
            raise self._complaint(f"line {number}", error) from None
        counts = len(line.items), len(line.rejected), len(line.failed)
        there = all(_size(f"{self.folder}/{f}") == n for f, n in zip(line.files, line.bytes, strict=True))
        self.entries[line.shard] = ShardEntry(self._size, len(text), *counts, sys.intern(line.version), there)

    def _texts(self, shards: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        if not self.entries:
            return
        with self.path.open("rb") as stream:
            for number in shards:
                entry = self.entries[number]
                stream.seek(entry.offset)
                yield number, stream.read(entry.length)

    def _write_if_changed(self) -> bool:
        if self._in_place():
            return False
        with atomic_file(self.path) as temporary, temporary.open("wb") as stream:
            stream.writelines(text for _, text in self._texts(self.entries))
        self._size = 0
        for number, entry in self.entries.items():
            self.entries[number] = entry._replace(offset=self._size)
            self._size += entry.length
        return True

    def _in_place(self) -> bool:
        """Whether the file is these lines in this order, and nothing else."""
        size = 0
        for entry in self.entries.values():
            if entry.offset != size:
                return False
            size += entry.length
        return size == self._size

    def _write_items_if_changed(self) -> None:
        if not self.with_items or self._same_items():
            return
        with atomic_file(self.folder / ITEMS) as temporary, temporary.open("wb") as stream:
            stream.writelines(self._item_lines())

    def _same_items(self) -> bool:
        try:
            with (self.folder / ITEMS).open("rb") as stream:
                return all(stream.read(len(part)) == part for part in self._item_lines()) and not stream.read(1)
        except FileNotFoundError:
            return not any(entry.items for entry in self.entries.values())

    def _item_lines(self) -> Iterator[bytes]:
        return (line.item_lines().encode() for line in self.lines())

    def _complaint(self, where: str, error: ValidationError) -> BadInput:
        problem = error.errors()[0]
        return BadInput(
            f"{self.path}, {where}: {'.'.join(map(str, problem['loc'])) or 'the line'}: {problem['msg']}; "
            "expected what `sian dataset` wrote; remove that line, and its shard is made again"
        )


class _Record(Item):
    """An item's record as far as it is an item: ids are names, and paths stay in the folder."""

    model_config = ConfigDict(extra="ignore")


class _Scanned(BaseModel):
    """A line, checked in one go while it is read; a dictionary for each record would cost as much again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shard: int = Field(ge=0)
    files: list[FileName]
    bytes: list[int]
    sha256: str
    version: str = ""
    items: list[_Record]
    rejected: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []

    @model_validator(mode="after")
    def _a_size_a_file(self) -> Self:
        if len(self.files) != len(self.bytes):
            raise ValueError(f"found {len(self.files)} files and sizes of {len(self.bytes)}")
        return self


def _size(path: str) -> int:
    """Bytes of a file, -1 if it is not there."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _of_item(record: dict[str, Any]) -> dict[str, Any]:
    """What of a record stands in a data set's ``items.jsonl``."""
    return {key: value for key, value in record.items() if key in ITEM_KEYS}


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8", newline="\n") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
