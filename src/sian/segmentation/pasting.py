"""Copy-paste of nuclei between tiles (Ghiasi et al. 2021, for nuclei): a control that needs no generator.

A nucleus is copied with its own pixels alone, nothing blended, to a place where it covers background only. Its
classes, direction and distance come with it and nothing else changes, since each of these is a function of the
nucleus alone (`sian.layout`, `sian.segmentation.targets`): what touches what does not matter to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sian.layout import Layout, turn_image
from sian.masks.boxes import nucleus_boxes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Window:
    """A window and what is known of its pixels.

    Attributes:
        image: (h, w, 3) uint8.
        classes: (h, w) uint8, background, interior, border.
        layout: (h, w).
    """

    image: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    layout: Layout

    def turned(self, turns: int, flip: bool) -> Window:
        """All of it flipped and turned alike; see `sian.layout.turn_image`."""
        image, classes = (turn_image(part, turns, flip) for part in (self.image, self.classes))
        return Window(image, classes, self.layout.turned(turns, flip))

    def cut(self, y: int, x: int, height: int, width: int) -> Window:
        """A part of it, which shares its memory."""
        here = np.s_[y : y + height, x : x + width]
        return Window(self.image[here], self.classes[here], self.layout.window(y, x, height, width))


@dataclass(frozen=True, eq=False)
class Donor:
    """The nuclei of a tile that can be taken.

    Attributes:
        whole: the tile.
        mask: (H, W) instance mask.
        ids: of the nuclei that the tile's edge does not cut.
        boxes: (n, 4) first row, first column, height, width of each.
    """

    whole: Window
    mask: NDArray[np.int32]
    ids: NDArray[np.int64]
    boxes: NDArray[np.int64]


def donor(whole: Window, mask: NDArray[np.int32]) -> Donor:
    """Find the nuclei of a tile that can be taken; a cut one would show its edge."""
    height, width = mask.shape
    ids, boxes = [], []
    for number, (rows, columns) in nucleus_boxes(mask).items():
        if rows.start > 0 and columns.start > 0 and rows.stop < height and columns.stop < width:
            ids.append(number)
            boxes.append((rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start))
    return Donor(whole, mask, np.array(ids, np.int64), np.array(boxes, np.int64).reshape(-1, 4))


def paste(window: Window, donors: Sequence[Donor], count: int, random: np.random.Generator) -> Window:
    """Offer nuclei to a window; each is turned at random, tried at one place, and taken if it covers background only.

    Args:
        window: is left as it is.
        donors: the tiles to take from.
        count: nuclei that are offered.
        random: where the choices come from.

    Returns:
        A new window of the same size.
    """
    image, classes = window.image.copy(), window.classes.copy()
    before = window.layout
    semantic, direction, distance = before.semantic.copy(), before.direction.copy(), before.distance.copy()
    centre = np.zeros(classes.shape, np.bool_) if before.centre is None else before.centre.copy()
    for _ in range(count):
        source = donors[int(random.integers(len(donors)))]
        if not len(source.ids):
            continue
        inside, nucleus = _nucleus(source, random)
        height, width = inside.shape
        if height > classes.shape[0] or width > classes.shape[1]:
            continue
        y, x = (int(random.integers(free + 1)) for free in np.subtract(classes.shape, inside.shape))
        here = np.s_[y : y + height, x : x + width]
        if semantic[here][inside].any():
            continue
        image[here][inside], classes[here][inside] = nucleus.image[inside], nucleus.classes[inside]
        semantic[here][inside] = True
        direction[here][inside] = nucleus.layout.direction[inside]
        distance[here][inside] = nucleus.layout.distance[inside]
        if nucleus.layout.centre is not None:
            centre[here][inside] = nucleus.layout.centre[inside]
    return Window(image, classes, Layout(semantic, direction, distance, centre))


def _nucleus(source: Donor, random: np.random.Generator) -> tuple[NDArray[np.bool_], Window]:
    """One nucleus of a tile: its pixels in its box, and the box, turned alike."""
    which = int(random.integers(len(source.ids)))
    y, x, height, width = source.boxes[which].tolist()
    turns, flip = int(random.integers(4)), bool(random.integers(2))
    inside = source.mask[y : y + height, x : x + width] == source.ids[which]
    return turn_image(inside, turns, flip), source.whole.cut(y, x, height, width).turned(turns, flip)
