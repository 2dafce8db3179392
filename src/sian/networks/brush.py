"""A local generator bound to one style, in the two parts of a painting: coarse on the whole image, fine in windows.

`sian.synthesis.painting` walks over an image with a brush and does not know what computes it: the generator as it was
trained (`PlainBrush`, here), its folded form (`sian.networks.folded`), or another library's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

from torch import Tensor

from sian.networks.generator import LEVELS, LevelGenerator

FINE = 4  # the first block of the fine part; it works at 1/4 of the image

Margins: TypeAlias = tuple[int, int, int, int]  # px of the image above, left, below and right of what is wanted
COARSE_LEVEL = 3  # of the features between the two parts
NO_MARGINS: Margins = (0, 0, 0, 0)


class Brush(Protocol):
    """What painting needs of a generator in one style."""

    def coarse(
        self, maps: Mapping[int, Tensor], noise: Sequence[Tensor | None], margins: Margins = NO_MARGINS
    ) -> Tensor:
        """Features after the coarse blocks without their margins, (1, c, h / 8, w / 8) if there are none.

        Args:
            maps: what the generator sees of the layout, by level: 3, 4 and 5 for 1/8, 1/16 and 1/32 of the image.
            noise: for each of the coarse blocks a (1, 1, h_b, w_b) map or None.
            margins: px that are given for what the blocks see of them, multiples of 32.
        """
        ...

    def fine(
        self,
        x: Tensor,
        maps: Mapping[int, Tensor],
        noise: Sequence[Tensor | None],
        margins: Margins = NO_MARGINS,
    ) -> Tensor:
        """The image without its margins, in [-1, 1]; (1, 3, h, w) if there are none.

        Args:
            x: (1, c, h / 8, w / 8), what `coarse` returned or a part of it.
            maps: levels 0, 1 and 2.
            noise: for each of the fine blocks a map or None.
            margins: px that are given for what the blocks see of them, multiples of 8.
        """
        ...


class PlainBrush:
    """A generator as it is.

    Args:
        generator: in eval mode.
        style: (1, D) on its device.
    """

    def __init__(self, generator: LevelGenerator, style: Tensor) -> None:
        self.generator, self.style = generator, style

    def coarse(
        self, maps: Mapping[int, Tensor], noise: Sequence[Tensor | None], margins: Margins = NO_MARGINS
    ) -> Tensor:
        """See `Brush`."""
        x = self.generator.begin(maps[LEVELS[0]], self.style)
        for index in range(FINE):
            x = self.generator.block(index, x, maps[LEVELS[index]], self.style, noise[index])
        return within(x, at_level(margins, COARSE_LEVEL))

    def fine(
        self,
        x: Tensor,
        maps: Mapping[int, Tensor],
        noise: Sequence[Tensor | None],
        margins: Margins = NO_MARGINS,
    ) -> Tensor:
        """See `Brush`."""
        for index, drawn in enumerate(noise, FINE):
            x = self.generator.block(index, x, maps[LEVELS[index]], self.style, drawn)
        return within(self.generator.finish(x), margins)


def at_level(margins: Margins, level: int) -> Margins:
    """Margins in pixels of a level."""
    top, left, bottom, right = (margin >> level for margin in margins)
    return top, left, bottom, right


def within(x: Tensor, margins: Margins) -> Tensor:
    """(n, c, h, w) without its margins, a view."""
    top, left, bottom, right = margins
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]
