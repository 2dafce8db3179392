"""Read a file that others name, whole and within a limit: no pipe that waits for ever, no device without an end."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sian.errors import BadInput


def read_regular(path: str | Path, most: int, expected: str) -> bytes:
    """The bytes of a regular file.

    Args:
        path: the file; links are followed.
        most: bytes that it may have.
        expected: what it should be, with its article, e.g. "a plan".

    Raises:
        BadInput: no such file, a folder, a pipe or a device, too large, or not to be read.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "a.txt"
    >>> _ = file.write_text("whole")
    >>> read_regular(file, 100, "a text")
    b'whole'
    """
    path = Path(path)
    check_regular(path, expected)
    try:
        with path.open("rb") as stream:
            content = stream.read(most + 1)
    except OSError as error:
        raise _unreadable(path, error, expected) from None
    if len(content) > most:
        raise BadInput(f"{path}: found more than {_size(most)}, expected {expected}, which is shorter; check the path")
    return content


def check_regular(path: str | Path, expected: str) -> None:
    """Refuse anything but a regular file before it is opened: opening a pipe waits for its other end.

    Args:
        path: the file; links are followed.
        expected: what it should be, with its article.

    Raises:
        BadInput: no such file, a name that no file can have, a folder, a pipe or a device.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # a name with NUL is a ValueError
        raise _unreadable(path, error, expected) from None
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a device or a socket"
        raise BadInput(f"{path}: found {kind}, expected {expected}; check the path")


def check_filled(path: str | Path, expected: str) -> None:
    """`check_regular`, and something must be in the file that may be read.

    Raises:
        BadInput: as `check_regular`, an empty file, or one that may not be read.
    """
    path = Path(path)
    if not os.path.lexists(str(path).replace("\0", "")):
        raise BadInput(f"{path}: no such file, expected {expected}; check the path")
    check_regular(path, expected)
    if path.stat().st_size == 0:
        raise BadInput(f"{path}: found an empty file (0 bytes), expected {expected}; copy or export it again")
    if not os.access(path, os.R_OK):
        raise BadInput(f"{path}: may not be read (permission denied), expected {expected}; change its permissions")


def _unreadable(path: Path, error: Exception, expected: str) -> BadInput:
    reason = getattr(error, "strerror", None) or str(error)
    return BadInput(f"{path}: cannot be read ({reason}), expected {expected}; check the path")


def _size(most: int) -> str:
    return f"{most >> 20} MB" if most >= 1 << 20 else f"{most >> 10} KB"
