"""`sian.fit_style`: the style of a reference image, found by painting its own nuclei, which a segmenter may find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput
from sian.masks import check_mask_of
from sian.synthesis import style_fitting
from sian.synthesis.magnification import rescale_image, rescale_mask, scaling
from sian.synthesis.model_classes import left_over

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from sian.production.restyle import Segment
    from sian.synthesis import Model


MOST_SEGMENTED = 1024  # px of a side


def fit_style(
    image: NDArray[np.uint8],
    *,
    model: Model,
    mask: NDArray[Any] | None = None,
    segment: Segment | None = None,
    mpp: float | None = None,
    classes: Mapping[int, str] | None = None,
    name: str = "fitted",
    report: Callable[[int, int], None] | None = None,
) -> style_fitting.Fitted:
    """Find the style whose paintings have the stain of a reference image: slower than `Model.encode`, and nearer.

    It is for stains that the model has not seen. It takes seconds: 40 steps that paint at most 3 x 3 parts of 128 px.

    Args:
        image: (H, W, 3) uint8, the reference; at least 128 x 128 px at the model's magnification.
        model: what will paint in the style; no other model can.
        mask: (H, W) instance mask of the image, if there is one.
        segment: makes one of the middle 1024 x 1024 px when none is given, e.g. ``sian.segmentation.load().predict``;
            None is the bundled one.
        mpp: micrometres a pixel of image and mask, which are rescaled to the model's; None rescales nothing.
        classes: class name by id of the mask, for a model that knows nuclear classes.
        name: of the style, for file names and records.
        report: called with (steps done, steps in all).

    Returns:
        `style`, and how far the paintings were from the image in stain `before` (the encoder's) and are `after`.

    Raises:
        BadInput: an image that is too small, a mask of another size, a model without styles, an absurd mpp.

    Example:
        >>> style = sian.fit_style(reference, model=model).style  # doctest: +SKIP
        >>> image = model.synthesize(mask, style)  # doctest: +SKIP
    """
    given = None if mask is None else check_mask_of(mask, image)
    if given is None and model.info.classes:
        raise BadInput(
            f"{model.info.name}: was trained with nuclear classes, which no segmenter knows; give the picture's mask "
            "and its classes"
        )
    if given is None:  # a whole slide would take minutes to segment
        image = np.ascontiguousarray(image[_middle(image.shape[0]), _middle(image.shape[1])])
    shape = (image.shape[0], image.shape[1])
    if mpp is not None:
        shape = scaling(mpp, model.info.mpp).shape(shape)
    style_fitting.check_reference(model, shape)
    seen = rescale_image(image, shape)
    if given is None:
        from sian.segmentation import load

        return style_fitting.fit_style(model, seen, (segment or load().predict)(seen), name=name, report=report)
    found = rescale_mask(given, shape)
    return style_fitting.fit_style(
        model, seen, found, classes=left_over(classes, given, found), name=name, report=report
    )


def _middle(side: int) -> slice:
    start = max(0, side - MOST_SEGMENTED) // 2
    return slice(start, start + MOST_SEGMENTED)
