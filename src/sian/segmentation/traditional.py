"""Traditional augmentation as the paper has it for "real images*": rotations, flips and median blur (section 4.5).

The paper names no angles, sizes or shares. Rotations are quarter turns here, which move pixels and change none, so
that masks stay exact; a part of the windows stays as it is, since the paper trains on "both real and augmented
images".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sian import seeds

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLURRED = 0.5  # of the augmented windows


@dataclass(frozen=True)
class Change:
    """What is done to one window.

    Attributes:
        turns: quarter turns counter-clockwise, after the flip.
        flip: mirror left and right first.
        median: side of the median blur in pixels; 1 for none.
    """

    turns: int = 0
    flip: bool = False
    median: int = 1


def draw(seed: int, index: int, share: float, median: int) -> Change:
    """What becomes of window number `index`; a function of the arguments alone.

    Args:
        seed: the run's.
        index: of the window, from 0.
        share: of windows that are augmented, 0 to 1.
        median: side of the blur in pixels, odd.

    >>> draw(0, 7, 0.0, 3)
    Change(turns=0, flip=False, median=1)
    """
    random = seeds.generator(seed, "traditional", index)
    if random.random() >= share:
        return Change()
    turns, flip = int(random.integers(4)), bool(random.integers(2))
    return Change(turns, flip, median if random.random() < BLURRED else 1)


def median_blur(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The median of each pixel's square neighbourhood, each colour on its own; the rim sees itself repeated.

    Args:
        image: (H, W, 3) uint8.
        side: of the neighbourhood, odd; 1 changes nothing.

    Returns:
        (H, W, 3) uint8.

    >>> spot = np.zeros((3, 3, 3), np.uint8)
    >>> spot[1, 1] = 255
    >>> int(median_blur(spot, 3).max())
    0
    """
    if side == 1:
        return image
    from scipy.ndimage import median_filter

    blurred: NDArray[np.uint8] = median_filter(image, (side, side, 1), mode="nearest")
    return blurred
