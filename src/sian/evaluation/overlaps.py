"""How the nuclei of two instance masks overlap: one sparse table that every mask metric reads.

Counting pairs of ids once costs a few milliseconds on a 1000 x 1000 tile; comparing binary masks pair by
pair, as is widely done, costs seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sian.errors import BadInput

if TYPE_CHECKING:
    from sian.evaluation.arrays import Floats, Ints, Mask

DENSE_TABLE = 4_000_000  # up to so many (true, pred) cells, counting beats sorting
DENSE_IDS = 1 << 24  # up to this largest id, a look-up table beats sorting


@dataclass(frozen=True)
class Overlaps:
    """Areas of the nuclei of two masks and the pairs that share pixels.

    Attributes:
        true_ids: (t,) the ids present in the true mask, ascending.
        pred_ids: (p,) those of the predicted mask.
        true_areas: (t,) pixels.
        pred_areas: (p,) pixels.
        true_index: (k,) for each overlapping pair, which true nucleus.
        pred_index: (k,) and which predicted one.
        shared: (k,) pixels that the pair shares; above 0.
    """

    true_ids: Ints
    pred_ids: Ints
    true_areas: Ints
    pred_areas: Ints
    true_index: Ints
    pred_index: Ints
    shared: Ints

    @property
    def unions(self) -> Ints:
        """(k,) pixels in either nucleus of a pair."""
        return self.true_areas[self.true_index] + self.pred_areas[self.pred_index] - self.shared

    @property
    def ious(self) -> Floats:
        """(k,) intersection over union of each pair."""
        return self.shared / self.unions

    def matches(self, iou: float = 0.5) -> Ints:
        """Which pairs are matched: intersection over union strictly above `iou`, which is at least 0.5.

        Above one half a nucleus can have at most one partner, so the matching is unique.

        Raises:
            BadInput: for a threshold below 0.5 or not below 1.
        """
        if not 0.5 <= iou < 1:
            raise BadInput(
                f"iou: found {iou}, expected 0.5 <= iou < 1, since below one half a nucleus can have "
                "two partners; try 0.5."
            )
        return np.flatnonzero(self.ious > iou)


def overlaps(true: Mask, pred: Mask) -> Overlaps:
    """Count how the nuclei of two masks overlap.

    Args:
        true: (H, W) integers, 0 background, any positive ids; they need not be contiguous.
        pred: the same size.

    Raises:
        BadInput: not integers, negative ids, not two-dimensional, or two different sizes.
    """
    true, pred = check_pair(true, pred)
    inside = true.ravel() != 0
    true_values, pred_values = true.ravel()[inside], _foreground(pred)
    under = pred.ravel()[inside]  # what the prediction has where the truth has a nucleus
    both = under != 0
    true_ids, true_areas, true_ranks = _count(true_values, true_values[both])
    pred_ids, pred_areas, pred_ranks = _count(pred_values, under[both])
    true_index, pred_index, shared = _count_pairs(true_ranks, pred_ranks, len(true_ids), len(pred_ids))
    return Overlaps(true_ids, pred_ids, true_areas, pred_areas, true_index, pred_index, shared)


def _foreground(mask: Mask) -> Mask:
    """The ids of all nuclear pixels, in reading order."""
    flat = mask.ravel()
    values: Mask = flat[flat != 0]
    return values


def _count(values: Mask, shared: Mask) -> tuple[Ints, Ints, Ints]:
    """Ids and areas of the nuclei in `values`, and the rank (0..n-1) of each id in `shared`."""
    if values.size and values.max() > DENSE_IDS:
        ids, areas = np.unique(values, return_counts=True)
        return ids.astype(np.int64), areas, np.searchsorted(ids, shared)
    counts = np.bincount(values, minlength=1)
    ids = np.flatnonzero(counts)
    ranks = np.cumsum(counts > 0) - 1
    return ids, counts[ids], ranks[shared]


def _count_pairs(rows: Ints, columns: Ints, n_rows: int, n_columns: int) -> tuple[Ints, Ints, Ints]:
    """Which (row, column) pairs occur, in order, and how often."""
    keys = rows * n_columns + columns
    if n_rows * n_columns <= DENSE_TABLE:
        table = np.bincount(keys, minlength=1)
        pairs = np.flatnonzero(table)
        counts = table[pairs]
    else:
        pairs, counts = np.unique(keys, return_counts=True)
    row, column = np.divmod(pairs, max(n_columns, 1))
    return row, column, counts


def check_pair(true: Mask, pred: Mask) -> tuple[Mask, Mask]:
    """Both masks as arrays, or a sentence on what is wrong with them."""
    true, pred = check_mask(true, "true mask"), check_mask(pred, "predicted mask")
    if true.shape != pred.shape:
        raise BadInput(
            f"predicted mask: found {_size(pred)}, expected {_size(true)} as the true mask has; "
            "compare masks of one and the same image."
        )
    return true, pred


def check_mask(mask: Mask, name: str) -> Mask:
    """An (H, W) array of ids from 0, or a sentence on what else it is."""
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise BadInput(f"{name}: expected one id a nucleus in (H, W), found shape {mask.shape}; pass an instance mask.")
    if mask.dtype == bool or not np.issubdtype(mask.dtype, np.integer):
        raise BadInput(f"{name}: expected integer ids, found {mask.dtype}; label the nuclei 1..n first.")
    if mask.size and np.issubdtype(mask.dtype, np.signedinteger) and mask.min() < 0:
        raise BadInput(
            f"{name}: found the negative id {mask.min()}, expected 0 for background and ids above it; "
            "relabel the nuclei."
        )
    return _as_signed(mask, name) if mask.dtype == np.uint64 else mask


def _as_signed(mask: Mask, name: str) -> Mask:
    """NumPy counts signed integers only."""
    if mask.size and mask.max() > np.iinfo(np.int64).max:
        raise BadInput(f"{name}: found the id {mask.max()}, expected ids below 2**63; renumber the nuclei from 1.")
    return mask.astype(np.int64)


def _size(mask: Mask) -> str:
    return f"{mask.shape[1]} x {mask.shape[0]} pixels"
