"""Read what OpenSlide reads: SVS, NDPI, MRXS, SCN, BIF, Philips TIFF, DICOM (``pip install 'sian[slides]'``).

Why OpenSlide and not tiffslide, which builds on tifffile: tiffslide cannot open MRXS, Hamamatsu's VMS or DICOM, and
calls its own NDPI incomplete. openslide-python and openslide-bin make releases together, the second one has OpenSlide's
C library in it for Linux, macOS and Windows, and neither brings other packages than Pillow. Both are LGPL-2.1, which is
why they are an extra and unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sian.data.formats.pixelsize import microns, square_pixel
from sian.errors import BadInput, MissingResource, first_line
from sian.slides.levels import Area, check_sizes

if TYPE_CHECKING:
    from types import ModuleType

WHITE = (255, 255, 255)  # where a scanner took no picture


class OpenSlideLevels:
    """A slide by OpenSlide; see `sian.slides.levels.Levels`.

    Args:
        path: the file.

    Raises:
        BadInput: OpenSlide cannot read it.
        MissingResource: OpenSlide is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._library = path, _library()
        try:
            self._slide = self._library.OpenSlide(str(path))
            self.sizes: Sequence[tuple[int, int]] = [(height, width) for width, height in self._slide.level_dimensions]
            properties = dict(self._slide.properties)
        except self._library.OpenSlideError as error:
            raise self._broken(error) from error
        self.steps = [float(step) for step in self._slide.level_downsamples]
        check_sizes(path, self.sizes)
        self.mpp = _mpp(path, properties)

    def read(self, level: int, area: Area) -> NDArray[Any]:
        """See `Levels.read`; what the scanner left out is white."""
        step = self.steps[level]
        place = (round(area.left * step), round(area.top * step))  # OpenSlide counts in px of level 0
        try:
            pixels = self._slide.read_region(place, level, (area.width, area.height))
        except self._library.OpenSlideError as error:
            raise self._broken(error) from error
        canvas = Image.new("RGB", pixels.size, WHITE)
        canvas.paste(pixels, mask=pixels.getchannel("A"))
        return np.asarray(canvas)

    def close(self) -> None:
        """Close the file."""
        self._slide.close()

    def _broken(self, error: Exception) -> BadInput:
        return BadInput(
            f"{self.path}: OpenSlide cannot read it ({first_line(error)[:200]}); expected a whole slide of a format "
            "that it knows; copy it again, with the folder beside it where the format has one"
        )


def vendor(path: Path) -> str | None:
    """Which scanner's format OpenSlide takes a file for; None without OpenSlide, or if it knows none."""
    try:
        found: str | None = _library().OpenSlide.detect_format(str(path))
    except MissingResource:
        return None
    return found


def _library() -> ModuleType:
    try:
        import openslide
    except (ImportError, OSError) as error:  # OSError: the package without its C library
        raise MissingResource(
            "slides of scanners need the packages openslide-python and openslide-bin, which are not installed here; "
            "get them with `pip install 'sian[slides]'`"
        ) from error
    found: ModuleType = openslide
    return found


def _mpp(path: Path, properties: dict[str, str]) -> float | None:
    along_x, along_y = (microns(properties.get(f"openslide.mpp-{axis}"), "um") for axis in "xy")
    return square_pixel(str(path), along_x, along_y)
