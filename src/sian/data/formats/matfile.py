"""Read the plain numeric arrays of a MATLAB 5 file, and nothing else of it.

scipy.io.loadmat trusts what it reads: a few changed bytes make it write past its memory. Here every size is checked
against the bytes that are there, and text, cells, structs, objects and sparse arrays are only named, never unpacked.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput
from sian.files.images import MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

MAX_VARIABLE_BYTES = 1 << 30  # unpacked
HEADER_BYTES = 128
MATRIX, COMPRESSED = 14, 15
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
CLASSES = dict(enumerate(("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"), start=6))
OTHERS = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse"}
COMPLEX = 0x0800
EXPECTED = "expected a MATLAB 5 file, as scipy.io.savemat and MATLAB's -v7 write it, with an integer inst_map"


def read_numeric(path: Path, wanted: set[str]) -> dict[str, npt.NDArray[Any]]:
    """Read the wanted variables of a .mat file.

    Args:
        path: the file.
        wanted: names; others are skipped.

    Returns:
        Arrays by name, those that are there.

    Raises:
        BadInput: cannot be read, cut short, too large, another version, or a wanted variable that is not numeric.
    """
    try:
        return {name: array for name, array in _variables(path, wanted) if name in wanted}
    except (struct.error, zlib.error, IndexError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: is cut short or broken, {EXPECTED}; copy or save it again") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput(f"{path}: cannot be read ({reason}), {EXPECTED}; check the path") from error


def _variables(path: Path, wanted: set[str]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    with path.open("rb") as stream:
        header = stream.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES or header[126:128] not in (b"IM", b"MI"):
            raise BadInput(f"{path}: found no MATLAB 5 header, {EXPECTED}; save it again")
        if header.startswith(b"MATLAB 7.3"):
            raise BadInput(f"{path}: found a MATLAB 7.3 file, {EXPECTED}; save it again")
        order = "<" if header[126:128] == b"IM" else ">"
        while tag := stream.read(8):
            kind, size = struct.unpack(f"{order}II", tag)
            if size > MAX_VARIABLE_BYTES:
                raise BadInput(f"{path}: found a variable of {size:,} bytes, expected at most {MAX_VARIABLE_BYTES:,}")
            content = stream.read(size)
            if len(content) != size:
                raise IndexError("cut short")
            if kind == COMPRESSED:
                kind, content = _unpacked(path, content, order)
            if kind == MATRIX and (found := _matrix(path, content, order, wanted)):
                yield found


def _unpacked(path: Path, packed: bytes, order: str) -> tuple[int, bytes]:
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(packed, MAX_VARIABLE_BYTES)
    if unpacker.unconsumed_tail:
        raise BadInput(f"{path}: found a variable that unpacks to more than {MAX_VARIABLE_BYTES:,} bytes, {EXPECTED}")
    kind, size = struct.unpack_from(f"{order}II", content)
    if len(content) < 8 + size:
        raise IndexError("cut short")
    return kind, content[8 : 8 + size]


def _matrix(path: Path, content: bytes, order: str, wanted: set[str]) -> tuple[str, npt.NDArray[Any]] | None:
    (flags, _), position = _numbers(content, 0, order)[:2], _next(content, 0, order)
    shape, position = _numbers(content, position, order), _next(content, position, order)
    name = bytes(_numbers(content, position, order).astype(np.uint8)).decode("ascii")
    if name not in wanted:
        return None
    kind = int(flags) & 0xFF
    if kind not in CLASSES or int(flags) & COMPLEX:
        raise BadInput(f"{path}: found {name} of kind {OTHERS.get(kind, 'complex')}, {EXPECTED}; save it again")
    sizes = tuple(int(side) for side in shape)
    if not 2 <= len(sizes) <= 4 or min(sizes) < 0 or float(np.prod(np.array(sizes, float))) > MAX_PIXELS:
        raise BadInput(f"{path}: found {name} of shape {sizes}, expected at most {MAX_PIXELS:,} pixels")
    values = _numbers(content, _next(content, position, order), order) if 0 not in sizes else np.zeros(0)
    if len(values) != int(np.prod(sizes)):
        raise IndexError("cut short")
    return name, values.astype(CLASSES[kind]).reshape(sizes, order="F")


def _tag(content: bytes, position: int, order: str) -> tuple[int, int, int, bool]:
    """Of the element at a position: how it is stored, its bytes, where they start, whether it is a small one."""
    kind, size = struct.unpack_from(f"{order}II", content, position)
    if kind >> 16:
        return kind & 0xFFFF, kind >> 16, position + 4, True
    return kind, size, position + 8, False


def _numbers(content: bytes, position: int, order: str) -> npt.NDArray[Any]:
    kind, size, start, small = _tag(content, position, order)
    if kind not in STORED or start + size > len(content) or (small and size > 4):
        raise IndexError("cut short")
    dtype = np.dtype(order + STORED[kind])
    if size % dtype.itemsize:
        raise IndexError("cut short")
    return np.frombuffer(content, dtype, size // dtype.itemsize, start)


def _next(content: bytes, position: int, order: str) -> int:
    _, size, start, small = _tag(content, position, order)
    return position + 8 if small else start + (size + 7) // 8 * 8
