"""What lies between the nuclei, for a model that was trained with tissue maps: an image's, or one drawn by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from sian.errors import BadInput
from sian.layout import Layout, describe, with_tissue
from sian.layout.tissue_map import tissue_layers
from sian.synthesis.magnification import rescale_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

Tissue: TypeAlias = "NDArray[Any]"  # an image (H, W, 3) uint8, or a map, see `sian.describe`


def without_tissue(name: str) -> str:
    """What is wrong where tissue is given to the model of that name, and what to try."""
    return f"the model {name} was trained without tissue maps; leave them out, or take a model of the recipe tissue"


def tissue_of_each(tissue: Tissue | Sequence[Tissue | None] | None, count: int | None) -> list[Tissue | None]:
    """The tissue that was given, mask by mask; None where none was.

    Args:
        tissue: of one mask, or a list.
        count: of how many masks; None if it was one that is not in a list.
    """
    if tissue is None:
        return [None] * (1 if count is None else count)
    several: list[Tissue | None] = list(tissue) if isinstance(tissue, Sequence) else [tissue]
    if isinstance(tissue, Sequence) != (count is not None) or len(several) != (count or 1):
        raise BadInput(
            f"tissue: expected one image or map for a mask, and a list of as many for a list of masks, found "
            f"{len(several)} for {count or 1}; give one for each, None where there is none"
        )
    return several


def with_its_tissue(
    mask: NDArray[np.int32] | Layout, tissue: Tissue | None, before: tuple[int, ...], untrained: str
) -> NDArray[np.int32] | Layout:
    """A mask and what lies between its nuclei, as a layout; the mask as it was where nothing is said.

    Args:
        mask: at the model's magnification.
        tissue: at the mask's own.
        before: height and width of the mask at its own magnification.
        untrained: the name of a model that was trained without; "" for one that takes tissue.

    Raises:
        BadInput: a model that was trained without, a layout that says it already, or another size.
    """
    if tissue is None:
        return mask
    if untrained:
        raise BadInput(f"tissue: {without_tissue(untrained)}")
    if isinstance(mask, Layout) and mask.tissue is not None:
        raise BadInput("tissue: found some beside a layout, which brings its own; give it to sian.describe alone")
    layout = mask if isinstance(mask, Layout) else describe(mask)
    if layout.shape == before:
        return with_tissue(layout, tissue)
    if tissue.dtype == np.uint8 and tissue.shape[:2] == before:
        return with_tissue(layout, rescale_image(tissue, layout.shape))
    layers = tissue_layers(tissue, (before[0], before[1]))
    rows, columns = ((np.arange(new) + 0.5) * old / new for new, old in zip(layout.shape, before, strict=True))
    return replace(layout, tissue=layers[rows.astype(np.intp)[:, None], columns.astype(np.intp)])
