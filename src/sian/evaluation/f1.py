"""F1 of detected nuclei: 2 tp / (2 tp + fp + fn), found meaning an IoU strictly above a threshold.

At the usual threshold of one half this is the same number as panoptic quality's DQ; a higher threshold asks
for better outlines (F1 at 0.7 is common).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sian.evaluation.means import Mean, mean_of
from sian.evaluation.panoptic import PanopticMetric, PanopticScore, panoptic

if TYPE_CHECKING:
    from sian.evaluation.arrays import Mask


def f1(true: Mask, pred: Mask, iou: float = 0.5) -> float:
    """F1 of detected nuclei, in [0, 1].

    Args:
        true: (H, W) integers, 0 background, any positive ids.
        pred: the same size.
        iou: a nucleus is found when its intersection over union is strictly above this; at least 0.5.

    Returns:
        The score; nan when both masks are empty.

    Raises:
        BadInput: masks that are not integer ids, of different sizes, or a threshold below 0.5.

    >>> import numpy as np
    >>> f1(np.array([[1, 1, 0, 2]]), np.array([[1, 1, 0, 0]]))
    0.6666666666666666
    """
    return panoptic(true, pred, iou).dq


class F1Metric:
    """F1 of detected nuclei accumulated over images: the mean over images, the pooled score beside it."""

    def __init__(self, iou: float = 0.5) -> None:
        self.panoptic = PanopticMetric(iou)

    def update(self, true: Mask, pred: Mask) -> F1Metric:
        """Add one image."""
        self.panoptic.update(true, pred)
        return self

    def add(self, score: PanopticScore) -> F1Metric:
        """Add the score of one image."""
        self.panoptic.add(score)
        return self

    def compute(self) -> Mean:
        """The mean over images, and the score over all nuclei together as `pooled`."""
        return mean_of([score.dq for score in self.panoptic.scores], self.panoptic.compute().pooled.dq)
