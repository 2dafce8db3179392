"""Windows of slides' tissue as named pictures to evaluate: what `sian evaluate` does with slides among its folders.

Windows don't overlap, hold at least half tissue where there are such, and are spread over the slide; nothing is drawn
by chance. They are cut when they are asked for, so that slides of any size may be given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sian.errors import BadInput
from sian.files.images import SCANNER_SUFFIXES, ZARR_SUFFIXES, differs
from sian.slides import open_slide
from sian.slides.levels import Area
from sian.slides.scaled_slide import ScaledSlide
from sian.slides.tiff_levels import TiffLevels
from sian.slides.tissue import LARGEST_PICTURE, SIDE, tissue_windows

if TYPE_CHECKING:
    from sian.evaluation.arrays import Image

MOST = 64  # windows of a slide


@dataclass(frozen=True)
class Cut:
    """How slides are cut.

    Attributes:
        side: of a window, px of the picture that is measured.
        most: windows of a slide, at most.
        mpp: micrometres a pixel of the windows; None for the slide's full size.
    """

    side: int = SIDE
    most: int = MOST
    mpp: float | None = None


def is_slide(path: Path) -> bool:
    """Whether a file is cut into windows: a scanner's, an OME-Zarr store, a pyramid, or larger than 4096 x 4096 px.

    A TIFF that cannot be read does not count; its reader says why.
    """
    suffix = path.suffix.lower()
    if suffix in (*SCANNER_SUFFIXES, *ZARR_SUFFIXES):
        return True
    if suffix not in (".tif", ".tiff"):
        return False
    try:
        levels = TiffLevels(path)
    except BadInput:
        return False
    levels.close()
    height, width = levels.sizes[0]
    return len(levels.sizes) > 1 or height * width > LARGEST_PICTURE


def slide_windows(path: Path, cut: Cut) -> dict[str, Callable[[], Image]]:
    """What reads the windows of a slide, by names that say where they lie on its full size: ``SLIDE_y02048_x00512``.

    Args:
        path: the slide.
        cut: how.

    Raises:
        BadInput: it cannot be read, has no tissue, is smaller than a window, or does not say its pixel size where
            it is asked for.
    """
    with open_slide(path) as slide:
        level, factor = 0, 1.0
        if cut.mpp is not None:
            if slide.mpp is None:
                raise BadInput(
                    f"{path}: --mpp {cut.mpp:g}, but the slide does not say its pixel size; leave --mpp out, or "
                    "write a slide that says it"
                )
            level = slide.level_for(cut.mpp, slide.mpp)
            own = slide.mpp * slide.step(level)
            factor = own / cut.mpp if differs(own, cut.mpp) else 1.0
        scaled = ScaledSlide(slide, level, factor)
        if min(scaled.shape) < cut.side:
            raise BadInput(
                f"{path}: found {scaled.shape[0]} x {scaled.shape[1]} px, expected at least a window of {cut.side} x "
                f"{cut.side} px; give a smaller --window"
            )
        full = max(scaled.to_full)
        areas = tissue_windows(slide, int(cut.side * full), cut.most)
    return {
        f"{path.stem}_y{area.top:05d}_x{area.left:05d}": _reading(path, level, factor, area, cut.side) for area in areas
    }


def digest_of(path: Path) -> str:
    """SHA-256 of a slide's bytes, of all files of a store in the order of their names."""
    from sian.files import sha256_file

    if path.is_file():
        return sha256_file(path)
    found = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        found.update(f"{file.relative_to(path).as_posix()} {sha256_file(file)}\n".encode())
    return found.hexdigest()


def _reading(path: Path, level: int, factor: float, area: Area, side: int) -> Callable[[], Image]:
    def read() -> Image:
        with open_slide(path) as slide:
            scaled = ScaledSlide(slide, level, factor)
            down, across = scaled.to_full
            top = min(int(area.top / down), scaled.shape[0] - side)
            left = min(int(area.left / across), scaled.shape[1] - side)
            return scaled.part(Area(top, left, side, side))

    return read
