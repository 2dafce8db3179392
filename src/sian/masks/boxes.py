"""Where each nucleus of a mask lies: the smallest box around its pixels, whatever its id is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sian.masks.checking import nucleus_ids

if TYPE_CHECKING:
    import numpy.typing as npt

Box = tuple[slice, slice]  # rows, columns


def nucleus_boxes(mask: npt.NDArray[np.integer]) -> dict[int, Box]:
    """The box of each nucleus by its id, ascending.

    `scipy.ndimage.find_objects` makes a list as long as the largest id; here ids are numbered first.

    Args:
        mask: (H, W) int32, checked.

    >>> nucleus_boxes(np.array([[0, 2_000_000_000], [7, 0]], np.int32))
    {7: (slice(1, 2, None), slice(0, 1, None)), 2000000000: (slice(0, 1, None), slice(1, 2, None))}
    """
    from scipy.ndimage import find_objects

    ids = np.concatenate([[0], nucleus_ids(np.asarray(mask))])
    return dict(zip(ids[1:].tolist(), find_objects(np.searchsorted(ids, mask)), strict=True))
