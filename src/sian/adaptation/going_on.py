"""Whether an output folder holds nothing, a stopped adaptation of the same things, or something else."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from sian.errors import BadInput
from sian.files import write_json
from sian.files.jsonfiles import read_json
from sian.files.locks import LOCK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

BEGUN, REPORT = "begun.json", "report.json"


def check_output(output: Path) -> None:
    """Refuse a folder that holds anything but a stopped adaptation.

    Raises:
        BadInput: it does, or it is a file.
    """
    if output.exists() and not output.is_dir():
        raise BadInput(f"{output}: found a file, expected a folder to make; give another name with -o")
    if (output / REPORT).exists():
        raise BadInput(
            f"{output}: holds a finished adaptation already; segment more with `sian segment predict`, or give another "
            "folder with -o"
        )
    others = output.is_dir() and any(entry.name != LOCK for entry in output.iterdir())
    if others and not (output / BEGUN).is_file():
        raise BadInput(f"{output}: holds other files; give a new folder with -o")


def begin(output: Path, made_of: Mapping[str, Any], *, learning: bool) -> None:
    """Note what the output is made of, or make sure that what it has begun to learn was made of the same.

    Args:
        output: the adaptation's folder.
        made_of: what decides what is learned, by a word for the user.
        learning: whether it holds a run that would be gone on with.

    Raises:
        BadInput: it was made of something else, or cannot be written.
    """
    path = output / BEGUN
    if not learning:
        write_json(path, dict(made_of))
        return
    before = read_json(path)
    known = before if isinstance(before, dict) else {}
    if changed := [key for key, value in made_of.items() if known.get(key) != value]:
        raise BadInput(
            f"{output}: holds a stopped adaptation with other {' and '.join(changed)}; give what it was begun with to "
            "go on, or another folder with -o"
        )


def fingerprint(windows: Sequence[NDArray[np.uint8]]) -> str:
    """SHA-256 of windows: their pixels, sizes and order."""
    total = hashlib.sha256()
    for window in windows:
        total.update(repr(window.shape).encode())
        total.update(window.tobytes())
    return total.hexdigest()
