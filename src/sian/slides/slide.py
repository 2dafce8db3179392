"""A slide: open it, read a region of it at a level or at a pixel size, as 8-bit RGB."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sian.errors import BadInput, warn
from sian.files.images import (
    LARGEST_MPP,
    MAX_PIXELS,
    SCANNER_SUFFIXES,
    SMALLEST_MPP,
    ZARR_SUFFIXES,
    png_pixel_size,
    read_image,
)
from sian.files.regular import check_filled
from sian.files.tiff import is_tiff
from sian.slides.levels import Area, Levels, WholePicture, check_area
from sian.slides.openslide_levels import OpenSlideLevels, vendor
from sian.slides.tiff_levels import TiffLevels
from sian.slides.zarr_levels import ZarrLevels

if TYPE_CHECKING:
    from types import TracebackType

GENERIC = "generic-tiff"  # OpenSlide's name for a TIFF of no scanner; tifffile knows more of those


@dataclass(frozen=True, eq=False)
class Picture:
    """What was read of a slide.

    Attributes:
        pixels: (H, W, 3) uint8.
        mpp: micrometres a pixel; None if the file does not say.
        area: where it lies, in px of level 0.
    """

    pixels: NDArray[np.uint8]
    mpp: float | None
    area: Area


class Slide:
    """A picture of any size, of which parts are read.

    Attributes:
        path: the file.
        sizes: (height, width) of each level, the largest first.
        mpp: micrometres a pixel of level 0; None if the file does not say so believably.
    """

    def __init__(self, path: Path, levels: Levels) -> None:
        self.path, self._levels, self.sizes = path, levels, list(levels.sizes)
        self.mpp = believable(path, levels.mpp)

    def __repr__(self) -> str:
        height, width = self.shape
        return f"Slide({self.path.name}, {height} x {width} px, {len(self.sizes)} levels, mpp {self.mpp})"

    def __enter__(self) -> Slide:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of level 0."""
        return self.sizes[0]

    def step(self, level: int) -> float:
        """How many px of level 0 lie along one of a level.

        Raises:
            BadInput: there is no such level.
        """
        if not 0 <= level < len(self.sizes):
            sizes = ", ".join(f"{number}: {height} x {width}" for number, (height, width) in enumerate(self.sizes))
            raise BadInput(f"{self.path}: has no level {level}; expected one of these levels: {sizes}")
        return self.shape[0] / self.sizes[level][0]

    def read(self, area: Area | None = None, level: int = 0) -> Picture:
        """Read a region.

        Args:
            area: in px of level 0; the whole slide if None.
            level: at which it is read.

        Raises:
            BadInput: no such level, a region beyond the slide, or too many pixels to read at once.
        """
        step = self.step(level)
        whole = Area(0, 0, *self.shape)
        area = area or whole
        if area.bottom > self.shape[0] or area.right > self.shape[1] or min(area.top, area.left) < 0:
            raise BadInput(
                f"{self.path}: a region of {area}: expected it inside the slide's {self.shape[0]} x {self.shape[1]} px"
            )
        height, width = self.sizes[level]
        top, left = min(round(area.top / step), height - 1), min(round(area.left / step), width - 1)
        cut = Area(
            top,
            left,
            min(max(1, round(area.height / step)), height - top),
            min(max(1, round(area.width / step)), width - left),
        )
        return Picture(self.part(cut, level), self.mpp and self.mpp * step, area)

    def part(self, area: Area, level: int = 0) -> NDArray[np.uint8]:
        """A part of a level in its own px, (h, w, 3) uint8.

        Raises:
            BadInput: beyond the level, too large, or not 8-bit RGB.
        """
        check_area(self.path, self.sizes[level], area)
        return as_colours(self.path, self._levels.read(level, area))

    def level_for(self, wanted: float, mpp: float) -> int:
        """The coarsest level that is no coarser than `wanted`, by a tenth at most, where level 0 has `mpp`."""
        fine = [number for number in range(len(self.sizes)) if mpp * self.step(number) <= 1.1 * wanted]
        return max(fine, default=0)

    def close(self) -> None:
        """Close the file."""
        self._levels.close()


def open_slide(path: str | Path) -> Slide:
    """Open a slide or an ordinary picture; what it holds decides how it is read.

    Args:
        path: SVS, NDPI, MRXS, SCN and the like (needs ``sian[slides]``), tiled or pyramidal TIFF, OME-TIFF, an OME-Zarr
            folder (needs ``sian[formats]``), or PNG, TIFF, WebP, JPEG.

    Raises:
        BadInput: no such file, not a picture, broken, or not 8-bit RGB.
        MissingResource: a package that its format needs is not installed.

    Warns:
        SianWarning: the file says a pixel size that no scan has; it is left out.
    """
    path = Path(path)
    return Slide(path, _levels(path))


def read_picture(path: str | Path, area: Area | None = None, level: int = 0) -> Picture:
    """`Slide.read` of a file that is opened for it alone."""
    with open_slide(path) as slide:
        return slide.read(area, level)


def _levels(path: Path) -> Levels:
    suffix = path.suffix.lower()
    if path.is_dir() or suffix in ZARR_SUFFIXES:
        return ZarrLevels(path)
    check_filled(path, "a picture")
    if suffix in SCANNER_SUFFIXES:
        return OpenSlideLevels(path)
    with path.open("rb") as stream:
        start = stream.read(4)
    if not is_tiff(start):
        return WholePicture(read_image(path), png_pixel_size(path))
    if vendor(path) not in (None, GENERIC):
        return OpenSlideLevels(path)
    tiled = TiffLevels(path)
    height, width = tiled.sizes[0]
    if len(tiled.sizes) > 1 or height * width > MAX_PIXELS:
        return tiled
    tiled.close()
    return WholePicture(read_image(path), tiled.mpp)  # which also refuses what has pages of other things


def as_colours(path: Path, found: NDArray[Any]) -> NDArray[np.uint8]:
    """Pixels as (h, w, 3) uint8, an alpha channel that is opaque left out.

    Raises:
        BadInput: not 8-bit RGB.
    """
    if found.ndim != 3 or found.shape[2] not in (3, 4) or found.dtype != np.uint8:
        shape = "grey" if found.ndim == 2 else f"{found.shape[-1]} numbers a pixel of"
        raise BadInput(f"{path}: expected an 8-bit RGB picture, found {shape} {found.dtype}; export it as RGB")
    if found.shape[2] == 4 and (found[..., 3] != 255).any():
        raise BadInput(f"{path}: found transparent pixels, expected RGB; export it without transparency")
    return np.ascontiguousarray(found[..., :3])


def believable(path: Path, mpp: float | None) -> float | None:
    """A pixel size that a light microscope can have; None and a warning for any other."""
    if mpp is None or SMALLEST_MPP <= mpp <= LARGEST_MPP:
        return mpp
    warn(
        f"{path}: says {mpp:g} micrometres a pixel, which no scan of tissue has; it is taken as unknown; give --mpp if "
        "you know it"
    )
    return None
