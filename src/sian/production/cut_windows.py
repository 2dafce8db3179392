"""Windows of tissue out of pictures and slides of any size, at the magnification that a model works at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sian.errors import BadInput
from sian.files.images import differs
from sian.slides import open_slide
from sian.slides.tissue import tissue_windows
from sian.synthesis.magnification import rescale_image

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def slide_windows(
    path: Path, mpp: float | None, side: int, most: int, given: float | None = None
) -> list[NDArray[np.uint8]]:  # fmt: skip
    """Windows of tissue at the model's magnification; a picture that is smaller is one window.

    Args:
        path: of a picture or slide.
        mpp: micrometres a pixel of the model; a slide that says another is rescaled.
        side: px of a window.
        most: windows of one slide.
        given: micrometres a pixel of the slide, in the place of what it says itself.

    Returns:
        (side, side, 3) uint8 each, smaller where the picture is.

    Raises:
        BadInput: it cannot be read, or is smaller than half a window.
    """
    with open_slide(path) as slide:
        full = given or slide.mpp
        # Px of level 0 in one of the model's.
        factor = mpp / full if mpp and full and differs(full, mpp) else 1.0
        own = min(round(side * factor), *slide.shape)
        shape = (round(own / factor),) * 2
        if min(shape) < side // 2:
            height, width = slide.shape
            raise BadInput(
                f"{path}: found {height} x {width} px, expected at least {side // 2} x {side // 2} px at the model's "
                "magnification; leave it out"
            )
        level = slide.level_for(mpp, full) if mpp and full else 0
        areas = tissue_windows(slide, own, most)
        return [rescale_image(slide.read(area, level).pixels, shape) for area in areas]
