"""Instance masks on disk: 16-bit grey PNG, 32-bit deflate TIFF when ids go beyond 65,535 (docs/design.md, "Data set").

Read besides: 8-bit grey PNG, TIFF of any depth, and `.npy` (never with pickle); whole numbers in floats are ids too.
"""

from __future__ import annotations

import io
import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from sian.errors import BadInput, first_line
from sian.files import atomic_file, write_bytes
from sian.files.images import MAX_PIXELS, MICRONS_AN_INCH, PNG_COMPRESSION, PNG_DEPTH, TIFF_ERRORS, open_picture
from sian.files.numpy_files import map_npy
from sian.files.regular import check_filled
from sian.files.tiff import TiffPage, read_pages
from sian.masks.checking import check_mask, check_not_binary, whole_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

MASK_SUFFIXES = (".png", ".tif", ".tiff", ".npy")
MAX_PNG_ID = 65_535
REFUSED_PHOTOMETRICS = {0: "grey levels of which 0 is white", 3: "a palette picture"}
FEW_BITS = {4: 17, 2: 85}  # of a grey PNG: Pillow spreads these over 0 to 255
QUIET = logging.NullHandler()  # what tifffile says of a broken file is in our one sentence already


def read_mask(path: str | Path, *, numbered: bool = False) -> npt.NDArray[np.int32]:
    """Read an instance mask from .png, .tif, .tiff or .npy.

    Args:
        path: the file; here its name decides the format.
        numbered: whether it is known that each nucleus has its own id, as in a data set of SIAN; else a mask that looks
            binary is refused.

    Returns:
        (H, W) int32, 0 background, one id a nucleus; ids as they are in the file.

    Raises:
        BadInput: no such file, broken, too large, or not an instance mask (see `check_mask`).
    """
    mask = as_ids(read_stored(path), str(path))
    if not numbered:
        check_not_binary(mask, str(path))
    return mask


def as_ids(stored: npt.NDArray[Any], name: str) -> npt.NDArray[np.int32]:
    """`check_mask` of what a file holds: floats are ids if all of them are whole, as some programs write them."""
    is_float = np.issubdtype(stored.dtype, np.floating)
    return check_mask(whole_numbers(stored, name) if is_float else stored, name)


def read_stored(path: str | Path) -> npt.NDArray[Any]:
    """Read a mask's array as it is stored, of whatever shape and dtype, for `check_mask` to judge."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in MASK_SUFFIXES:
        raise BadInput(
            f"{path}: found {suffix or 'no suffix'}, expected a mask as {', '.join(MASK_SUFFIXES)}; "
            "export it as 16-bit grey PNG"
        )
    check_filled(path, "a mask")
    readers = {".png": _read_png, ".npy": _read_npy}
    return readers.get(suffix, _read_tiff)(path)


def write_mask(path: str | Path, mask: npt.ArrayLike, *, mpp: float | None = None) -> Path:
    """Write an instance mask atomically and return where it went.

    Args:
        path: a name that ends in .png; ids above 65,535 do not fit and go to the same name with .tif instead.
        mask: (H, W) integer ids.
        mpp: micrometres a pixel, kept in the file; None for unknown.

    Returns:
        The path that was written.
    """
    path = Path(path)
    array = check_mask(mask, str(path))
    if path.suffix.lower() == ".png" and int(array.max()) <= MAX_PNG_ID:
        write_bytes(path, encode_mask_png(array, mpp))
        return path
    if path.suffix.lower() not in (".png", ".tif", ".tiff"):
        raise BadInput(f"{path}: masks are written as .png or .tif; choose one of these")
    path = path if path.suffix.lower() in (".tif", ".tiff") else path.with_suffix(".tif")
    _write_tiff(path, array, mpp)
    return path


def encode_mask_png(mask: npt.NDArray[np.int32], mpp: float | None = None) -> bytes:
    """A checked mask with ids up to 65,535 as the bytes of a 16-bit grey PNG, its settings pinned."""
    if int(mask.max(initial=0)) > MAX_PNG_ID:
        raise BadInput(f"found id {int(mask.max())}, expected at most {MAX_PNG_ID} in a 16-bit PNG; write a .tif")
    stream = io.BytesIO()
    dots = {} if mpp is None else {"dpi": (MICRONS_AN_INCH / mpp,) * 2}
    Image.fromarray(mask.astype(np.uint16)).save(stream, "PNG", compress_level=PNG_COMPRESSION, **dots)
    return stream.getvalue()


def decode_mask_png(content: bytes, name: str = "mask") -> npt.NDArray[np.int32]:
    """What `encode_mask_png` wrote, or any other grey PNG: (H, W) int32; `name` is what errors call it."""
    return as_ids(_read_png(Path(name), content), name)


def _read_png(path: Path, content: bytes | None = None) -> npt.NDArray[Any]:
    with open_picture(path, ("PNG",), content=content) as picture:
        if picture.mode == "P":
            raise BadInput(f"{path}: found a palette picture, expected one id a nucleus; export it as 16-bit grey")
        array = np.array(picture)
    if content is None:
        with path.open("rb") as stream:
            content = stream.read(PNG_DEPTH + 1)
    return array // FEW_BITS.get(content[PNG_DEPTH], 1) if picture.mode == "L" else array


def _read_npy(path: Path) -> npt.NDArray[Any]:
    array = map_npy(path, "an array of integers")
    _check_pixels(path, array.shape)
    return np.array(array)


def _read_tiff(path: Path) -> npt.NDArray[Any]:
    (page,) = read_pages(path, max_pixels=MAX_PIXELS)
    _check_grey(path, page)
    return tiff_arrays(path)[0]


def _check_grey(path: Path, page: TiffPage) -> None:
    if page.photometric in REFUSED_PHOTOMETRICS:
        found = REFUSED_PHOTOMETRICS[page.photometric]
        raise BadInput(f"{path}: found {found}, expected one id a nucleus; export it as 16-bit grey")


def tiff_arrays(path: Path) -> list[npt.NDArray[Any]]:
    """The pages of a TIFF that `read_pages` found good, at full size; other files that it names are never opened.

    Raises:
        BadInput: tifffile cannot unpack it.
    """
    with _opened_tiff(path) as file:
        return [np.asarray(page.asarray(maxworkers=1)) for page in file.pages]


def tiff_description(path: Path) -> str:
    """The description of a TIFF's first page: OME-XML, where it is an OME-TIFF."""
    with _opened_tiff(path) as file:
        return str(file.pages.first.description)


@contextmanager
def _opened_tiff(path: Path) -> Iterator[Any]:
    import tifffile

    logging.getLogger("tifffile").addHandler(QUIET)
    try:
        with tifffile.TiffFile(path, is_ome=False) as file:
            yield file
    except TIFF_ERRORS as error:
        raise BadInput(
            f"{path}: cannot be read as a TIFF ({first_line(error)[:200]}); export it again, masks as 16-bit grey PNG"
        ) from error


def _write_tiff(path: Path, mask: npt.NDArray[np.int32], mpp: float | None = None) -> None:
    import tifffile

    with atomic_file(path) as temporary, temporary.open("wb") as stream:
        dots: dict[str, Any] = {} if mpp is None else {"resolution": (1e4 / mpp,) * 2, "resolutionunit": "CENTIMETER"}
        tifffile.imwrite(stream, mask.astype(np.uint32), compression="zlib", metadata=None, software="sian", **dots)


def _check_pixels(path: Path, shape: tuple[int, ...]) -> None:
    pixels = int(np.prod(shape, dtype=np.float64))
    if pixels > MAX_PIXELS:
        raise BadInput(f"{path}: found shape {shape}, expected at most {MAX_PIXELS:,} pixels; cut it into tiles first")
