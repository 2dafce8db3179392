"""Whole folders or none: filled under a temporary name beside the target, then renamed.

What a killed writer leaves is a hidden folder that ends in `LEFTOVER_SUFFIX`; the next writer of the same target
removes it.
"""

from __future__ import annotations

import glob
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sian.errors import BadInput
from sian.files.atomic import LEFTOVER_SUFFIX, cannot_write

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a new temporary folder to fill; it becomes `path` when the block ends without an error.

    Args:
        path: the folder to make; it must not exist, or be empty.

    Raises:
        BadInput: the place holds something already or cannot be written to.
        MissingResource: the disk is full.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "made"
    >>> with atomic_folder(target) as temporary:
    ...     _ = (temporary / "a.txt").write_text("whole")
    >>> [file.name for file in target.iterdir()]
    ['a.txt']
    """
    path = Path(path).absolute()
    check_free(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}{LEFTOVER_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in path.parent.glob(f".{glob.escape(path.name)}.*{LEFTOVER_SUFFIX}"):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary.mkdir()
        yield temporary
        with suppress(FileNotFoundError):
            path.rmdir()  # an empty one; Windows renames nothing onto it
        temporary.rename(path)
    except OSError as error:
        if error.filename is not None and not str(error.filename).startswith(str(path.parent)):
            raise  # of a file that was read meanwhile
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_free(path: Path) -> None:
    """Refuse a target that is a file or a folder with something in it; writes nothing."""
    if path.exists() and not path.is_dir():
        raise BadInput(f"{path}: found a file, expected a new folder; choose another name")
    if path.is_dir() and any(path.iterdir()):
        raise BadInput(f"{path}: found other files, expected a new or empty folder; choose another folder")
