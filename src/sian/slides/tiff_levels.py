"""Read tiled TIFF in parts: OME-TIFF with its pyramid in SubIFDs, pyramids of pages, masks and pictures alike.

tifffile parses and unpacks; which tiles are unpacked is decided here: a level is never held whole. Only pages of
the file itself are read: other files that its OME-XML names are never opened. JPEG, LZW and the like need imagecodecs,
which ``sian[slides]`` brings.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sian.data.formats.ometiff import parse_xml, pixel_size
from sian.data.formats.pixelsize import square_pixel
from sian.errors import BadInput, MissingResource, first_line
from sian.files.images import BELIEVED, TIFF_ERRORS
from sian.files.tiff import DEFLATE_RATIO, DEFLATES, SUSPICIOUS_BYTES, turned, unpacks_within
from sian.slides.levels import Area, check_sizes

MOST_LEVELS = 32
MOST_SEGMENTS = 1 << 22  # tiles of a level; 300,000 x 300,000 px in tiles of 256 are 1.4 million
LARGEST_TILE = 4096  # px on a side; strips may be as wide as the picture
LARGEST_UNPACKED = 256 << 20  # bytes of one tile or strip
QUIET = logging.NullHandler()
MICRONS_A_UNIT = {2: 25_400.0, 3: 10_000.0}  # TIFF's ResolutionUnit: inch, centimetre
LEAST_MPP, MOST_MPP = BELIEVED
IMAGEJ_MICRONS = ("unit=micron", "unit=um", "unit=µm", "unit=\\u00B5m")


class TiffLevels:
    """A TIFF as a pyramid; see `sian.slides.levels.Levels`.

    Args:
        path: the file.

    Raises:
        BadInput: broken, cut short, turned, or tiles that are not stored.
    """

    def __init__(self, path: Path) -> None:
        import tifffile

        self.path = path
        logging.getLogger("tifffile").addHandler(QUIET)
        try:
            self._file = tifffile.TiffFile(path, is_ome=False)
        except TIFF_ERRORS as error:
            raise self._broken(error) from error
        try:
            self._pages = _levels(self._file)
            self._check()
            self.sizes: Sequence[tuple[int, int]] = [(int(p.imagelength), int(p.imagewidth)) for p in self._pages]
            check_sizes(path, self.sizes)
            self.mpp = _mpp(path, self._pages[0], str(self._pages[0].description))
        except BadInput:
            self.close()
            raise
        except TIFF_ERRORS as error:
            self.close()
            raise self._broken(error) from error

    def read(self, level: int, area: Area) -> NDArray[Any]:
        """See `Levels.read`."""
        page = self._pages[level]
        samples = int(page.samplesperpixel)
        found = np.zeros((area.height, area.width, samples), page.dtype)
        separate = samples > 1 and int(page.planarconfig) == 2
        rows, columns = _tile(page)
        across, down = math.ceil(page.imagewidth / columns), math.ceil(page.imagelength / rows)
        for plane in range(samples if separate else 1):
            for y in range(area.top // rows, -(-area.bottom // rows)):
                for x in range(area.left // columns, -(-area.right // columns)):
                    pixels = self._segment(page, (plane * down + y) * across + x)
                    into = found[..., plane : plane + 1] if separate else found
                    _place(into, pixels, area, y * rows, x * columns)
        return found[..., 0] if samples == 1 else found

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _segment(self, page: Any, index: int) -> NDArray[Any]:
        """One tile or strip, (h, w, samples)."""
        count = int(page.databytecounts[index])
        try:
            handle = self._file.filehandle
            handle.seek(int(page.dataoffsets[index]))
            packed = handle.read(count)
            rows, columns = _tile(page)
            raw = rows * columns * int(page.samplesperpixel) * np.dtype(page.dtype).itemsize
            deflated = int(page.compression) in DEFLATES and count * DEFLATE_RATIO > max(SUSPICIOUS_BYTES, 2 * raw)
            if deflated and not unpacks_within(packed, raw):
                raise BadInput(
                    f"{self.path}: found a tile that unpacks to more than its {raw:,} bytes; export it again"
                )
            pixels = page.decode(packed, index, jpegtables=page.jpegtables)[0]
        except TIFF_ERRORS as error:
            if isinstance(error, BadInput):
                raise
            if "imagecodecs" in str(error):
                raise MissingResource(
                    f"{self.path}: its compression needs the package imagecodecs, which is not installed here; get it "
                    "with `pip install 'sian[slides]'`"
                ) from error
            raise self._broken(error) from error
        if pixels is None:
            raise BadInput(f"{self.path}: a tile is not stored; expected all of them; export it again")
        array: NDArray[Any] = pixels[0]
        return array

    def _check(self) -> None:
        size = int(self._file.filehandle.size)
        for number, page in enumerate(self._pages):
            _check_page(self.path, page, number, size)
            if (page.dtype, page.samplesperpixel) != (self._pages[0].dtype, self._pages[0].samplesperpixel):
                raise BadInput(f"{self.path}: level {number} has other pixels than level 0; export it again")

    def _broken(self, error: Exception) -> BadInput:
        return BadInput(f"{self.path}: cannot be read as a TIFF ({first_line(error)[:200]}); copy or export it again")


def _levels(file: Any) -> list[Any]:
    """The pages of the pyramid: SubIFDs of the first page, else the pages behind it that get smaller."""
    import itertools

    first = file.pages.first
    below = list(itertools.islice(first.pages, MOST_LEVELS)) if first.subifds else []
    behind = [] if below else list(itertools.islice(file.pages, 1, MOST_LEVELS))
    found = [first]
    for page in below or behind:
        smaller = page.imagelength < found[-1].imagelength and page.imagewidth < found[-1].imagewidth
        alike = abs(page.imagewidth * first.imagelength / (page.imagelength * first.imagewidth or 1) - 1) < 0.1
        if below or (smaller and alike and page.is_tiled == first.is_tiled and page.is_reduced):
            found.append(page)
    return found


def _check_page(path: Path, page: Any, level: int, size: int) -> None:
    if 2 <= int(page.tags.valueof("Orientation", 1)) <= 8:
        raise BadInput(f"{path}: {turned(int(page.tags.valueof('Orientation', 1)))}")
    if page.dtype is None or int(page.imagedepth) != 1:
        raise BadInput(
            f"{path}: found pixels of an unknown kind; expected 8-bit RGB, or whole numbers; export it again"
        )
    rows, columns = _tile(page)
    samples, width = int(page.samplesperpixel), np.dtype(page.dtype).itemsize
    if not (rows > 0 and columns > 0 and rows * columns * samples * width <= LARGEST_UNPACKED) or (
        page.is_tiled and max(rows, columns) > LARGEST_TILE
    ):
        raise BadInput(
            f"{path}: found tiles of {rows} x {columns} px, expected at most {LARGEST_TILE}; export it again"
        )
    across, down = math.ceil(page.imagewidth / columns), math.ceil(page.imagelength / rows)
    expected = across * down * (samples if samples > 1 and int(page.planarconfig) == 2 else 1)
    offsets, counts = np.asarray(page.dataoffsets, np.int64), np.asarray(page.databytecounts, np.int64)
    if expected > MOST_SEGMENTS:
        raise BadInput(f"{path}: found {expected:,} tiles, expected at most {MOST_SEGMENTS:,}; export it again")
    stored = int(((offsets > 0) & (counts > 0)).sum()) if len(offsets) == len(counts) else 0
    if stored < expected:
        raise BadInput(
            f"{path}: level {level} holds {stored:,} of {expected:,} tiles: the others are not stored and would be "
            "read as 0; expected all of them; export it again"
        )
    end = int((offsets + counts).max(initial=0))
    if end > size:
        raise BadInput(f"{path}: level {level} is cut short ({size:,} bytes of {end:,}); copy it again")


def _tile(page: Any) -> tuple[int, int]:
    """Height and width of a tile or strip."""
    if page.is_tiled:
        return int(page.tilelength), int(page.tilewidth)
    return min(int(page.rowsperstrip), int(page.imagelength)), int(page.imagewidth)


def _place(into: NDArray[Any], pixels: NDArray[Any], area: Area, top: int, left: int) -> None:
    """Copy what a tile has in common with an area."""
    y, x = max(top, area.top), max(left, area.left)
    bottom, right = min(top + pixels.shape[0], area.bottom), min(left + pixels.shape[1], area.right)
    if bottom > y and right > x:
        into[y - area.top : bottom - area.top, x - area.left : right - area.left] = pixels[
            y - top : bottom - top, x - left : right - left
        ]


def _mpp(path: Path, page: Any, description: str) -> float | None:
    """Micrometres a pixel: of OME-XML, else of resolution tags that are believable."""
    if description.lstrip().startswith("<"):
        found = pixel_size(path, parse_xml(path, description))
        if found is not None:
            return found
    return _resolution(path, page, description)


def _resolution(path: Path, page: Any, description: str) -> float | None:
    unit = MICRONS_A_UNIT.get(int(page.tags.valueof("ResolutionUnit", 2)))
    if description.startswith("ImageJ") and any(word in description for word in IMAGEJ_MICRONS):
        unit = 1.0
    sides = [_a_pixel(page.tags.valueof(tag), unit) for tag in ("XResolution", "YResolution")]
    return square_pixel(str(path), *sides) if None not in sides else None


def _a_pixel(resolution: Any, microns_a_unit: float | None) -> float | None:
    try:
        pixels = resolution[0] / resolution[1]
        length = microns_a_unit / pixels
    except (TypeError, IndexError, ZeroDivisionError):
        return None
    return round(float(length), 6) if LEAST_MPP <= length <= MOST_MPP else None
