"""Read H&E pictures and write PNG with pinned settings (docs/design.md, "Repeatable").

A picture is (H, W, 3) uint8, R G B. What is not one already is refused rather than converted; the one
exception loses nothing: an alpha channel that is opaque everywhere is left out. Instance masks are read by
`sian.masks`.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, PngImagePlugin

from sian.errors import BadInput, first_line
from sian.files.atomic import write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

MAX_PIXELS = 1 << 27  # 11,585 x 11,585; below Pillow's own 1.8e8, above any tile; 400 MB as RGB
IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".webp", ".jpg", ".jpeg")
IMAGE_FORMATS = ("PNG", "TIFF", "WEBP", "JPEG")
# 2.5 times faster than zlib's default of 6, and 4 % larger on MoNuSeg's tiles; pinned because the bytes of a data
# set depend on it.
PNG_COMPRESSION = 3

# What Pillow raises for files that are cut short or forged.
DECODE_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip

WHAT_TO_TRY = {
    "1": "found a black-and-white picture; if it is a mask, give it as a mask",
    "L": "found a grey picture; if it is a mask, give it as a mask; else export the picture in colour",
    "LA": "found a grey picture with transparency; export it in colour without transparency",
    "P": "found a palette picture; export it as RGB, or if it is a mask, give it as a mask",
    "RGBA": "found transparent pixels; export it without transparency",
    "CMYK": "found CMYK; export it as RGB",
}


def read_image(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
    """Read a png, tif, webp or jpg picture.

    Args:
        path: the file; its content decides the format, not its name.
        max_pixels: more pixels than this are refused before they are unpacked.

    Returns:
        (H, W, 3) uint8, R G B.

    Raises:
        BadInput: no such file, not a picture, cut short, too large, or not 8-bit RGB.
    """
    path = Path(path)
    with open_picture(path, IMAGE_FORMATS, max_pixels) as picture:
        return _rgb(path, picture)


def decode_image(content: bytes, name: str | Path, *, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
    """A picture from a file's bytes, as `read_image`; `name` is what errors call it, e.g. an archive's member."""
    with open_picture(Path(name), IMAGE_FORMATS, max_pixels, content) as picture:
        return _rgb(Path(name), picture)


def _rgb(path: Path, picture: Image.Image) -> npt.NDArray[np.uint8]:
    mode, array = picture.mode, np.asarray(picture)
    if mode == "RGBA" and (array[..., 3] == 255).all():
        array = array[..., :3]
    elif mode != "RGB":
        found = WHAT_TO_TRY.get(mode, f"found pixels of kind {mode!r}; export it as 8-bit RGB")
        raise BadInput(f"{path}: expected an 8-bit RGB picture, {found}")
    return np.array(array, dtype=np.uint8, order="C")


@contextmanager
def open_picture(
    path: Path, formats: tuple[str, ...], max_pixels: int = MAX_PIXELS, content: bytes | None = None
) -> Iterator[Image.Image]:
    """Open a picture, check its size before it is unpacked, unpack it, and name the file in every error.

    With `content` nothing is read from disk, and `path` is only a name.
    """
    if content is None:
        _check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is checked below, and broken metadata harms no pixel
            with Image.open(path if content is None else io.BytesIO(content), formats=formats) as picture:
                _check_header(path, picture, max_pixels)
                picture.load()
                yield picture
    except BadInput:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(path, "more than 178,956,970", max_pixels) from error
    except DECODE_ERRORS as error:
        raise BadInput(
            f"{path}: cannot be read as a picture ({first_line(error)}); expected a whole "
            f"{'/'.join(name.lower() for name in formats)} file; copy or export it again"
        ) from error


def encode_png(image: npt.NDArray[np.uint8], text: Mapping[str, str] | None = None) -> bytes:
    """A picture as the bytes of a PNG file, with pinned encoder settings.

    Args:
        image: (H, W, 3) uint8.
        text: PNG text chunks, e.g. ``{"Software": "sian", "Synthetic": "true"}``, in the order given.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise BadInput(f"expected an image as (H, W, 3) uint8, found {image.shape} {image.dtype}")
    chunks = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        chunks.add_text(key, value)
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", compress_level=PNG_COMPRESSION, pnginfo=chunks)
    return stream.getvalue()


def write_png(path: str | Path, image: npt.NDArray[np.uint8], text: Mapping[str, str] | None = None) -> None:
    """Write a picture as PNG, atomically; see `encode_png` for the arguments."""
    write_bytes(path, encode_png(image, text))


def read_png_text(path: str | Path) -> dict[str, str]:
    """The text chunks of a PNG, e.g. to see whether a picture says that it is synthetic."""
    with open_picture(Path(path), ("PNG",)) as picture:
        return {str(key): value for key, value in picture.info.items() if isinstance(value, str)}


def _check_file(path: Path) -> None:
    if not path.exists():
        raise BadInput(f"{path}: no such file; check the path")
    if path.is_dir():
        raise BadInput(f"{path}: found a folder, expected one picture; name the file")
    if path.stat().st_size == 0:
        raise BadInput(f"{path}: found an empty file (0 bytes), expected a picture; copy or export it again")


def _check_header(path: Path, picture: Image.Image, max_pixels: int) -> None:
    width, height = picture.size
    if width * height > max_pixels:
        raise _too_large(path, f"{height} x {width}", max_pixels)
    pages = getattr(picture, "n_frames", 1)
    if pages != 1:
        raise BadInput(f"{path}: found {pages} pages, expected a single picture; export one page alone")


def _too_large(path: Path, found: str, max_pixels: int) -> BadInput:
    return BadInput(f"{path}: found {found} pixels, expected at most {max_pixels:,}; cut it into tiles first")
