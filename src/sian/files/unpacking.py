"""Read text that others wrote, plain or gzip, without letting a small file fill the memory."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

from sian.errors import BadInput, first_line
from sian.files.regular import check_regular

if TYPE_CHECKING:
    from pathlib import Path

GZIP_MAGIC = b"\x1f\x8b"
SMALL_BYTES = 32 << 20  # what any gzip file may unpack to, however small it is
MAX_RATIO = 40  # beyond that; outlines shrink to a fifth or a tenth, on pixel corners to a twentieth


def read_unpacked(path: Path, kind: str, most: int) -> bytes:
    """The bytes of a file, unpacked if they are gzip.

    Args:
        path: the file; its content decides whether it is gzip.
        kind: what errors call the content, e.g. "JSON".
        most: how many bytes it may hold, unpacked.

    Raises:
        BadInput: no regular file, cannot be read, broken gzip, or more than `most` bytes.
    """
    check_regular(path, f"a file of {kind}")
    try:
        with path.open("rb") as stream:
            content = stream.read(most + 1)
        if content.startswith(GZIP_MAGIC):
            most = min(most, max(SMALL_BYTES, MAX_RATIO * len(content)))
            with gzip.open(path) as packed:
                content = packed.read(most + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(
            f"{path}: found a broken gzip file ({first_line(error)}), expected a whole one; copy it again"
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput(f"{path}: cannot be read ({reason}); expected a file of {kind}; check the path") from error
    if len(content) > most:
        raise BadInput(
            f"{path}: found more than {most >> 20} MB of {kind}, expected less; split it, or unpack it first"
        )
    return content
