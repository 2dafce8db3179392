"""Segment a picture of another magnification than the segmenter's, only when asked for; else say what looks wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sian.errors import warn
from sian.masks import median_area
from sian.synthesis.magnification import rescale_image, rescale_mask, scaling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sian.segmentation.segmenter import Segmenter

MEDIAN_AREA = 278.0  # px of a nucleus on MoNuSeg's training tiles, 0.25 um a pixel
AREA_RATIO = 2.5  # as for masks that are painted, see `sian.synthesis.model`


def predict_at(
    segmenter: Segmenter, image: NDArray[np.uint8], mpp: float | None = None, *, name: str = "the image"
) -> NDArray[np.int32]:
    """Segment an image of any magnification.

    Args:
        segmenter: with its own micrometres a pixel.
        image: (H, W, 3) uint8.
        mpp: of the image, which is rescaled to the segmenter's, and its mask back; None rescales nothing.
        name: what warnings call the image.

    Returns:
        (H, W) int32, 0 background, ids from 1.

    Raises:
        BadInput: an absurd mpp, or no RGB image.

    Warns:
        SianWarning: the nuclei found are of another size than the segmenter learned.
    """
    size = (image.shape[0], image.shape[1])
    shape = size if mpp is None else scaling(mpp, segmenter.mpp).shape(size)
    found = segmenter.predict(rescale_image(image, shape))
    check_areas(name, median_area([found]), mpp)
    return rescale_mask(found, size)


def check_areas(name: str, area: float, mpp: float | None) -> None:
    """Warn of nuclei whose median area, in px at the segmenter's magnification, is off by more than 2.5 times.

    Warns:
        SianWarning: as said.
    """
    if not np.isfinite(area) or 1 / AREA_RATIO <= area / MEDIAN_AREA <= AREA_RATIO:
        return
    advice = "check --mpp" if mpp is not None else "if the magnification differs, say so (--mpp, e.g. 0.5 for 20x)"
    warn(
        f"{name}: the median nucleus found has {area:.0f} px, and those that the segmenter learned {MEDIAN_AREA:.0f}; "
        f"{advice}"
    )
