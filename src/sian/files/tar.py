"""The members of a tar file by their place in it; nothing is unpacked, so no name can lead anywhere.

Python's tarfile trusts what it reads: a negative size makes it read for ever, and a long chain of headers takes time
that grows with its square. Here every header is checked against its sum and every size against the file. What a reader
could take in two ways is refused: a member that occurs twice, links, and anything behind the end of the archive.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from sian.errors import BadInput, first_line
from sian.files.regular import check_filled

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = 512
END = bytes(BLOCK)
MAX_MEMBERS = 1_000_000
MAX_HEADER_BYTES = 1 << 20  # of an extended header; names are shorter by far
MAX_MEMBER_BYTES = 1 << 28
MAX_TAIL_BYTES = 1 << 20  # of zeros behind the end; tar pads to 10 kB
FILES, FOLDER, LINKS = (b"\0", b"0", b"7"), b"5", (b"1", b"2")  # types of members
EXTENDED, GLOBAL, LONG_NAME, LONG_LINK = b"x", b"g", b"L", b"K"
EXPECTED = "expected a tar file, neither packed nor cut short"


@dataclass(frozen=True)
class Member:
    """A file in a tar file.

    Attributes:
        path: the tar file.
        name: the member's.
        start: its first byte in the tar file.
        length: in bytes.
    """

    path: Path
    name: str
    start: int
    length: int

    def read(self) -> bytes:
        """The member's bytes, from disk.

        Raises:
            BadInput: the tar file cannot be read any more, or was cut since.
        """
        try:
            with self.path.open("rb") as stream:
                stream.seek(self.start)
                content = stream.read(self.length)
        except OSError as error:
            raise BadInput(f"{self}: cannot be read ({first_line(error)}); copy the shard again") from None
        if len(content) < self.length:
            raise BadInput(f"{self}: the tar file is cut short; copy it again")
        return content

    def __str__(self) -> str:
        return f"{self.path}: {self.name}"


class _Broken(Exception):
    """What is wrong with an archive, as a part of a sentence."""


def read_members(path: Path, content: bytes | None = None, wanted: Callable[[str], bool] | None = None) -> list[Member]:
    """The files in a tar file, in its order; folders are left out.

    Args:
        path: the tar file; with `content` only its name.
        content: the file's bytes.
        wanted: which names to read; what others are is not judged, as long as they hold no bytes. All if None.

    Raises:
        BadInput: not a tar file, broken, cut short, a member twice, a link, or something behind the end.
    """
    if content is None:
        check_filled(path, "a tar file")
    try:
        with path.open("rb") if content is None else io.BytesIO(content) as stream:
            return _members(path, stream, stream.seek(0, io.SEEK_END), wanted or bool)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read as a tar file ({first_line(error)}); copy it again") from error
    except _Broken as problem:
        raise BadInput(f"{path}: cannot be read as a tar file ({problem}), {EXPECTED}; make it again") from None


def _members(path: Path, stream: IO[bytes], size: int, wanted: Callable[[str], bool]) -> list[Member]:
    found: dict[str, Member] = {}
    extended: dict[str, str] = {}
    place = 0
    for _ in range(MAX_MEMBERS):
        stream.seek(place)
        header = stream.read(BLOCK)
        if header == END:
            _check_tail(stream)
            return list(found.values())
        kind, name, length = _header(header)
        place += BLOCK
        if kind in (EXTENDED, GLOBAL, LONG_NAME, LONG_LINK):
            if length > MAX_HEADER_BYTES:
                raise _Broken(f"a header of {length:,} bytes")
            extended |= _extended(kind, _exactly(stream, length))
        else:
            name, length = extended.pop("path", name), _length(extended.pop("size", None), length)
            extended.clear()
            if length or wanted(name):
                _check_kind(kind, name)
            if kind in FILES and wanted(name):
                if name in found:
                    raise _Broken(f"{_shown(name)} occurs twice")
                if length > MAX_MEMBER_BYTES:
                    raise _Broken(f"{_shown(name)} has {length:,} bytes, expected at most {MAX_MEMBER_BYTES:,}")
                found[name] = Member(path, name, place, length)
            elif kind == FOLDER:
                length = 0
        if place + length > size:
            raise _Broken("cut short")
        place += -(-length // BLOCK) * BLOCK
    raise _Broken(f"more than {MAX_MEMBERS:,} members")


def _header(header: bytes) -> tuple[bytes, str, int]:
    """Type, name and size of a member."""
    if len(header) < BLOCK:
        raise _Broken("cut short")
    summed = header[:148] + b" " * 8 + header[156:]
    told = _number(header[148:156])
    if told != sum(summed) and told != sum(summed) - 256 * sum(byte > 127 for byte in summed):  # signed bytes, once
        raise _Broken("a header whose sum is wrong")
    name, prefix = (_text(part) for part in (header[:100], header[345:500]))
    if header[257:265] == b"ustar\x0000" and prefix:
        name = f"{prefix}/{name}"
    return header[156:157], name, _number(header[124:136])


def _number(field: bytes) -> int:
    """Octal digits, or GNU's binary for what does not fit; negative ones are refused."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not all(48 <= digit < 56 for digit in digits):
        raise _Broken("a size that is negative or not a number")
    return int(digits or b"0", 8)


def _extended(kind: bytes, content: bytes) -> dict[str, str]:
    """What an extended header says of the next member's name and size."""
    if kind == LONG_LINK:
        return {}
    if kind == LONG_NAME:
        return {"path": _text(content)}
    told = _records(content)
    if kind == GLOBAL and {"path", "size"} & told.keys():
        raise _Broken("a header that gives all members one name or size")
    if any(key.startswith("GNU.sparse") for key in told):
        raise _Broken("a sparse member")
    return {key: told[key] for key in ("path", "size") if key in told}


def _records(content: bytes) -> dict[str, str]:
    """The records "LENGTH KEY=VALUE" of a pax header."""
    told: dict[str, str] = {}  # of other keys, such as attributes of macOS, only that they are there
    place = 0
    while place < len(content) and content[place]:
        digits, space, _ = content[place : place + 20].partition(b" ")
        length = int(digits) if digits.isdigit() and space else 0
        record = content[place + len(digits) + 1 : place + length]
        key, equals, value = record[:-1].partition(b"=")
        if length <= len(digits) + 1 or place + length > len(content) or record[-1:] != b"\n" or not equals:
            raise _Broken("a broken extended header")
        told[key.decode(errors="replace")] = _text(value) if key in (b"path", b"size") else ""
        place += length
    return told


def _length(told: str | None, length: int) -> int:
    if told is None:
        return length
    if not (told.isascii() and told.isdigit() and len(told) < 20):
        raise _Broken("a size that is negative or not a number")
    return int(told)


def _check_kind(kind: bytes, name: str) -> None:
    if kind in LINKS:
        raise _Broken(f"{_shown(name)} is a link")
    if kind not in FILES and kind != FOLDER:
        raise _Broken(f"{_shown(name)} is neither a file nor a folder")


def _check_tail(stream: IO[bytes]) -> None:
    """Behind the end lie zeros only: archives that were joined hold further members there, which readers skip."""
    tail = stream.read(MAX_TAIL_BYTES + 1)
    if len(tail) > MAX_TAIL_BYTES or tail.count(0) != len(tail):
        raise _Broken("something lies behind its end")


def _exactly(stream: IO[bytes], length: int) -> bytes:
    content = stream.read(length)
    if len(content) < length:
        raise _Broken("cut short")
    return content


def _text(field: bytes) -> str:
    try:
        return field.partition(b"\0")[0].decode()
    except UnicodeDecodeError:
        raise _Broken("a name that is not UTF-8") from None


def _shown(name: str) -> str:
    return ascii(name)[1:-1][:100]
