"""How well a mask agrees with a segmentation, image by image: every mask metric from one table of overlaps.

The score of one image is also the quality gate of generated data: a synthetic image whose re-segmentation
disagrees with the mask that it was painted from teaches a wrong lesson.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sian.evaluation.aji import AjiMetric, aji_parts
from sian.evaluation.arrays import Image, Mask
from sian.evaluation.dice import DiceMetric, dice_parts
from sian.evaluation.f1 import F1Metric
from sian.evaluation.overlaps import overlaps
from sian.evaluation.panoptic import PanopticMetric, PanopticScore, panoptic_of

Segmenter: TypeAlias = Callable[[Image], Mask]  # (H, W, 3) uint8 -> (H, W) int32 ids

MASK_METRICS = ("dq", "sq", "pq", "aji", "dice", "f1")


@dataclass(frozen=True)
class Agreement:
    """All mask metrics of one image.

    Attributes:
        panoptic: DQ, SQ, PQ and the counts behind them.
        aji_parts: summed intersections and unions of the aggregated Jaccard index.
        dice_parts: shared foreground and summed foregrounds.
    """

    panoptic: PanopticScore
    aji_parts: tuple[int, int]
    dice_parts: tuple[int, int]

    def as_dict(self) -> dict[str, float]:
        """The scores by name; nan where both masks are empty."""
        means, _ = summarize([self])
        return means


def agreement(true: Mask, pred: Mask) -> Agreement:
    """Score one mask against a segmentation of the same image.

    Args:
        true: (H, W) integers, 0 background; what the image was painted from, or the annotation.
        pred: (H, W) integers, 0 background; what a segmenter saw.

    Raises:
        BadInput: masks that are not integer ids, or of different sizes.
    """
    table = overlaps(true, pred)
    return Agreement(panoptic_of(table), aji_parts(table), dice_parts(table))


def summarize(scores: Sequence[Agreement]) -> tuple[dict[str, float], dict[str, float]]:
    """Means over images (the headline), and the same metrics pooled over all nuclei or pixels.

    Returns:
        Two dictionaries of dq, sq, pq, aji, dice and f1; the pooled one also counts tp, fp, fn, and the
        images that were left out because both of their masks are empty.
    """
    panoptic, aji, dice, f1 = PanopticMetric(), AjiMetric(), DiceMetric(), F1Metric()
    for score in scores:
        panoptic.add(score.panoptic)
        aji.add(score.aji_parts)
        dice.add(score.dice_parts)
        f1.add(score.panoptic)
    quality, others = panoptic.compute(), {"aji": aji.compute(), "dice": dice.compute(), "f1": f1.compute()}
    means = {"dq": quality.dq, "sq": quality.sq, "pq": quality.pq} | {k: v.value for k, v in others.items()}
    pool = quality.pooled
    pooled = {"dq": pool.dq, "sq": pool.sq, "pq": pool.pq} | {k: v.pooled for k, v in others.items()}
    counts = {"tp": pool.tp, "fp": pool.fp, "fn": pool.fn, "empty_images": quality.empty}
    return means, pooled | counts
