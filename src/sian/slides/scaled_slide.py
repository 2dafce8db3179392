"""A slide at another magnification, read in parts: fixed blocks are rescaled, so that a pixel has one value only."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sian.slides.levels import Area

if TYPE_CHECKING:
    from sian.slides.slide import Slide

BLOCK = 512  # px of the rescaled slide
SUPPORT = 4  # px of the source around a block's own, for the filter
HELD = 32  # blocks


class ScaledSlide:
    """One level of a slide, as it is or rescaled.

    Args:
        slide: opened.
        level: which is read.
        factor: px of this slide along one of the level; 1 reads the level as it is.

    Attributes:
        shape: height and width.
        to_full: px of the slide's full size along one of these.
    """

    def __init__(self, slide: Slide, level: int = 0, factor: float = 1.0) -> None:
        self.slide, self.level, self.factor = slide, level, factor
        height, width = slide.sizes[level]
        self.shape = (max(1, round(height * factor)), max(1, round(width * factor)))
        self.to_full = slide.shape[0] / self.shape[0], slide.shape[1] / self.shape[1]
        self._block = lru_cache(maxsize=HELD)(self._rescaled)

    def part(self, area: Area) -> NDArray[np.uint8]:
        """(h, w, 3) uint8."""
        if self.factor == 1:
            return self.slide.part(area, self.level)
        found = np.empty((area.height, area.width, 3), np.uint8)
        for y in range(area.top // BLOCK, -(-area.bottom // BLOCK)):
            for x in range(area.left // BLOCK, -(-area.right // BLOCK)):
                whole = Area(y * BLOCK, x * BLOCK, BLOCK, BLOCK).inside(self.shape)
                top, left = max(whole.top, area.top), max(whole.left, area.left)
                bottom, right = min(whole.bottom, area.bottom), min(whole.right, area.right)
                found[top - area.top : bottom - area.top, left - area.left : right - area.left] = self._block(y, x)[
                    top - whole.top : bottom - whole.top, left - whole.left : right - whole.left
                ]
        return found

    def _rescaled(self, y: int, x: int) -> NDArray[np.uint8]:
        whole = Area(y * BLOCK, x * BLOCK, BLOCK, BLOCK).inside(self.shape)
        source = self.slide.sizes[self.level]
        steps = source[0] / self.shape[0], source[1] / self.shape[1]
        box = [whole.left * steps[1], whole.top * steps[0], whole.right * steps[1], whole.bottom * steps[0]]
        first = int(box[1]) - SUPPORT, int(box[0]) - SUPPORT
        cut = Area(
            first[0], first[1], int(box[3]) + 1 + SUPPORT - first[0], int(box[2]) + 1 + SUPPORT - first[1]
        ).inside(source)
        pixels = Image.fromarray(self.slide.part(cut, self.level))
        inner = (box[0] - cut.left, box[1] - cut.top, box[2] - cut.left, box[3] - cut.top)
        method = Image.Resampling.BOX if self.factor < 1 else Image.Resampling.BICUBIC
        return np.asarray(pixels.resize((whole.width, whole.height), method, box=inner))
