"""Smooth random fields: how crowding, size and direction vary over a tissue. Only numbers, no nuclei."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

STEP = 8  # px between a field's values; no field varies on a shorter scale
LENGTHS = (40.0, 240.0)  # px; shorter is the nuclei's own scale, longer does not show in a tile
KERNEL_REACH = 2.5  # standard deviations of the smoothing kernel that are kept


def smooth_field(random: np.random.Generator, rows: int, columns: int, length: float) -> Floats:
    """A Gaussian field: at each place normal with mean 0 and variance 1, alike nearby.

    Values `h` px apart have a correlation of about exp(-(h / length)^2).

    Args:
        random: where the numbers come from.
        rows: of the field, `STEP` px apart.
        columns: of the field.
        length: px over which values stay alike.

    Returns:
        (rows, columns) float64.
    """
    from scipy.ndimage import correlate1d

    spread = length / STEP / 2  # noise smoothed with standard deviation s correlates as exp(-h^2 / 4 s^2)
    reach = max(1, round(KERNEL_REACH * spread))
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * max(spread, 0.2) ** 2))
    kernel /= np.sqrt((kernel**2).sum())
    noise = random.standard_normal((rows + 2 * reach, columns + 2 * reach))
    across = correlate1d(noise, kernel, axis=0)[reach : reach + rows]
    field: Floats = correlate1d(across, kernel, axis=1)[:, reach : reach + columns]
    return field


def correlation_length(distances: Floats, correlations: Floats, weights: Floats) -> tuple[float, float]:
    """The share and the length that explain correlations at some distances best: share * exp(-(h / length)^2).

    Args:
        distances: (k,) px.
        correlations: (k,) measured at these distances.
        weights: (k,) how much each counts.

    Returns:
        The share (0 and more) and the length in px (within `LENGTHS`).
    """
    lengths = np.geomspace(*LENGTHS, 24)
    shapes = np.exp(-((distances / lengths[:, None]) ** 2))  # (24, k)
    shares = np.maximum((shapes * correlations * weights).sum(1) / (shapes**2 * weights).sum(1), 0)
    errors = (weights * (correlations - shares[:, None] * shapes) ** 2).sum(1)
    best = int(errors.argmin())
    return float(shares[best]), float(lengths[best])
