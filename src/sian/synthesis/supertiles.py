"""Paint an image of any size tile by tile, in memory that the tile's size bounds: the same pixels up to rounding.

A local generator sees a bounded part of the layout around a pixel. So a *super-tile* is painted from its own part of
the layout with a halo around it, and what it paints does not depend on where the image is cut. The noise is a function
of the position already. Only the rounding of sums may differ from painting in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sian.errors import BadInput
from sian.networks import FINE, LEVELS
from sian.networks.generator import STRIDE, Generator, doubles
from sian.slides.levels import Area
from sian.synthesis.painting import MARGIN, WINDOW, Noise, paint_core

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from sian.layout import Layout
    from sian.networks import Brush, GeneratorInterface
    from sian.networks.layouts import Upsampling

SIDE = 2048  # px of a super-tile; at 1024 the halo costs a third more, and 2048 needs 1.2 GB
FEATURES_SEEN = 2  # px of a block's level on each side: two 3x3 convolutions
LAYOUT_SEEN = 5  # px likewise: three 3x3 convolutions make the modulation of the first of these two
START_SEEN = 1  # px at 1/32: the convolution that begins


def halo(margin: int = MARGIN, upsampling: Upsampling = "nearest") -> int:
    """Px of layout around an area that decide its pixels, a multiple of 32, for an area that starts at such a multiple.

    Walks back from the features that the fine windows are given, block by block: what a block at 1 / 2**level needs of
    the layout and of the features before it, whole pixels of that level. Bilinear doubling mixes in one more.

    >>> halo(), halo(upsampling="bilinear")
    (288, 320)
    """
    edge = seen = -margin
    for index in reversed(range(FINE)):
        level = LEVELS[index]
        first = edge // 2**level
        seen = min(seen, (first - LAYOUT_SEEN) * 2**level)
        edge = (first - FEATURES_SEEN - (upsampling == "bilinear" and doubles(index))) * 2**level
    seen = min(seen, (edge // STRIDE - START_SEEN) * STRIDE)
    return -(seen // STRIDE * STRIDE)


@dataclass(frozen=True)
class SuperTile:
    """One part of an image that is painted at a time.

    Attributes:
        row: which one from the top.
        column: which one from the left.
        core: what it paints, within the image.
        cut: what it needs of the layout, within the image: the core and the halo around it.
    """

    row: int
    column: int
    core: Area
    cut: Area

    @property
    def name(self) -> str:
        """For files and logs."""
        return f"{self.row:04d}-{self.column:04d}"


def supertiles(
    shape: tuple[int, int], side: int = SIDE, upsampling: Upsampling = "nearest"
) -> list[SuperTile]:  # fmt: skip
    """The super-tiles of an image, row by row.

    Args:
        shape: height and width of the image.
        side: of a super-tile, a multiple of 512, so that the fine windows are those of painting in one pass.
        upsampling: the generator's.

    Raises:
        BadInput: another side.
    """
    if side % WINDOW or side <= 0:
        raise BadInput(f"super-tiles of {side} px: expected a multiple of {WINDOW}, e.g. {SIDE}")
    around = halo(upsampling=upsampling)
    tiles = []
    for row, top in enumerate(range(0, shape[0], side)):
        for column, left in enumerate(range(0, shape[1], side)):
            core = Area(top, left, side, side).inside(shape)
            tiles.append(SuperTile(row, column, core, core.grown(around, shape)))
    return tiles


def check_local(generator: GeneratorInterface) -> Generator:
    """SIAN's generator, whose pixels depend on a bounded part of the layout.

    Raises:
        BadInput: another one.
    """
    if not isinstance(generator, Generator):
        raise BadInput(
            "this network paints an image as a whole, so it cannot paint one tile by tile; choose a SIAN model, or cut "
            "the mask into tiles"
        )
    return generator


def paint_supertile(
    generator: Generator, layout: Layout, style: Tensor, noise: Noise, tile: SuperTile, brush: Brush | None = None
) -> NDArray[np.uint8]:
    """Paint one super-tile.

    Args:
        generator: in eval mode.
        layout: of the tile's `cut`, described as it is on the whole image.
        style: (D,) on the generator's device.
        noise: of the whole image.
        tile: which one.
        brush: as for `paint`.

    Returns:
        (h, w, 3) uint8, the tile's `core`.
    """
    shifted = replace(noise, origin=(noise.origin[0] + tile.cut.top, noise.origin[1] + tile.cut.left))
    core = tile.core.seen_from(tile.cut)
    return paint_core(generator, layout, style, shifted, (core.top, core.left, core.bottom, core.right), brush=brush)
