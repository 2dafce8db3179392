"""Aggregated Jaccard index of instance masks (Kumar et al. 2017, the paper that MoNuSeg comes from).

Each true nucleus takes the predicted one with the largest intersection over union; intersections and unions
are summed, and predicted nuclei that no true one took are added to the unions. A predicted nucleus may be
taken more than once, as in the authors' definition; a true nucleus that nothing overlaps adds its own area to
the unions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sian.evaluation.means import Mean, mean_of
from sian.evaluation.overlaps import Overlaps, overlaps

if TYPE_CHECKING:
    from sian.evaluation.arrays import Ints, Mask


def aji(true: Mask, pred: Mask) -> float:
    """Aggregated Jaccard index of one image, in [0, 1].

    Args:
        true: (H, W) integers, 0 background, any positive ids.
        pred: the same size.

    Returns:
        The index; nan when both masks are empty.

    Raises:
        BadInput: masks that are not integer ids, or of different sizes.

    >>> aji(np.array([[1, 1, 0, 0]]), np.array([[0, 5, 5, 0]]))
    0.3333333333333333
    """
    return _ratio(*aji_parts(overlaps(true, pred)))


def aji_parts(table: Overlaps) -> tuple[int, int]:
    """Summed intersections and summed unions of one image: what the pooled index adds up."""
    best = _best_pairs(table)
    taken = np.zeros(len(table.pred_ids), bool)
    taken[table.pred_index[best]] = True
    overlapped = np.zeros(len(table.true_ids), bool)
    overlapped[table.true_index[best]] = True
    unions = table.unions[best].sum() + table.true_areas[~overlapped].sum() + table.pred_areas[~taken].sum()
    return int(table.shared[best].sum()), int(unions)


def _best_pairs(table: Overlaps) -> Ints:
    """For each true nucleus that is overlapped, its pair of largest IoU; the lowest id wins a tie."""
    order = np.lexsort((table.pred_index, -table.ious, table.true_index))
    first = np.ones(len(order), bool)
    first[1:] = np.diff(table.true_index[order]) != 0
    best: Ints = order[first]
    return best


def _ratio(shared: int, unions: int) -> float:
    return shared / unions if unions else float("nan")


class AjiMetric:
    """Aggregated Jaccard index accumulated over images: the mean over images, the pooled index beside it."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, int]] = []

    def update(self, true: Mask, pred: Mask) -> AjiMetric:
        """Add one image."""
        return self.add(aji_parts(overlaps(true, pred)))

    def add(self, parts: tuple[int, int]) -> AjiMetric:
        """Add the summed intersections and unions of one image."""
        self.parts.append(parts)
        return self

    def compute(self) -> Mean:
        """The mean over images, and the index over all images' nuclei together as `pooled`."""
        pooled = _ratio(sum(p[0] for p in self.parts), sum(p[1] for p in self.parts))
        return mean_of([_ratio(*p) for p in self.parts], pooled)
