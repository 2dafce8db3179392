"""How alike real and invented masks are, by the numbers of `sian.nuclei.statistics`, with the floor beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sian import seeds
from sian.errors import BadInput
from sian.nuclei.statistics import Nuclei, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

SPLITS = 5  # of the real windows into halves, for the floor
FEWEST_WINDOWS = 4  # real ones; fewer cannot be halved

# What is compared: a number for each whole nucleus of a window, or one for the window.
STATISTICS: dict[str, Callable[[Nuclei], Floats]] = {
    "area": lambda nuclei: nuclei.area[nuclei.whole].astype(np.float64),
    "eccentricity": lambda nuclei: nuclei.eccentricity[nuclei.whole],
    "solidity": lambda nuclei: nuclei.solidity[nuclei.whole],
    "irregularity": lambda nuclei: nuclei.irregularity[nuclei.whole],
    "neighbour": lambda nuclei: nuclei.neighbour[nuclei.whole & np.isfinite(nuclei.neighbour)],
    "touching": lambda nuclei: nuclei.touching.mean(keepdims=True) if len(nuclei) else np.zeros(0),
    "cluster": lambda nuclei: nuclei.cluster_sizes.astype(np.float64),
    "density": lambda nuclei: np.array([nuclei.density]),
    "covered": lambda nuclei: np.array([nuclei.covered]),
}


@dataclass(frozen=True)
class Likeness:
    """One statistic of one organ.

    Attributes:
        real: its values in the real masks.
        made: its values in the invented masks.
        distance: Wasserstein's, divided by the standard deviation of the real values; 0 is alike.
        floor: the same between two halves of the real windows, mean of 5 splits.
    """

    real: Floats
    made: Floats
    distance: float
    floor: float


@dataclass(frozen=True)
class Comparison:
    """One organ: the windows compared and a row for each of `STATISTICS`."""

    organ: str
    real_windows: int
    made_windows: int
    rows: dict[str, Likeness]

    @property
    def distance(self) -> float:
        """The mean of the rows' distances."""
        return float(np.mean([row.distance for row in self.rows.values()]))

    @property
    def floor(self) -> float:
        """The mean of the rows' floors."""
        return float(np.mean([row.floor for row in self.rows.values()]))

    def summary(self) -> dict[str, object]:
        """Numbers for JSON: means, distances and floors."""
        rows = {
            name: {
                "real": _mean(row.real),
                "made": _mean(row.made),
                "distance": row.distance,
                "floor": row.floor,
            }
            for name, row in self.rows.items()
        }
        return {
            "real_windows": self.real_windows,
            "made_windows": self.made_windows,
            "distance": self.distance,
            "floor": self.floor,
            "statistics": rows,
        }


def compare(
    organ: str, real: Iterable[npt.NDArray[np.integer]], made: Iterable[npt.NDArray[np.integer]]
) -> Comparison:  # fmt: skip
    """Compare invented masks with real ones.

    The real masks are cut into windows of the invented masks' size, side by side, so that borders and
    crowding weigh the same on both sides.

    Args:
        organ: what the comparison is called.
        real: (H, W) instance masks, at least as large as the invented ones.
        made: (h, w) instance masks, all of one size.

    Raises:
        BadInput: no invented masks, masks of several sizes, or fewer than 4 real windows.
    """
    invented = list(made)
    shapes = {mask.shape for mask in invented}
    if len(shapes) != 1:
        raise BadInput(f"{organ}: expected invented masks of one size, found {len(shapes)} sizes")
    height, width = shapes.pop()
    windows = [measure(window) for mask in real for window in _windows(mask, height, width)]
    if len(windows) < FEWEST_WINDOWS:
        raise BadInput(
            f"{organ}: found {len(windows)} real windows of {height} x {width} px, expected at least "
            f"{FEWEST_WINDOWS} to compare with; compare smaller masks, or with more tiles"
        )
    return compare_measured(organ, windows, [measure(mask) for mask in invented])


def compare_measured(organ: str, real: Sequence[Nuclei], made: Sequence[Nuclei]) -> Comparison:
    """The same for windows that have been measured."""
    rows = {}
    for name, statistic in STATISTICS.items():
        values = [statistic(nuclei) for nuclei in real]
        whole, invented = np.concatenate(values), np.concatenate([statistic(nuclei) for nuclei in made])
        spread = float(whole.std()) if len(whole) else 0.0
        halves = [_halves(values, split) for split in range(SPLITS)]
        floor = float(np.mean([_distance(one, other, spread) for one, other in halves]))
        rows[name] = Likeness(whole, invented, _distance(whole, invented, spread), floor)
    return Comparison(organ, len(real), len(made), rows)


def _windows(mask: npt.NDArray[np.integer], height: int, width: int) -> list[npt.NDArray[np.integer]]:
    rows, columns = mask.shape[0] // height, mask.shape[1] // width
    return [
        mask[row * height : (row + 1) * height, column * width : (column + 1) * width]
        for row in range(rows)
        for column in range(columns)
    ]


def _halves(values: list[Floats], split: int) -> tuple[Floats, Floats]:
    order = seeds.generator(0, "halves", split).permutation(len(values))
    middle = len(order) // 2
    first, second = ([values[i] for i in part] for part in (order[:middle], order[middle:]))
    return np.concatenate(first), np.concatenate(second)


def _distance(one: Floats, other: Floats, spread: float) -> float:
    """Wasserstein's distance in units of the real spread; nan where there is nothing to compare."""
    if not len(one) or not len(other):
        return float("nan")
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(one, other)) / max(spread, 1e-9)


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None
