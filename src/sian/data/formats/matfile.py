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
from sian.files.regular import check_filled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

MAX_VARIABLE_BYTES = 160 << 20  # unpacked: 4,500 x 4,500 pixels as doubles; 1 GB of memory suffices to check them
MAX_VARIABLES = 10_000
MAX_AXES = 32  # of variables that are skipped
NAME_BYTES = 1024  # of a packed variable in which its name lies
INT8, INT32, UINT32 = 1, 5, 6  # how names, shapes and flags are stored
HEADER_BYTES = 128
MATRIX, COMPRESSED = 14, 15
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
CLASSES = dict(enumerate(("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"), start=6))
OTHERS = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse"}
OPAQUE = 17
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
        BadInput: cannot be read, cut short, too large, another version, a name that occurs twice, or a wanted variable
            that is not numeric.
    """
    check_filled(path, "a .mat file")
    found: dict[str, npt.NDArray[Any]] = {}
    try:
        for name, array in _variables(path, wanted):
            if name in found:
                raise BadInput(f"{path}: found {name} twice, {EXPECTED}; save it again")
            found[name] = array
    except (struct.error, zlib.error, IndexError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: is cut short or broken, {EXPECTED}; copy or save it again") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput(f"{path}: cannot be read ({reason}), {EXPECTED}; check the path") from error
    return found


def _variables(path: Path, wanted: set[str]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    with path.open("rb") as stream:
        header = stream.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES or header[126:128] not in (b"IM", b"MI"):
            raise BadInput(f"{path}: found no MATLAB 5 header, {EXPECTED}; save it again")
        if header.startswith(b"MATLAB 7.3"):
            raise BadInput(f"{path}: found a MATLAB 7.3 file, {EXPECTED}; save it again")
        order = "<" if header[126:128] == b"IM" else ">"
        for _ in range(MAX_VARIABLES):
            tag = stream.read(8)
            if not tag:
                return
            kind, size = struct.unpack(f"{order}II", tag)
            if size > MAX_VARIABLE_BYTES:
                raise BadInput(f"{path}: found a variable of {size:,} bytes, expected at most {MAX_VARIABLE_BYTES:,}")
            content = stream.read(size)
            if len(content) != size:
                raise IndexError("cut short")
            if kind == COMPRESSED:
                kind, content = _unpacked(path, content, order, wanted)
            if kind == MATRIX and content and (found := _matrix(path, content, order, wanted)):
                yield found
        raise BadInput(f"{path}: found more than {MAX_VARIABLES:,} variables, {EXPECTED}; save what is needed alone")


def _unpacked(path: Path, packed: bytes, order: str, wanted: set[str]) -> tuple[int, bytes]:
    """A packed variable; nothing of one that is not wanted, whose first bytes tell its name."""
    start = zlib.decompressobj().decompress(packed, NAME_BYTES)
    kind, size = struct.unpack_from(f"{order}II", start)
    if kind != MATRIX or _head(start[8:], order)[2] not in wanted:
        return kind, b""
    if size > MAX_VARIABLE_BYTES:
        raise BadInput(f"{path}: found a variable that unpacks to more than {MAX_VARIABLE_BYTES:,} bytes, {EXPECTED}")
    content = zlib.decompressobj().decompress(packed, 8 + size)
    if len(content) < 8 + size:
        raise IndexError("cut short")
    return kind, content[8:]


def _head(content: bytes, order: str) -> tuple[int, tuple[int, ...], str, int]:
    """Of a matrix: its flags, its shape, its name, and where its numbers start."""
    flags, position = _numbers(content, 0, order, UINT32), _next(content, 0, order)
    if len(flags) == 2 and int(flags[0]) & 0xFF == OPAQUE:  # a string or table of MATLAB, laid out in its own way
        return OPAQUE, (0, 0), "", 0
    shape, after_shape = _numbers(content, position, order, INT32), _next(content, position, order)
    name = _numbers(content, after_shape, order, INT8).astype(np.uint8).tobytes().decode("ascii")
    if len(flags) != 2 or not 2 <= len(shape) <= MAX_AXES:
        raise IndexError("broken")
    return int(flags[0]), tuple(int(side) for side in shape), name, _next(content, after_shape, order)


def _matrix(path: Path, content: bytes, order: str, wanted: set[str]) -> tuple[str, npt.NDArray[Any]] | None:
    flags, sizes, name, position = _head(content, order)
    if name not in wanted:
        return None
    kind = flags & 0xFF
    if kind not in CLASSES or flags & COMPLEX:
        raise BadInput(f"{path}: found {name} of kind {OTHERS.get(kind, 'complex')}, {EXPECTED}; save it again")
    if len(sizes) > 4 or min(sizes) < 0 or float(np.prod(np.array(sizes, float))) > MAX_PIXELS:
        raise BadInput(f"{path}: found {name} of shape {sizes}, expected at most {MAX_PIXELS:,} pixels")
    values = _numbers(content, position, order) if 0 not in sizes else np.zeros(0)
    if len(values) != int(np.prod(sizes)):
        raise IndexError("cut short")
    if len(values) * np.dtype(CLASSES[kind]).itemsize > MAX_VARIABLE_BYTES:
        raise BadInput(f"{path}: found {name} of shape {sizes}, expected at most {MAX_VARIABLE_BYTES:,} bytes")
    return name, values.astype(CLASSES[kind], copy=False).reshape(sizes, order="F")


def _tag(content: bytes, position: int, order: str) -> tuple[int, int, int, bool]:
    """Of the element at a position: how it is stored, its bytes, where they start, whether it is a small one."""
    kind, size = struct.unpack_from(f"{order}II", content, position)
    if kind >> 16:
        return kind & 0xFFFF, kind >> 16, position + 4, True
    return kind, size, position + 8, False


def _numbers(content: bytes, position: int, order: str, expected: int | None = None) -> npt.NDArray[Any]:
    """The numbers of an element; `expected` is the only type that its place allows."""
    kind, size, start, small = _tag(content, position, order)
    if kind not in STORED or expected not in (None, kind) or start + size > len(content) or (small and size > 4):
        raise IndexError("cut short")
    dtype = np.dtype(order + STORED[kind])
    if size % dtype.itemsize:
        raise IndexError("cut short")
    return np.frombuffer(content, dtype, size // dtype.itemsize, start)


def _next(content: bytes, position: int, order: str) -> int:
    _, size, start, small = _tag(content, position, order)
    return position + 8 if small else start + (size + 7) // 8 * 8
