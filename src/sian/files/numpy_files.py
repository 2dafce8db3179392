"""NumPy's files from outside: mapped into memory, never unpickled, and refused in one sentence."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput
from sian.files.regular import check_filled

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def map_npy(path: Path, expected: str = "a NumPy array") -> NDArray[Any]:
    """The array of an .npy file, mapped for reading.

    Args:
        path: the file.
        expected: what it should be, with its article.

    Raises:
        BadInput: not a regular file with something in it, or it cannot be read as numbers.
    """
    check_filled(path, expected)
    try:
        found: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # its header is parsed as Python, which raises whatever it likes
        raise BadInput(
            f"{path}: cannot be read as a NumPy array; expected {expected} saved with numpy.save; save it again"
        ) from error
    return found


def npy_head(content: bytes) -> tuple[tuple[int, ...], np.dtype[Any]] | None:
    """Shape and kind of the numbers in an .npy file's bytes; None for any other file."""
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read(stream)
    except Exception:  # noqa: BLE001 - the header is parsed as Python, which raises whatever it likes
        return None
    return shape, kind
