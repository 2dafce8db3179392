"""Read H&E pictures and write PNG with pinned settings (docs/design.md, "Repeatable").

A picture is (H, W, 3) uint8, R G B. What is not one already is refused rather than converted: 16 bits a channel, whose
range nobody but its owner knows, and an orientation, which some programs apply and some ignore. The one exception loses
nothing: an alpha channel that is opaque everywhere is left out. Instance masks are read by `sian.masks`.
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
from sian.files.regular import check_filled
from sian.files.tiff import is_tiff, read_pages, turned

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

MAX_PIXELS = 100_000_000  # 10,000 x 10,000: above any tile, and 1 GB of memory suffices to read it
IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".webp", ".jpg", ".jpeg")
SCANNER_SUFFIXES = (".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".svslide", ".dcm", ".czi")
ZARR_SUFFIXES = (".zarr", ".ngff")
PICTURE_SUFFIXES = (*IMAGE_SUFFIXES, *SCANNER_SUFFIXES, *ZARR_SUFFIXES)  # what `sian.slides` opens
IMAGE_FORMATS = ("PNG", "TIFF", "WEBP", "JPEG")
# 2.5 times faster than zlib's default of 6, and 4 % larger on MoNuSeg's tiles; pinned because the bytes of a data
# set depend on it.
PNG_COMPRESSION = 3

PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_DEPTH = 24  # the byte that holds the bits a channel
ORIENTATION = 0x0112  # EXIF's tag
MICRONS_AN_INCH = 25_400
BELIEVED = (0.05, 5.0)  # micrometres a pixel; 72 or 300 dots an inch say nothing of a scan
SMALLEST_MPP, LARGEST_MPP = 0.02, 10.0  # finer than any light microscope's camera; coarser than a slide's overview
DIFFERS = 1.15  # pixel sizes that are further apart are taken for different ones
STRIP_BYTES = 16 << 20  # that are copied out of Pillow's memory at once

# What Pillow raises for files that are cut short or forged.
DECODE_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
# What tifffile raises besides, e.g. a division by tiles without a height.
TIFF_ERRORS = (*DECODE_ERRORS, ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RuntimeError)

WHAT_TO_TRY = {
    "1": "found a black-and-white picture; if it is a mask, give it as a mask",
    "L": "found a grey picture; if it is a mask, give it as a mask; else export the picture in colour",
    "LA": "found a grey picture with transparency; export it in colour without transparency",
    "P": "found a palette picture; export it as RGB, or if it is a mask, give it as a mask",
    "RGBA": "found transparent pixels; export it without transparency",
    "CMYK": "found CMYK; export it as RGB",
}


def differs(mpp: float | None, model_mpp: float | None) -> bool:
    """Whether two pixel sizes are more than 15 % apart; not where one is unknown.

    >>> differs(0.5, 0.25), differs(0.26, 0.25), differs(None, 0.25)
    (True, False, False)
    """
    return mpp is not None and model_mpp is not None and not 1 / DIFFERS <= mpp / model_mpp <= DIFFERS


def read_image(path: str | Path, *, max_pixels: int | None = None) -> npt.NDArray[np.uint8]:
    """Read a png, tif, webp or jpg picture.

    Args:
        path: the file; its content decides the format, not its name.
        max_pixels: more pixels than this are refused before they are unpacked; `MAX_PIXELS` unless given.

    Returns:
        (H, W, 3) uint8, R G B.

    Raises:
        BadInput: no such file, not a picture, cut short, too large, not upright, or not 8-bit RGB.
    """
    path = Path(path)
    with open_picture(path, IMAGE_FORMATS, max_pixels) as picture:
        return _rgb(path, picture)


def decode_image(content: bytes, name: str | Path, *, max_pixels: int | None = None) -> npt.NDArray[np.uint8]:
    """A picture from a file's bytes, as `read_image`; `name` is what errors call it, e.g. an archive's member."""
    with open_picture(Path(name), IMAGE_FORMATS, max_pixels, content) as picture:
        return _rgb(Path(name), picture)


def _rgb(path: Path, picture: Image.Image) -> npt.NDArray[np.uint8]:
    if picture.mode not in ("RGB", "RGBA"):
        found = WHAT_TO_TRY.get(picture.mode, f"found pixels of kind {picture.mode!r}; export it as 8-bit RGB")
        raise BadInput(f"{path}: expected an 8-bit RGB picture, {found}")
    _check_opaque(path, picture)
    width, height = picture.size
    array = np.empty((height, width, 3), np.uint8)
    rows = max(1, STRIP_BYTES // (4 * width))
    for top in range(0, height, rows):  # Pillow's own conversion would hold the picture three times
        strip = picture.crop((0, top, width, min(top + rows, height)))
        array[top : top + rows] = np.asarray(strip)[..., :3]
    return array


def _check_opaque(path: Path, picture: Image.Image) -> None:
    key = picture.info.get("transparency")
    alpha = picture.mode == "RGBA" or isinstance(key, tuple)  # PNG can call one colour transparent
    opaque = not alpha or picture.convert("RGBA").getchannel("A").getextrema() == (255, 255)
    if not opaque:
        raise BadInput(f"{path}: expected an 8-bit RGB picture, {WHAT_TO_TRY['RGBA']}")


@contextmanager
def open_picture(
    path: Path, formats: tuple[str, ...], max_pixels: int | None = None, content: bytes | None = None
) -> Iterator[Image.Image]:
    """Open a picture, check its header before it is unpacked, unpack it, and name the file in every error.

    With `content` nothing is read from disk, and `path` is only a name. `max_pixels` is `MAX_PIXELS` unless given.
    """
    most = MAX_PIXELS if max_pixels is None else max_pixels
    if content is None:
        check_filled(path, "a picture")
    try:
        start = _start(path, content)
        bits = read_pages(path, content, max_pixels=most)[0].bits if "TIFF" in formats and is_tiff(start) else 8
        bits = start[PNG_DEPTH] if start.startswith(PNG_START) and len(start) > PNG_DEPTH else bits
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is checked below, and broken metadata harms no pixel
            with Image.open(path if content is None else io.BytesIO(content), formats=formats) as picture:
                _check_header(path, picture, bits, most)
                picture.load()
                _check_upright(path, picture)
                yield picture
    except BadInput:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(path, "more than 178,956,970", most) from error
    except DECODE_ERRORS as error:
        raise BadInput(
            f"{path}: cannot be read as a picture ({first_line(error)}); expected a whole "
            f"{'/'.join(name.lower() for name in formats)} file; copy or export it again"
        ) from error


def encode_png(image: npt.NDArray[np.uint8], text: Mapping[str, str] | None = None, mpp: float | None = None) -> bytes:
    """A picture as the bytes of a PNG file, with pinned encoder settings.

    Args:
        image: (H, W, 3) uint8.
        text: PNG text chunks, e.g. ``{"Software": "sian", "Synthetic": "true"}``, in the order given.
        mpp: micrometres a pixel, for PNG's own chunk of it and as text; None writes neither.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise BadInput(f"expected an image as (H, W, 3) uint8, found {image.shape} {image.dtype}")
    chunks = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        chunks.add_text(key, value)
    if mpp is not None:
        chunks.add_text("Micrometres a pixel", f"{mpp:.6g}")
    stream = io.BytesIO()
    dots = {} if mpp is None else {"dpi": (MICRONS_AN_INCH / mpp,) * 2}
    Image.fromarray(image).save(stream, "PNG", compress_level=PNG_COMPRESSION, pnginfo=chunks, **dots)
    return stream.getvalue()


def write_png(
    path: str | Path, image: npt.NDArray[np.uint8], text: Mapping[str, str] | None = None, mpp: float | None = None
) -> None:
    """Write a picture as PNG, atomically; see `encode_png` for the arguments."""
    write_bytes(path, encode_png(image, text, mpp))


def png_pixel_size(path: str | Path) -> float | None:
    """Micrometres a pixel by a PNG's own chunk (pHYs), if it is square and what a scan can have; None otherwise."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:  # the header alone
            dots = picture.info.get("dpi")
    except DECODE_ERRORS:
        return None
    if not dots or dots[0] != dots[1] or not dots[0]:
        return None
    microns = round(MICRONS_AN_INCH / float(dots[0]), 4)
    return microns if BELIEVED[0] <= microns <= BELIEVED[1] else None


def read_png_text(path: str | Path) -> dict[str, str]:
    """The text chunks of a PNG, e.g. to see whether a picture says that it is synthetic."""
    with open_picture(Path(path), ("PNG",)) as picture:
        return {str(key): value for key, value in picture.info.items() if isinstance(value, str)}


def _start(path: Path, content: bytes | None) -> bytes:
    if content is not None:
        return content[: PNG_DEPTH + 1]
    with path.open("rb") as stream:
        return stream.read(PNG_DEPTH + 1)


def _check_header(path: Path, picture: Image.Image, bits: int, max_pixels: int) -> None:
    width, height = picture.size
    if width * height > max_pixels:
        raise _too_large(path, f"{height} x {width}", max_pixels)
    pages = 1 if picture.format == "TIFF" else getattr(picture, "n_frames", 1)  # a TIFF's were counted before
    if pages != 1:
        raise BadInput(f"{path}: found {pages} pages, expected a single picture; export one page alone")
    if bits != 8 and picture.mode not in ("1", "L", "I", "I;16", "I;16B", "F", "P"):
        raise BadInput(
            f"{path}: found {bits} bits a channel, expected 8-bit RGB: the low bits would be cut off; export it in 8 "
            "bits, scaled by the range that its values have"
        )


def _check_upright(path: Path, picture: Image.Image) -> None:
    try:
        orientation = picture.getexif().get(ORIENTATION, 1)
    except DECODE_ERRORS:
        return  # no program can apply what cannot be read
    if isinstance(orientation, int) and 2 <= orientation <= 8:
        raise BadInput(f"{path}: {turned(orientation)}")


def _too_large(path: Path, found: str, max_pixels: int) -> BadInput:
    return BadInput(f"{path}: found {found} pixels, expected at most {max_pixels:,}; cut it into tiles first")
