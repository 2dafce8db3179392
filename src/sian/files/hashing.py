"""SHA-256 of files, and of pixels whatever file they came in."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput
from sian.files.regular import check_regular

if TYPE_CHECKING:
    import numpy.typing as npt

CHUNK_BYTES = 1 << 20


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in lower-case hexadecimal."""
    digest = hashlib.sha256()
    check_regular(path, "a file")
    try:
        with Path(path).open("rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput(f"{path}: cannot be read ({reason}); expected a file; check the path") from error
    return digest.hexdigest()


def sha256_pixels(image: npt.NDArray[np.uint8]) -> str:
    """SHA-256 of an image's raw bytes, row by row, R G B: equal for the same pixels in tif, png and webp.

    Args:
        image: (H, W, 3) uint8.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise BadInput(f"expected an image as (H, W, 3) uint8, found {image.shape} {image.dtype}")
    return sha256_array(image)


def sha256_array(array: npt.NDArray[Any]) -> str:
    """SHA-256 of an array's numbers in C order, little-endian; shape and dtype are not part of it."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(np.ascontiguousarray(little).tobytes()).hexdigest()
