"""Is this array an instance mask? The one place that decides it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput

if TYPE_CHECKING:
    import numpy.typing as npt

MAX_ID = 2**31 - 1  # masks are int32

# A 0/255 mask taken for ids is the classic mistake. A real nucleus seldom lies in more than two pieces, so
# a mask with a handful of ids that all lie in many pieces names classes, not nuclei.
CLASS_MASK_IDS = 9
CLASS_MASK_PIECES = 8  # pieces per id, on average


def check_mask(mask: npt.ArrayLike, name: str = "mask") -> npt.NDArray[np.int32]:
    """Check that an array is an instance mask and return it as int32; ids are never renumbered.

    An empty mask (background only) is legal.

    Args:
        mask: (H, W) of any integer dtype, 0 background, one id from 1 to 2**31 - 1 a nucleus.
        name: what errors call it: the file's path, if it came from one.

    Returns:
        (H, W) int32, C-contiguous; the same memory when it was that already.

    Raises:
        BadInput: not two-dimensional, not integer, negative ids, ids beyond int32, or a mask of classes.

    >>> check_mask([[0, 7], [0, 7]]).dtype
    dtype('int32')
    """
    array = np.asarray(mask)
    _check_shape(array, name)
    _check_dtype(array, name)
    low, high = int(array.min()), int(array.max())
    if low < 0:
        raise BadInput(f"{name}: found negative ids (down to {low}), expected 0 for background and ids from 1")
    if high > MAX_ID:
        raise BadInput(f"{name}: found id {high}, expected ids up to {MAX_ID}; renumber the nuclei from 1")
    checked = np.ascontiguousarray(array, dtype=np.int32)
    _check_not_classes(checked, name)
    return checked


def nucleus_ids(mask: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """The ids in a checked mask, ascending, background left out: (n,) int64."""
    highest = int(mask.max(initial=0))
    if highest <= 4 * mask.size:  # counting is faster than sorting, unless ids are few and huge
        ids = np.flatnonzero(np.bincount(mask.ravel(), minlength=highest + 1))
    else:
        ids = np.unique(mask)
    return ids[ids > 0].astype(np.int64)


def _check_shape(array: npt.NDArray[Any], name: str) -> None:
    if array.ndim == 3 and array.shape[2] in (2, 3, 4):
        kind = {2: "two channels", 3: "RGB", 4: "RGBA"}[array.shape[2]]
        raise BadInput(
            f"{name}: expected one id a nucleus in a single channel, found {kind} {array.shape}; "
            "export the instance mask as 16-bit grey"
        )
    if array.ndim != 2:
        raise BadInput(f"{name}: expected an instance mask (H, W), found shape {array.shape}; give one 2-d array")
    if array.size == 0:
        raise BadInput(f"{name}: found a mask of {array.shape[0]} x {array.shape[1]} pixels, expected at least one")


def _check_dtype(array: npt.NDArray[Any], name: str) -> None:
    if array.dtype == np.bool_:
        raise BadInput(
            f"{name}: found a boolean mask, expected integer ids, one a nucleus; "
            "number the pieces first, e.g. with skimage.measure.label"
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise BadInput(
            f"{name}: found {array.dtype}, expected integer ids; "
            "if these are ids, convert them, e.g. with mask.astype(numpy.int32)"
        )


def _check_not_classes(mask: npt.NDArray[np.int32], name: str) -> None:
    ids = nucleus_ids(mask)
    if not 0 < len(ids) <= CLASS_MASK_IDS:
        return
    from skimage.measure import label

    pieces = int(label(mask, connectivity=2).max())  # type: ignore[no-untyped-call]
    if pieces >= CLASS_MASK_PIECES * len(ids):
        found = f"only the id{'s' * (len(ids) > 1)} {', '.join(map(str, ids))} in {pieces} separate pieces"
        raise BadInput(
            f"{name}: found {found}, which looks like classes instead of nuclei; expected one id a nucleus; "
            "number the pieces first, e.g. with skimage.measure.label"
        )


def check_mask_of(mask: npt.NDArray[Any], image: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """`check_mask` of a mask that was drawn on an image.

    Raises:
        BadInput: it is no instance mask, or of another size than the image.
    """
    checked = check_mask(mask)
    if checked.shape != image.shape[:2]:
        raise BadInput(
            f"found a mask of {checked.shape[0]} x {checked.shape[1]} and an image of {image.shape[0]} x "
            f"{image.shape[1]}; expected equal sizes; give the mask that was drawn on the image"
        )
    return checked
