"""The boundary map that pix2pixHD and SPADE are given instead of instances: pixels beside one of another id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def boundaries(mask: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels of which one of the four neighbours has another id, on both sides of an outline (Wang et al. 2018).

    Args:
        mask: (H, W) integer, 0 background. What lies outside the image does not count as a neighbour.

    Returns:
        (H, W) bool.

    >>> boundaries(np.array([[0, 0, 5, 5, 7]])).astype(int).tolist()
    [[0, 1, 1, 1, 1]]
    """
    found = np.zeros(mask.shape, np.bool_)
    below, right = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
    found[1:] |= below
    found[:-1] |= below
    found[:, 1:] |= right
    found[:, :-1] |= right
    return found
