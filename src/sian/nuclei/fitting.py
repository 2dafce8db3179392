"""Fit the numbers of `sian.nuclei.fit` to real masks: one tissue a mask, from whole nuclei only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sian.errors import BadInput
from sian.nuclei.fields import correlation_length
from sian.nuclei.fit import QUANTILES, Fit, Organ, Tissue
from sian.nuclei.statistics import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy.typing as npt

    from sian.data import Dataset
    from sian.nuclei.statistics import Nuclei

    Floats = npt.NDArray[np.float64]
    Report = Callable[[int, int], None]

FEWEST = 20  # whole nuclei; fewer say nothing about a tissue
CELL = 40  # px of the squares in which the local density is counted
LAGS = 4  # how many squares apart densities are compared
PAIRS = np.array([0, 30, 60, 90, 120, 160])  # px; neighbours are compared in these bins of distance
MOST_SHARED = 0.7  # of a likeness; what seems more is drawn out from too few near pairs
DIGITS = 4  # significant, in the file


def fit(
    masks: Mapping[str, Iterable[npt.NDArray[np.integer]]],
    *,
    source: str = "",
    licence: str = "unknown",
    mpp: float | None = None,
) -> Fit:
    """Fit nuclei to real instance masks.

    Args:
        masks: for each organ its masks, (H, W) each, best whole tiles; those with fewer than 20 whole nuclei are
            left out.
        source: where the masks come from, in words.
        licence: of the masks.
        mpp: micrometres per pixel.

    Raises:
        BadInput: an organ has no mask with enough nuclei.
    """
    organs = {}
    for organ, several in masks.items():
        tissues = [fit_tissue(mask, f"{organ} {number}") for number, mask in enumerate(several)]
        organs[organ] = _organ(organ, tissues)
    return Fit(source=source, licence=licence, mpp=mpp, organs=organs)


def fit_dataset(data: Dataset, *, report: Report | None = None) -> Fit:
    """Fit nuclei to the masks of a data set, by organ.

    Raises:
        BadInput: no items, a mask that cannot be read, or an organ without enough nuclei.
    """
    if not len(data):
        raise BadInput(f"{data.folder}: found no items, expected masks to fit nuclei to; import some first")
    tissues: dict[str, list[Tissue | None]] = {organ: [] for organ in data.organs}
    for number, item in enumerate(data):
        tissues[item.organ].append(fit_tissue(data.mask(item), item.id))
        if report:
            report(number + 1, len(data))
    organs = {organ: _organ(organ, several) for organ, several in tissues.items()}
    splits = " and ".join(data.splits)
    source = f"{data.info.name}, {len(data)} masks of split {splits}; {data.info.source}"
    return Fit(source=source, licence=data.info.licence, mpp=data.info.mpp, organs=organs)


def fit_tissue(mask: npt.NDArray[np.integer], name: str = "mask") -> Tissue | None:
    """The numbers of one mask, or None when it has fewer than 20 whole nuclei."""
    nuclei = measure(mask, name)
    whole = nuclei.whole
    if whole.sum() < FEWEST:
        return None
    values = [nuclei.area.astype(np.float64), nuclei.aspect, nuclei.irregularity]
    scores = np.stack([_normal_scores(value[whole]) for value in values])
    correlations = _correlations(scores)
    patchiness, patch_length = _patches(nuclei)
    size, size_length = _size_coherence(nuclei)
    direction, direction_length = _direction_coherence(nuclei)
    return Tissue(
        name=name,
        nuclei=len(nuclei),
        density=_short(nuclei.density),
        patchiness=_short(patchiness),
        patch_length=_short(patch_length),
        area=_quantiles(values[0][whole]),
        aspect=_quantiles(values[1][whole]),
        irregularity=_quantiles(values[2][whole]),
        correlations=(_short(correlations[0, 1]), _short(correlations[0, 2]), _short(correlations[1, 2])),
        size_coherence=_short(size),
        size_length=_short(size_length),
        direction_coherence=_short(direction),
        direction_length=_short(direction_length),
        attached=_short(1 - len(nuclei.cluster_sizes) / len(nuclei)),
    )


def _organ(name: str, tissues: Iterable[Tissue | None]) -> Organ:
    enough = tuple(tissue for tissue in tissues if tissue is not None)
    if not enough:
        raise BadInput(f"organ {name!r}: no mask has {FEWEST} whole nuclei, expected at least one; give larger masks")
    return Organ(name=name, tissues=enough)


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _quantiles(values: Floats) -> tuple[float, ...]:
    return tuple(_short(value) for value in np.quantile(values, QUANTILES))


def _normal_scores(values: Floats) -> Floats:
    """What a normal variable would have been: the ranks, bent so that they are standard normal."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    scores: Floats = ndtri((rankdata(values) - 0.5) / len(values))
    return scores


def _correlations(scores: Floats) -> Floats:
    """(k, k) of k quantities; what is the same for every nucleus goes with nothing."""
    centred = scores - scores.mean(1, keepdims=True)
    covariance = centred @ centred.T
    spread = np.sqrt(np.diag(covariance))
    correlations: Floats = covariance / np.maximum(np.outer(spread, spread), 1e-9)
    return correlations


def _patches(nuclei: Nuclei) -> tuple[float, float]:
    """Spread and length of the logarithm of the local density, from counts in squares some way apart.

    Counts at a distance share neither chance nor the room that nuclei take from one another: for a density
    whose logarithm is a Gaussian field, log(1 + covariance / mean^2) is the field's covariance.
    """
    rows, columns = nuclei.shape[0] // CELL, nuclei.shape[1] // CELL
    if min(rows, columns) <= 2 * LAGS:
        return 0.0, 100.0
    counts = np.histogram2d(
        nuclei.y, nuclei.x, (rows, columns), ((0, rows * CELL), (0, columns * CELL))
    )[0]  # fmt: skip
    mean = max(counts.mean(), 1e-9)
    covariances = [
        ((counts[lag:] - mean) * (counts[:-lag] - mean)).mean() / 2
        + ((counts[:, lag:] - mean) * (counts[:, :-lag] - mean)).mean() / 2
        for lag in range(1, LAGS + 1)
    ]
    logs = np.log1p(np.maximum(np.array(covariances) / mean**2, -0.5))
    variance, length = correlation_length(np.arange(1.0, LAGS + 1) * CELL, logs, np.ones(LAGS))
    return min(float(np.sqrt(variance)), 1.5), length


def _size_coherence(nuclei: Nuclei) -> tuple[float, float]:
    scores = np.zeros(len(nuclei))
    scores[nuclei.whole] = _normal_scores(nuclei.area[nuclei.whole].astype(np.float64))
    return _coherence(nuclei, nuclei.whole, lambda a, b: scores[a] * scores[b])


def _direction_coherence(nuclei: Nuclei) -> tuple[float, float]:
    elongated = nuclei.whole & (nuclei.aspect > 1.3)  # a round nucleus has no direction
    return _coherence(nuclei, elongated, lambda a, b: np.cos(2 * (nuclei.angle[a] - nuclei.angle[b])))


def _coherence(
    nuclei: Nuclei,
    chosen: npt.NDArray[np.bool_],
    likeness: Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64]], Floats],
) -> tuple[float, float]:
    """Share and length of a likeness between nuclei, from its mean over the pairs in each bin of distance."""
    from scipy.spatial import cKDTree

    numbers = np.flatnonzero(chosen)
    points = np.stack([nuclei.y[numbers], nuclei.x[numbers]], 1)
    pairs = cKDTree(points).query_pairs(float(PAIRS[-1]), output_type="ndarray")
    if len(pairs) < FEWEST:
        return 0.0, 80.0
    distances = np.hypot(*(points[pairs[:, 0]] - points[pairs[:, 1]]).T)
    likenesses = likeness(numbers[pairs[:, 0]], numbers[pairs[:, 1]])
    bins = np.digitize(distances, PAIRS) - 1
    counts = np.bincount(bins, minlength=len(PAIRS) - 1)[: len(PAIRS) - 1]
    sums = np.bincount(bins, likenesses, minlength=len(PAIRS) - 1)[: len(PAIRS) - 1]
    share, length = correlation_length((PAIRS[1:] + PAIRS[:-1]) / 2, sums / np.maximum(counts, 1), np.sqrt(counts))
    return min(share, MOST_SHARED), length
