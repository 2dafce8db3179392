"""Images without annotation as tiles to learn from: a segmenter outlines them, and learns from what it found.

What it finds in the average of eight views is better than what it finds in one (docs/results/adapting.md); learning
from it, in colours that are changed at random, carries that over to one view, and the stain of these images with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sian.data.sampling import Tile
from sian.layout import describe
from sian.segmentation.targets import pixel_classes
from sian.segmentation.training_windows import KnownTile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sian.segmentation.segmenter import Segmenter

DATASET = "images without annotation"


def outline(segmenter: Segmenter, image: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The nuclei of an image by test-time augmentation, (H, W) int32; arguments as of `Segmenter.predict`."""
    return replace(segmenter, tta=True).predict(image)


def self_taught(
    name: str, image: NDArray[np.uint8], mask: NDArray[np.int32], border_px: int, licence: str
) -> KnownTile:  # fmt: skip
    """An image with the mask that a segmenter found in it, to be learned from.

    Args:
        name: of the image.
        image: (H, W, 3) uint8.
        mask: (H, W), as `outline` makes it.
        border_px: depth of the border class.
        licence: of the segmenter, whose knowledge this is.
    """
    tile = Tile(name, "own", "unknown", np.ascontiguousarray(image), describe(mask))
    return KnownTile(tile, pixel_classes(mask, border_px), None, DATASET, licence, False)
