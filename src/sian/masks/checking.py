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
# The values of "nucleus" in a binary mask. Two pieces of such an only id are two nuclei, unless one is a crumb.
BINARY_IDS = (1, 255, 65_535)
CRUMB = 1 / 8  # of the largest piece's area
SEEN_AT_ONCE = 1 << 20  # numbers of a mask; keeps temporary copies small
LARGE_MASK = 1 << 25  # pixels beyond which only one or two ids are looked at, since labelling takes a second each


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
    if highest > max(mask.size, SEEN_AT_ONCE):  # marking is faster than sorting, unless ids are few and huge
        ids = np.unique(mask)
        return ids[ids > 0].astype(np.int64)
    seen = np.zeros(highest + 1, np.bool_)
    flat = mask.ravel()
    for start in range(0, flat.size, SEEN_AT_ONCE):
        seen[flat[start : start + SEEN_AT_ONCE]] = True
    seen[0] = False
    return np.flatnonzero(seen).astype(np.int64)


def whole_numbers(array: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """An array of integers from one that holds integers as floats, as MATLAB and some segmenters write them.

    Raises:
        BadInput: neither integers nor floats, or floats that are not whole, or so large that they may be rounded ids.
    """
    if np.issubdtype(array.dtype, np.integer):
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise BadInput(f"{name}: found {array.dtype}, expected integers; export it again")
    largest = 2 ** (np.finfo(array.dtype).nmant + 1)  # above it not every whole number has a float of its own
    whole = np.empty(array.shape, np.int64 if largest > MAX_ID else np.int32)
    for part, into in zip(_rows(array), _rows(whole), strict=True):
        if not (np.isfinite(part).all() and (part == np.trunc(part)).all()):
            raise BadInput(f"{name}: found numbers that are not whole, expected integers; export it again")
        if not (np.abs(part) < largest).all():
            raise BadInput(f"{name}: found numbers beyond {largest:,}, which {array.dtype} rounds; export integers")
        into[...] = part
    return whole


def _rows(array: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """An array in pieces of rows, so that what is computed of it stays small."""
    if array.ndim == 0 or array.size <= SEEN_AT_ONCE:
        return [array]
    step = max(1, SEEN_AT_ONCE * len(array) // array.size)
    return [array[start : start + step] for start in range(0, len(array), step)]


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
    if not 0 < len(ids) <= (CLASS_MASK_IDS if mask.size <= LARGE_MASK else 2):
        return
    pieces = sum(len(_piece_areas(mask, int(nucleus))) for nucleus in ids)
    if pieces >= CLASS_MASK_PIECES * len(ids):
        raise _classes(name, ids, pieces)


def check_not_binary(mask: npt.NDArray[np.int32], name: str) -> None:
    """Refuse a mask whose only id is what binary masks hold, 1 or 255, in two pieces or more.

    For masks whose ids may be wrong. Outlines are one nucleus each by their file's word, and so are SIAN's ids.

    Raises:
        BadInput: it looks like a binary mask.
    """
    ids = nucleus_ids(mask)
    if len(ids) != 1 or int(ids[0]) not in BINARY_IDS:
        return
    areas = _piece_areas(mask, int(ids[0]))
    if int((areas >= CRUMB * areas.max()).sum()) > 1:
        raise _classes(name, ids, len(areas))


def _classes(name: str, ids: npt.NDArray[np.int64], pieces: int) -> BadInput:
    found = f"only the id{'s' * (len(ids) > 1)} {', '.join(map(str, ids))} in {pieces} separate pieces"
    return BadInput(
        f"{name}: found {found}, which looks like classes instead of nuclei; expected one id a nucleus; "
        "number the pieces first, e.g. with skimage.measure.label"
    )


def _piece_areas(mask: npt.NDArray[np.int32], nucleus: int) -> npt.NDArray[np.int64]:
    """How many pixels each piece of a nucleus has; pieces that meet at a corner are one."""
    from scipy.ndimage import label

    inside = mask == nucleus
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    box = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    pieces, _ = label(box, np.ones((3, 3)))
    flat = pieces.ravel()
    areas = np.zeros(int(flat.max()) + 1, np.int64)
    for start in range(0, flat.size, 4 * SEEN_AT_ONCE):  # counting all at once would copy them in 64 bits
        areas += np.bincount(flat[start : start + 4 * SEEN_AT_ONCE], minlength=len(areas))
    return areas[1:]


def check_mask_of(mask: npt.NDArray[Any], image: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """`check_mask` of a mask that was drawn on an image.

    Raises:
        BadInput: it is not an instance mask, or of another size than the image.
    """
    checked = check_mask(mask)
    if checked.shape != image.shape[:2]:
        raise BadInput(
            f"found a mask of {checked.shape[0]} x {checked.shape[1]} and an image of {image.shape[0]} x "
            f"{image.shape[1]}; expected equal sizes; give the mask that was drawn on the image"
        )
    return checked
