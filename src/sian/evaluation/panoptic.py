"""Panoptic quality of instance masks: detection quality DQ, segmentation quality SQ, PQ = DQ * SQ.

Kirillov et al. 2019, "Panoptic Segmentation", for one class of things, as the nuclei literature uses it: two
nuclei match when their intersection over union is strictly above one half, which makes the matching unique.

Conventions: an image whose two masks are both empty has no score (nan); it is left out of means and counted.
Nuclei on one side only score 0, SQ included, so that PQ = DQ * SQ always.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sian.evaluation.means import mean_of
from sian.evaluation.overlaps import Overlaps, overlaps

if TYPE_CHECKING:
    from sian.evaluation.arrays import Mask


@dataclass(frozen=True)
class PanopticScore:
    """Panoptic quality of one image, or pooled over the nuclei of many.

    Attributes:
        dq: detection quality, the F1 of matched nuclei, tp / (tp + fp / 2 + fn / 2).
        sq: segmentation quality, the mean intersection over union of matched nuclei; 0 when none matched.
        pq: dq * sq.
        tp: matched nuclei.
        fp: predicted nuclei without a partner.
        fn: true nuclei without a partner.
    """

    dq: float
    sq: float
    pq: float
    tp: int
    fp: int
    fn: int


def panoptic(true: Mask, pred: Mask, iou: float = 0.5) -> PanopticScore:
    """DQ, SQ and PQ of one image.

    Args:
        true: (H, W) integers, 0 background, any positive ids.
        pred: the same size.
        iou: a pair matches when its intersection over union is strictly above this; at least 0.5.

    Returns:
        The score; dq, sq and pq are nan when both masks are empty.

    Raises:
        BadInput: masks that are not integer ids, of different sizes, or a threshold below 0.5.

    >>> mask = np.array([[0, 7, 7], [0, 7, 7]])
    >>> panoptic(mask, mask)
    PanopticScore(dq=1.0, sq=1.0, pq=1.0, tp=1, fp=0, fn=0)
    """
    return panoptic_of(overlaps(true, pred), iou)


def panoptic_of(table: Overlaps, iou: float = 0.5) -> PanopticScore:
    """DQ, SQ and PQ from a table of overlaps that other metrics share."""
    matched = table.matches(iou)
    tp = len(matched)
    return _score(float(table.ious[matched].sum()), tp, len(table.pred_ids) - tp, len(table.true_ids) - tp)


def _score(iou_sum: float, tp: int, fp: int, fn: int) -> PanopticScore:
    if tp + fp + fn == 0:
        return PanopticScore(np.nan, np.nan, np.nan, 0, 0, 0)
    dq = tp / (tp + fp / 2 + fn / 2)
    sq = iou_sum / tp if tp else 0.0
    return PanopticScore(dq, sq, dq * sq, tp, fp, fn)


@dataclass(frozen=True)
class PanopticSummary:
    """Panoptic quality over images.

    Attributes:
        dq: mean over images, the headline.
        sq: mean over images, the headline.
        pq: mean over images, the headline.
        pooled: one score over all nuclei of all images together; its `sq` is the mean matched IoU.
        images: images that count.
        empty: images left out because both masks were empty.
    """

    dq: float
    sq: float
    pq: float
    pooled: PanopticScore
    images: int
    empty: int


class PanopticMetric:
    """Panoptic quality accumulated over images.

    >>> mask = np.array([[0, 1], [2, 2]])
    >>> PanopticMetric().update(mask, mask).compute().pq
    1.0
    """

    def __init__(self, iou: float = 0.5) -> None:
        self.iou = iou
        self.scores: list[PanopticScore] = []

    def update(self, true: Mask, pred: Mask) -> PanopticMetric:
        """Add one image."""
        return self.add(panoptic(true, pred, self.iou))

    def add(self, score: PanopticScore) -> PanopticMetric:
        """Add the score of one image."""
        self.scores.append(score)
        return self

    def compute(self) -> PanopticSummary:
        """Means over images, and the pooled score beside them."""
        dq, sq, pq = (mean_of([getattr(s, name) for s in self.scores]) for name in ("dq", "sq", "pq"))
        tp, fp, fn = (sum(getattr(s, name) for s in self.scores) for name in ("tp", "fp", "fn"))
        pooled = _score(sum(s.sq * s.tp for s in self.scores if s.tp), tp, fp, fn)
        return PanopticSummary(dq.value, sq.value, pq.value, pooled, pq.images, pq.empty)
