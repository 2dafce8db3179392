"""From an instance mask to its layout: the front door of this folder (paper, section 3.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput
from sian.layout.boundary import boundaries
from sian.layout.class_map import class_map
from sian.layout.direction import direction_classes
from sian.layout.distance import distances
from sian.layout.layout import Layout
from sian.layout.pixels import group
from sian.layout.tissue_map import tissue_layers
from sian.layout.tissue_of_image import tissue_map

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


def describe(
    mask: NDArray[Any],
    classes: Mapping[int, str] | None = None,
    class_names: Sequence[str] | None = None,
    *,
    tissue: NDArray[Any] | None = None,
) -> Layout:
    """Describe every nucleus of an instance mask: semantic, direction and distance mask, boundary and depth.

    Describe the whole image upright, then cut windows and turn them (`Layout.window`, `Layout.turned`): a
    nucleus at a window's edge then keeps its true centroid and skeleton. Touching nuclei never see each
    other; a nucleus in several pieces is described as one.

    Args:
        mask: (H, W), any integer dtype; 0 is background, every other value a nucleus, contiguous or not.
        classes: the class name of each nucleus by its id, e.g. {1: "neoplastic", 7: "dead"}; for models that were
            trained with classes.
        class_names: the order in which classes are numbered from 1; by default that of the alphabet.
        tissue: what lies between the nuclei, for models that were trained with it: the image (H, W, 3) uint8 that the
            mask was drawn on, or a map as `sian.tissue_map` makes it of an image, or drawn by hand.

    Returns:
        The layout, (H, W).

    Raises:
        BadInput: the mask is not a two-dimensional array of integers of at least 0; a class of a nucleus that is not
            in it, without a name, or not among `class_names`; a tissue map or an image of another size.

    >>> layout = describe(np.array([[0, 5, 5, 5, 0]]))
    >>> layout.direction.tolist()
    [[0, 9, 1, 13, 0]]
    >>> layout.distance.tolist()
    [[0.0, 1.0, 1.0, 1.0, 0.0]]
    """
    mask = np.asarray(mask)
    _check(mask)
    pixels = group(mask)
    where = (pixels.y, pixels.x)
    directions, centres = direction_classes(pixels)

    direction = np.zeros(mask.shape, np.uint8)
    direction[where] = directions
    distance, depth = np.zeros(mask.shape, np.float32), np.zeros(mask.shape, np.float32)
    distance[where], depth[where] = distances(pixels)
    centre = np.zeros(mask.shape, np.bool_)
    centre[where] = centres
    layout = Layout(mask != 0, direction, distance, centre, boundaries(mask), depth)
    if tissue is not None:
        layout = with_tissue(layout, tissue)
    return layout if classes is None else replace(layout, **class_map(mask, classes, class_names))


def with_tissue(layout: Layout, tissue: NDArray[Any]) -> Layout:
    """A layout and what lies between its nuclei.

    Args:
        layout: (H, W).
        tissue: an image (H, W, 3) uint8, or a map, see `describe`.

    Raises:
        BadInput: of another size, or neither.
    """
    values = tissue_map(tissue, layout.semantic) if tissue.dtype == np.uint8 else tissue
    return replace(layout, tissue=tissue_layers(values, layout.shape))


def _check(mask: NDArray[Any]) -> None:
    """Refuse what is not an instance mask."""
    if mask.ndim != 2 or not np.issubdtype(mask.dtype, np.integer):
        raise BadInput(
            f"mask: expected one integer id a pixel, (H, W), found {mask.dtype} of shape {mask.shape}; "
            "give the instance mask, not an image, a probability map or a yes/no mask"
        )
    if mask.size and mask.min() < 0:
        raise BadInput(f"mask: expected ids of at least 0, found {mask.min()}; write 0 for the background")
