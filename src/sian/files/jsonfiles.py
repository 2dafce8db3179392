"""Read JSON that others wrote, plain or gzip: size limited, no NaN, one sentence when it is broken."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

from sian.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".json"
MAX_JSON_BYTES = 512 << 20  # unpacked; the outlines of 5,000 images are about 60 MB
GZIP_MAGIC = b"\x1f\x8b"


def read_json(path: Path, most: int | None = None) -> Any:
    """Read one JSON value of at most `most` bytes (`MAX_JSON_BYTES` if None); its content decides whether it is gzip.

    Raises:
        BadInput: cannot be read, too large once unpacked, broken gzip, not JSON, or NaN and infinity in it.
    """
    content = _unpacked(path, MAX_JSON_BYTES if most is None else most)
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        reason = (str(error).splitlines() or ["?"])[0][:200].rstrip(".;")
        raise BadInput(f"{path}: is not JSON ({reason}), expected whole JSON as UTF-8; export it again") from error


def _unpacked(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(most + 1)
        if content.startswith(GZIP_MAGIC):
            with gzip.open(path) as packed:
                content = packed.read(most + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{path}: found a broken gzip file ({error}), expected a whole one; copy it again") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput(f"{path}: cannot be read ({reason}); expected a JSON file; check the path") from error
    if len(content) > most:
        raise BadInput(f"{path}: found more than {most >> 20} MB of JSON; expected less; split it")
    return content


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"found {name}, which is no number")
