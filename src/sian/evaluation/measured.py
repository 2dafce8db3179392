"""One comparison of images with images and masks: the numbers of one row of a report.

`Measured` holds what was measured image by image and as features, and cuts the same numbers out for any part of
the images: one organ, one half, one draw of the bootstrap.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sian import seeds
from sian.evaluation.agreement import MASK_METRICS, Agreement, summarize
from sian.evaluation.fid import fid
from sian.evaluation.kid import kid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sian.evaluation.arrays import Features

KID_SUBSET = 50  # images of a subset
KID_SUBSETS = 100
MOST_RESAMPLED = 1000  # images; a hundred more FIDs of larger sets would take longer than the evaluation
METRICS = ("fid", "kid", "ssim", *MASK_METRICS)


@dataclass(frozen=True)
class Measured:
    """What was measured of one set of images.

    Attributes:
        names: the images', sorted.
        groups: what each was cut from; the bootstrap draws groups.
        organs: each image's, or None.
        features: (n, 2048) of the images, or None.
        ssim: of those that have a real partner.
        agreements: of those that have a mask and a segmentation.
    """

    names: list[str]
    groups: list[str]
    organs: list[str | None]
    features: Features | None = None
    ssim: dict[str, float] = field(default_factory=dict)
    agreements: dict[str, Agreement] = field(default_factory=dict)

    def select(self, keep: Sequence[int] | np.ndarray[Any, Any]) -> Measured:
        """The row of some images, by index; an index may come twice."""
        names = [self.names[i] for i in keep]
        return Measured(
            names,
            [self.groups[i] for i in keep],
            [self.organs[i] for i in keep],
            None if self.features is None else self.features[np.asarray(keep, int)],
            {n: self.ssim[n] for n in names if n in self.ssim},
            {n: self.agreements[n] for n in names if n in self.agreements},
        )

    def of_organ(self, organ: str) -> Measured:
        """The row of one organ's images."""
        return self.select([i for i, found in enumerate(self.organs) if found == organ])

    def numbers(self, real: Features | None, *, kid_subsets: int = KID_SUBSETS) -> dict[str, Any]:
        """The metrics of a report as plain numbers; None where something was not measured."""
        values: dict[str, Any] = dict.fromkeys(METRICS)
        if self.features is not None and real is not None and min(len(self.features), len(real)) >= 2:
            values |= distances(real, self.features, kid_subsets)
        similar = [self.ssim[name] for name in self.names if name in self.ssim]
        if similar:
            values["ssim"] = float(np.mean(similar))
        scores = [self.agreements[name] for name in self.names if name in self.agreements]
        if scores:
            values |= summarize(scores)[0]
        return values

    def pooled(self) -> dict[str, float]:
        """The mask metrics over all nuclei together, or nothing."""
        scores = list(self.agreements.values())
        return summarize(scores)[1] if scores else {}


def distances(real: Features, fake: Features, subsets: int = KID_SUBSETS) -> dict[str, Any]:
    """FID and KID of two sets of features as a report holds them; with 1 subset KID is taken over all images."""
    smaller = min(len(real), len(fake))
    size = KID_SUBSET if smaller > KID_SUBSET else max(2, 2 * smaller // 3)  # subsets of everything have no spread
    mean, std = kid(real, fake, subset_size=smaller if subsets == 1 else size, subsets=subsets)
    return {"fid": fid(real, fake), "kid": {"mean": mean, "std": std}}


def halves(features: Features, splits: int = 5) -> dict[str, Any]:
    """FID and KID of one half of the images against the other: the mean of several splits.

    Returns:
        "fid", "kid" as `distances` has them, with the spread over the splits as KID's std; "fid_std" and "n"
        besides.
    """
    found = []
    for split in range(splits):
        order = seeds.generator(0, "halves", split).permutation(len(features))
        middle = len(order) // 2
        found.append(distances(features[order[:middle]], features[order[middle:]]))
    fids, kids = [f["fid"] for f in found], [f["kid"]["mean"] for f in found]
    return {
        "fid": float(np.mean(fids)),
        "fid_std": float(np.std(fids)),
        "kid": {"mean": float(np.mean(kids)), "std": float(np.std(kids))},
        "n": [len(features) // 2, len(features) - len(features) // 2],
    }


def confidence(row: Measured, real: Features | None, real_groups: list[str], rounds: int) -> dict[str, list[float]]:
    """95 % intervals by a bootstrap over groups (tiles): windows of one tile are not independent.

    Fakes and real images of one group are drawn together. A draw holds fewer distinct images, which shifts
    FID and KID; the shift is taken out: an interval is the estimate plus the draws' quantiles around their
    own mean.

    Returns:
        (low, high) by metric; nothing when there are fewer than 3 groups, and none of FID and KID for more than
        `MOST_RESAMPLED` images.
    """
    if max(len(row.names), len(real_groups)) > MOST_RESAMPLED:
        real = None
    groups = sorted(set(row.groups))
    if len(groups) < 3 or rounds < 1:
        return {}
    fakes, reals = _members(row.groups), _members(real_groups)
    draws: dict[str, list[float]] = {}
    for index in range(rounds):
        drawn = seeds.generator(0, "bootstrap", index).choice(groups, len(groups))
        part = row.select([i for group in drawn for i in fakes[group]])
        against = None if real is None else _drawn(real, [i for group in drawn for i in reals.get(group, ())])
        for name, value in _flat(part.numbers(against, kid_subsets=1)).items():
            draws.setdefault(name, []).append(value)
    estimate = _flat(row.numbers(real))
    return {name: _interval(estimate[name], values) for name, values in draws.items() if name in estimate}


def _drawn(features: Features, keep: list[int]) -> Features:
    """The real images of the drawn groups; all of them when real images come from other groups."""
    part: Features = features[keep] if keep else features
    return part


def _members(groups: list[str]) -> dict[str, list[int]]:
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    return members


def _flat(numbers: dict[str, Any]) -> dict[str, float]:
    single = {k: v["mean"] if isinstance(v, dict) else v for k, v in numbers.items()}
    return {k: v for k, v in single.items() if v is not None and np.isfinite(v)}


def _interval(estimate: float, draws: list[float]) -> list[float]:
    low, high = np.percentile(draws, [2.5, 97.5]) - np.mean(draws)
    return [float(estimate + low), float(estimate + high)]
