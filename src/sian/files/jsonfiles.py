"""Read JSON that others wrote, plain or gzip: size and memory limited, one sentence when it is broken."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sian.errors import BadInput, first_line
from sian.files.unpacking import read_unpacked

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".json"
MAX_JSON_BYTES = 512 << 20  # unpacked; the outlines of 5,000 images are about 60 MB
# What Python makes of it: bytes of memory for each of these characters, at most.
MEMORY_OF = {b"[": 72, b"{": 184, b",": 40, b'"': 28}
MAX_MEMORY = 1 << 30  # of a small file's values; 100,000 nuclei that SIAN exports for QuPath are given 0.97 GB
MEMORY_RATIO = 12  # of a large file's values to its bytes on disk


def read_json(path: Path, most: int | None = None, *, nan: bool = False) -> Any:
    """Read one JSON value.

    Args:
        path: the file; its content decides whether it is gzip.
        most: how many bytes it may hold, unpacked; `MAX_JSON_BYTES` if None.
        nan: whether NaN and infinity may stand among the numbers; who asks for it checks the numbers it uses.

    Raises:
        BadInput: cannot be read, too large once unpacked, broken gzip, not JSON, or NaN and infinity in it.
    """
    content = read_unpacked(path, "JSON", MAX_JSON_BYTES if most is None else most)
    _check_memory(path, content)
    try:
        return json.loads(content, parse_constant=None if nan else _refuse_constant)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        reason = first_line(error)[:200]
        raise BadInput(f"{path}: is not JSON ({reason}), expected whole JSON as UTF-8; export it again") from error


def _check_memory(path: Path, content: bytes) -> None:
    """Refuse a small file whose values would fill the memory: an empty list takes 30 times its two characters."""
    memory = sum(content.count(mark) * size for mark, size in MEMORY_OF.items())
    most = max(MAX_MEMORY, MEMORY_RATIO * path.stat().st_size)
    if memory > most:
        raise BadInput(
            f"{path}: found JSON of so many values that they would take {memory / 1e9:.1f} GB of memory, expected at "
            f"most {most / 1e9:.1f} GB; split it"
        )


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"found {name}, which is not a number")
