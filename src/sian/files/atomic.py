"""Whole files or none: write under a temporary name beside the target, flush to disk, rename.

A reader never sees half a file, however the writer dies. What a killed writer leaves is a hidden file that
ends in `LEFTOVER_SUFFIX`; `remove_leftovers` clears a folder of them. Two writers of one target: the last
rename wins.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sian.errors import NO_SPACE, BadInput, MissingResource, SianError, of_system

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LEFTOVER_SUFFIX = ".sian-part"
OF_WRITING = {*NO_SPACE, errno.EFBIG, errno.EIO, errno.EROFS}  # of a write itself, which knows no name


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path to write to; it becomes `path` when the block ends without an error.

    Missing parent folders are made. On any error the temporary file goes and the old `path`, if any, stays.

    Args:
        path: the file to make or to replace.

    Raises:
        BadInput: the place cannot be written to.
        MissingResource: the disk is full.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with atomic_file(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}{LEFTOVER_SUFFIX}")
    _make_parents(path)
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush_folder(path.parent)
    except OSError as error:
        if error.errno in OF_WRITING or error.filename in (str(temporary), temporary):
            raise cannot_write(path, error) from error
        raise
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_together(contents: Mapping[Path, str]) -> None:
    """Write text files that belong together: all are on the disk before the first of them replaces an older one.

    Raises:
        BadInput: a place cannot be written to; then nothing is changed.
        MissingResource: the disk is full; likewise.
    """
    with ExitStack() as stack:
        for path, content in contents.items():
            temporary = stack.enter_context(atomic_file(path))
            try:
                temporary.write_bytes(content.encode("utf-8"))
                _flush(temporary)
            except OSError as error:
                raise cannot_write(path, error) from error


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a whole file of bytes atomically."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, content: str) -> None:
    """Write a whole text file atomically: UTF-8, line ends as given."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: str | Path, content: object) -> None:
    """Write one JSON value atomically: UTF-8, indented, keys in the order given; NaN is refused."""
    write_text(path, json_text(content))


def json_text(content: object) -> str:
    """A JSON value as `write_json` writes it."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def remove_leftovers(folder: str | Path) -> int:
    """Remove what killed writers left in `folder` (not in folders below it); return how many files went."""
    leftovers = list(Path(folder).glob(f".*{LEFTOVER_SUFFIX}"))
    for leftover in leftovers:
        with suppress(OSError):
            leftover.unlink()
    return len(leftovers)


def _make_parents(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def _flush(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    """Make the rename itself durable; a system that opens no folders does not need it."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def cannot_write(path: Path, error: OSError) -> SianError:
    """What to say of a place that takes no file."""
    said = of_system(error, path)
    if isinstance(said, MissingResource):
        return said
    reason = error.strerror or str(error)
    return BadInput(f"{path}: cannot be written ({reason}); expected a place you may write to; try another folder")
