"""Means over images that leave out images without a score, and say how many those were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Mean:
    """A mean over images.

    Attributes:
        value: the mean of the scores that are numbers; nan when there is none.
        images: images that count.
        empty: images left out because they have no score.
        pooled: the same score over all images' pixels or nuclei together, where that is defined; else nan.
    """

    value: float
    images: int
    empty: int
    pooled: float = np.nan


def mean_of(scores: Sequence[float], pooled: float = np.nan) -> Mean:
    """The mean of the scores that are numbers.

    >>> mean_of([1.0, float("nan"), 0.5])
    Mean(value=0.75, images=2, empty=1, pooled=nan)
    """
    known = [score for score in scores if not np.isnan(score)]
    value = float(np.mean(known)) if known else float("nan")
    return Mean(value, len(known), len(scores) - len(known), pooled)
