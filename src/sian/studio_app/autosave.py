"""The autosave: every step is on disk before the page hears of it, so that a killed server loses nothing drawn.

A file of records, each with its length and checksum: what a killed writer left half written is cut off. Reading it
does all steps again, undone ones included. Steps reach the operating system at once, not the disk itself: a power cut
may lose the last seconds.
"""

from __future__ import annotations

import json
import math
import shutil
import struct
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import of_system
from sian.studio_app.document import Document, Patch, Setting

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = b"sian.studio/1\n"
HEAD = struct.Struct("<II")  # length and CRC-32 of what follows
MOST_BYTES = 1 << 30  # of a journal that is read again
MOST_RECORD = 1 << 29


@dataclass
class Restored:
    """What a journal held.

    Attributes:
        document: with its history, its name and its settings; None if the journal held no mask.
        seen: by page, the number of its last gesture that was done.
    """

    document: Document | None = None
    seen: dict[str, int] = field(default_factory=dict)


class Journal:
    """Appends to an autosave.

    Args:
        path: the file; made if it is missing. What of it cannot be read is copied aside first.

    Attributes:
        aside: that copy; None where all could be read.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        whole = _whole_length(path)
        self.aside = _copied_aside(path) if path.exists() and path.stat().st_size > whole else None
        self._stream = path.open("r+b" if path.exists() else "w+b", buffering=0)
        self._end = whole
        self._stream.truncate(whole)
        self._stream.seek(whole)
        if not whole:
            self._write(MAGIC)

    def patch(self, patch: Patch, page: str = "", number: int = 0, name: str | None = None) -> None:
        """Keep a step; with the drawing's name where it is another one."""
        head = {
            "kind": "patch",
            "at": [patch.top, patch.left],
            "before": list(patch.before.shape),
            "after": list(patch.after.shape),
            "whole": patch.whole,
            "page": page,
            "number": number,
            **({} if name is None else {"name": name}),
            **({} if patch.item is None else {"item": dict(patch.item)}),
            **({"classes": {str(nucleus): names for nucleus, names in patch.classes.items()}} if patch.classes else {}),
        }
        self._append(head, patch.before.astype("<i4").tobytes() + patch.after.astype("<i4").tobytes())

    def say(self, kind: str, page: str = "", number: int = 0, **content: Any) -> None:
        """Keep what needs no pixels: "undo", "redo", "setting"."""
        self._append({"kind": kind, "page": page, "number": number, **content})

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _append(self, head: dict[str, Any], pixels: bytes = b"") -> None:
        text = json.dumps(head).encode()
        record = struct.pack("<I", len(text)) + text + zlib.compress(pixels, 1)
        self._write(HEAD.pack(len(record), zlib.crc32(record)) + record)

    def _write(self, content: bytes) -> None:
        """Append bytes, all or none."""
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[self._stream.write(rest) :]
        except OSError as error:
            with suppress(OSError):
                self._stream.seek(self._end)
                self._stream.truncate()
            raise of_system(error, self.path) from error
        self._end += len(content)


def _copied_aside(path: Path) -> Path:
    """A copy of a journal that cannot be read to its end, under a name that is free."""
    stem = f"{path.name}.{time.strftime('%Y%m%d-%H%M%S')}"
    aside, number = path.with_name(f"{stem}.aside"), 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{stem}-{number}.aside")
    try:
        shutil.copyfile(path, aside)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        raise of_system(error, aside) from error
    return aside


def restore(path: Path) -> Restored:
    """Do again what a journal tells of; a missing or a foreign file holds nothing."""
    found = Restored()
    for head, pixels in _records(path):
        if page := head.get("page"):
            found.seen[str(page)] = int(head.get("number", 0))
        _repeat(found, head, pixels)
    return found


def _repeat(found: Restored, head: dict[str, Any], pixels: bytes) -> None:
    kind = head["kind"]
    if kind == "patch":
        patch = _patch_of(head, pixels, found.document)
        if found.document is None:
            found.document = Document(patch.after, {nucleus: names[1] for nucleus, names in patch.classes.items()})
            found.document.name = head.get("name", found.document.name)
        else:
            found.document.record(patch)
    elif found.document is None:
        return
    elif kind == "setting":
        found.document.record(Setting(head["before"], head["after"]))
    elif kind == "settings":  # not a step: what a job set, and journals of before settings could be undone
        found.document.settings = {**found.document.settings, **head["settings"]}
    elif kind in ("undo", "redo"):
        found.document.undo() if kind == "undo" else found.document.redo()


def _patch_of(head: dict[str, Any], pixels: bytes, document: Document | None) -> Patch:
    """The step that a record tells of; pixels have two dimensions, cells of the tissue map three."""
    before, after = (tuple(head[name]) for name in ("before", "after"))
    numbers = np.frombuffer(pixels, "<i4").astype(np.int32 if len(after) == 2 else np.int8)
    first = math.prod(before)
    return Patch(
        head["at"][0],
        head["at"][1],
        numbers[:first].reshape(before),
        numbers[first:].reshape(after),
        head["whole"],
        {int(nucleus): (names[0], names[1]) for nucleus, names in head.get("classes", {}).items()},
        document.told() if head["whole"] and document is not None else None,
        (document.name, head["name"]) if "name" in head and document is not None else None,
        head.get("item"),
    )


def _records(path: Path) -> list[tuple[dict[str, Any], bytes]]:
    content = _content(path)
    found, place = [], len(MAGIC)
    while (end := _end_of_record(content, place)) is not None:
        record = content[place + HEAD.size : end]
        (length,) = struct.unpack_from("<I", record)
        found.append((json.loads(record[4 : 4 + length]), zlib.decompress(record[4 + length :])))
        place = end
    return found


def _whole_length(path: Path) -> int:
    """How many bytes of a journal are whole records."""
    content = _content(path)
    place = len(MAGIC) if content else 0
    while content and (end := _end_of_record(content, place)) is not None:
        place = end
    return place


def _end_of_record(content: bytes, place: int) -> int | None:
    if place + HEAD.size > len(content):
        return None
    length, checksum = HEAD.unpack_from(content, place)
    end = place + HEAD.size + length
    if length > MOST_RECORD or end > len(content) or zlib.crc32(content[place + HEAD.size : end]) != checksum:
        return None
    return int(end)


def _content(path: Path) -> bytes:
    """A journal's bytes; none where it is missing, too large to read again, or no journal."""
    if not path.is_file() or not len(MAGIC) <= path.stat().st_size <= MOST_BYTES:
        return b""
    content = path.read_bytes()
    return content if content.startswith(MAGIC) else b""
