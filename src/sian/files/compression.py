"""How a picture's file is compressed: what FID sees beside what was painted."""

from __future__ import annotations

import warnings
from typing import IO, TYPE_CHECKING

from PIL import Image

from sian.files.images import DECODE_ERRORS, IMAGE_FORMATS

if TYPE_CHECKING:
    from pathlib import Path

LOSSLESS = "without loss"
STANDARD_STEPS = 3685 / 64  # mean step of JPEG's example table for luminance, which quality scales
TIFF_JPEG = "jpeg"
MAX_CHUNKS = 16  # of a WebP, among which the pixels are


def compression(path: Path) -> str:
    """In words, by the file's header alone: "without loss", "as WebP with loss", "as JPEG of quality 90" (to tens).

    What cannot be read counts as lossless here; reading it says what is wrong.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with path.open("rb") as stream, Image.open(stream, formats=IMAGE_FORMATS) as picture:
                if picture.format == "WEBP":
                    return LOSSLESS if b"VP8L" in _chunks(stream) else "as WebP with loss"
                if picture.format == "TIFF":
                    return "as JPEG in TIFF" if picture.info.get("compression") == TIFF_JPEG else LOSSLESS
                tables = getattr(picture, "quantization", None)
                return LOSSLESS if not tables else f"as JPEG of quality {_quality(tables[min(tables)])}"
    except DECODE_ERRORS:
        return LOSSLESS


def _chunks(stream: IO[bytes]) -> list[bytes]:
    """The names of a WebP's first chunks: with EXIF or a colour profile the pixels are not the first of them."""
    names, place = [], 12
    for _ in range(MAX_CHUNKS):
        stream.seek(place)
        head = stream.read(8)
        if len(head) < 8:
            break
        names.append(head[:4])
        place += 8 + (int.from_bytes(head[4:], "little") + 1) // 2 * 2
    return names


def _quality(table: list[int]) -> int:
    """The quality, to tens, at which the common encoders write such a table."""
    scale = 100 * sum(table) / 64 / STANDARD_STEPS
    quality = (200 - scale) / 2 if scale <= 100 else 5000 / scale
    return 10 * round(quality / 10)
