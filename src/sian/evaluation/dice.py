"""Dice coefficient of foreground: 2 |A and B| / (|A| + |B|), ids ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sian.evaluation.means import Mean, mean_of
from sian.evaluation.overlaps import Overlaps, check_pair

if TYPE_CHECKING:
    from sian.evaluation.arrays import Mask


def dice(true: Mask, pred: Mask) -> float:
    """Dice coefficient of the foregrounds of two masks, in [0, 1].

    Args:
        true: (H, W) integers, 0 background.
        pred: the same size.

    Returns:
        The coefficient; nan when both masks are empty.

    Raises:
        BadInput: masks that are not integer ids, or of different sizes.

    >>> dice(np.array([[1, 1, 0, 0]]), np.array([[0, 5, 5, 0]]))
    0.5
    """
    true, pred = check_pair(true, pred)
    shared = int(np.count_nonzero((true > 0) & (pred > 0)))
    return _ratio(shared, int(np.count_nonzero(true) + np.count_nonzero(pred)))


def dice_parts(table: Overlaps) -> tuple[int, int]:
    """Shared foreground and summed foregrounds of one image: what the pooled coefficient adds up."""
    return int(table.shared.sum()), int(table.true_areas.sum() + table.pred_areas.sum())


def _ratio(shared: int, total: int) -> float:
    return 2 * shared / total if total else float("nan")


class DiceMetric:
    """Dice coefficient accumulated over images: the mean over images, the pooled one beside it."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, int]] = []

    def update(self, true: Mask, pred: Mask) -> DiceMetric:
        """Add one image."""
        true, pred = check_pair(true, pred)
        shared = int(np.count_nonzero((true > 0) & (pred > 0)))
        return self.add((shared, int(np.count_nonzero(true) + np.count_nonzero(pred))))

    def add(self, parts: tuple[int, int]) -> DiceMetric:
        """Add the shared foreground and the summed foregrounds of one image."""
        self.parts.append(parts)
        return self

    def compute(self) -> Mean:
        """The mean over images, and the coefficient over all pixels together as `pooled`."""
        pooled = _ratio(sum(p[0] for p in self.parts), sum(p[1] for p in self.parts))
        return mean_of([_ratio(*p) for p in self.parts], pooled)
