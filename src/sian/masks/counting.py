"""Counts and areas of the nuclei in a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sian.masks.checking import nucleus_ids

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt


def nucleus_areas(mask: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Pixels of each nucleus, in ascending order of ids: (n,) int64.

    >>> nucleus_areas(np.array([[0, 4, 4], [2, 0, 0]], np.int32)).tolist()
    [1, 2]
    """
    ids = nucleus_ids(mask)
    place = np.searchsorted(ids, mask[mask > 0])
    return np.bincount(place, minlength=len(ids)).astype(np.int64)


def median_area(masks: npt.NDArray[np.int32] | Iterable[npt.NDArray[np.int32]]) -> float:
    """Median area in pixels of all nuclei in one mask or in several; nan when there is none.

    >>> median_area(np.array([[0, 4, 4], [2, 0, 0]], np.int32))
    1.5
    """
    several = [masks] if isinstance(masks, np.ndarray) else masks
    areas = np.concatenate([np.empty(0, np.int64), *(nucleus_areas(mask) for mask in several)])
    return float(np.median(areas)) if len(areas) else float("nan")


def nucleus_pieces(mask: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """In how many separate pieces each nucleus lies (pixels that touch at a corner are one piece).

    Returns:
        (n,) int64 in ascending order of ids; 1 is the rule, more means that others cover parts of it.
    """
    from skimage.measure import label

    ids = nucleus_ids(mask)
    # pixels of equal id that touch; background stays 0
    labels = label(mask, connectivity=2)  # type: ignore[no-untyped-call]
    first_pixel = np.unique(labels, return_index=True)[1]
    owners = mask.ravel()[first_pixel]
    return np.bincount(np.searchsorted(ids, owners[owners > 0]), minlength=len(ids)).astype(np.int64)
