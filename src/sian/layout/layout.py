"""The three masks that the generator is given for one instance mask, and their symmetries (docs/design.md, "Layout").

Does not make them: that is `sian.layout.describe`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sian.errors import BadInput
from sian.layout.tissue_map import turned_tissue

if TYPE_CHECKING:
    from numpy.typing import NDArray

SECTORS = 8  # paper, section 3.2: eight directions
DIRECTION_CLASSES = 1 + 2 * SECTORS  # background, eight near the centroid, eight far from it

Pixels = TypeVar("Pixels", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Layout:
    """Semantic, direction and distance mask of one image or of a window of it.

    Attributes:
        semantic: (H, W) bool; M, true on nuclei.
        direction: (H, W) uint8; P as class numbers. 0 background; 1 + k where the centroid of the pixel's
            nucleus lies in direction k and near, 9 + k where it is far. Direction 0 is to the right, 2 down,
            4 left, 6 up.
        distance: (H, W) float32 in [0, 1]; Q, 1 on a nucleus' skeleton, towards 0 at its outline, 0 in the
            background.
        centre: (H, W) bool or None; pixels that *are* their nucleus' centroid. They have no direction and
            stay in class 1 however the layout is turned. None if there are none.
        boundary: (H, W) bool or None; pixels with a neighbour of another id (what pix2pixHD and SPADE are given).
        depth: (H, W) float32 in [0, 1] or None; the distance to the outline over the nucleus' largest one (what
            Sharp-GAN is given).
        classes: (H, W) uint8 or None; the class of each pixel's nucleus, 1 for the first of `class_names`; 0 in the
            background and where the class is not known. None if no class was given.
        class_names: what the numbers mean.
        tissue: (H, W, 5) int8 or None; what lies between the nuclei, as `tissue_layers` makes it of a coarse map. None
            if no map was given.
    """

    semantic: NDArray[np.bool]
    direction: NDArray[np.uint8]
    distance: NDArray[np.float32]
    centre: NDArray[np.bool] | None = None
    boundary: NDArray[np.bool] | None = None
    depth: NDArray[np.float32] | None = None
    classes: NDArray[np.uint8] | None = None
    class_names: tuple[str, ...] = ()
    tissue: NDArray[np.int8] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.semantic.shape
        return height, width

    def _repr_png_(self) -> bytes:
        from sian.files.images import encode_png
        from sian.layout.layout_picture import layout_picture

        return encode_png(layout_picture(self.semantic, self.direction, self.distance, SECTORS))

    def window(self, y: int, x: int, height: int, width: int) -> Layout:
        """Cut a window; nuclei at its edge keep the centroid and skeleton that they have on the whole.

        Args:
            y: first row of the window.
            x: first column of the window.
            height: rows of the window, at least 1.
            width: columns of the window, at least 1.

        Returns:
            A layout that shares this one's memory.

        Raises:
            BadInput: the window reaches beyond the layout.
        """
        rows, columns = self.shape
        if min(y, x) < 0 or min(height, width) < 1 or y + height > rows or x + width > columns:
            raise BadInput(
                f"window of {height} x {width} px at row {y}, column {x}: expected it inside the layout "
                f"of {rows} x {columns} px; choose a smaller window or another position"
            )
        return self._each(lambda mask: mask[y : y + height, x : x + width])

    def turned(self, quarter_turns: int, flip: bool = False) -> Layout:
        """Flip left to right (if asked), then turn counter-clockwise, with the directions turned along.

        The geometry is that of `turn_image`. Class numbers are permuted, the distance is carried along; the
        turned mask is not described anew, because skeletons do not commute with flips.

        Args:
            quarter_turns: quarter turns counter-clockwise as displayed; any integer.
            flip: mirror left and right *before* turning.
        """
        turned = self._each(lambda mask: turn_image(mask, quarter_turns, flip))
        direction = turned_classes(quarter_turns, flip)[turned.direction]
        if turned.centre is not None:
            direction[turned.centre] = 1
        tissue = None if turned.tissue is None else turned_tissue(turned.tissue, quarter_turns, flip)
        return replace(turned, direction=direction, tissue=tissue)

    def _each(self, cut: Any) -> Layout:
        optional = (self.centre, self.boundary, self.depth, self.classes, self.tissue)
        centre, boundary, depth, classes, tissue = (None if mask is None else cut(mask) for mask in optional)
        always = cut(self.semantic), cut(self.direction), cut(self.distance)
        return Layout(*always, centre, boundary, depth, classes, self.class_names, tissue)


def turn_image(image: NDArray[Pixels], quarter_turns: int, flip: bool = False) -> NDArray[Pixels]:
    """Flip left to right (if asked), then turn counter-clockwise: ``rot90(fliplr(image), k)``.

    Args:
        image: (H, W) or (H, W, C), any dtype.
        quarter_turns: quarter turns counter-clockwise as displayed; any integer.
        flip: mirror left and right *before* turning.

    Returns:
        A contiguous array of (H, W) or (W, H) and the channels.

    >>> turn_image(np.array([[1, 2], [3, 4]]), 1)
    array([[2, 4],
           [1, 3]])
    """
    mirrored = np.fliplr(image) if flip else image
    return np.ascontiguousarray(np.rot90(mirrored, quarter_turns))


def turned_classes(quarter_turns: int, flip: bool) -> NDArray[np.uint8]:
    """Which class each one becomes: a mirror takes angle t to pi - t, a turn to t - pi/2 (y points down)."""
    sectors = np.arange(SECTORS)
    mirrored = SECTORS // 2 - sectors if flip else sectors
    turned = (mirrored - 2 * quarter_turns) % SECTORS
    return np.concatenate([[0], 1 + turned, 1 + SECTORS + turned]).astype(np.uint8)
