"""Tissue maps for invented masks: lumina where the density map has none, fat and tears now and then, wavy fibres."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sian import seeds
from sian.errors import BadInput
from sian.layout.tissue_map import CELL
from sian.nuclei.fields import STEP, smooth_field

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

OFTEN = 0.3  # of masks have gaps other than lumina
GAP_SHARE, GAP_LENGTH = 0.12, 90.0  # of the mask's area at most, where no nucleus is; px over which gaps stay alike
CLEARANCE = 8  # px from a gap to the nearest nucleus
SPREAD, DENSITY_LENGTH = 0.2, 120.0  # of the density, and over how many px it stays alike
COHERENCE, FIBRE_LENGTH = 0.35, 160.0  # of the fibres; real maps have 0.2 to 0.4


def invent_tissue(
    mask: npt.NDArray[Any], seed: int = 0, *, density_map: npt.NDArray[np.floating] | None = None
) -> npt.NDArray[np.float32]:
    """Invent what lies between the nuclei of a mask.

    Args:
        mask: (H, W) integer, 0 is background.
        seed: which of the many maps.
        density_map: what the mask was invented with (`glands`); where it is 0 lies a lumen.

    Returns:
        (ceil(H / 16), ceil(W / 16), 4) float32, as `sian.tissue_map` returns it.

    Raises:
        BadInput: a density map of another size.

    >>> invent_tissue(np.zeros((64, 96), int), seed=1).shape
    (4, 6, 4)
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    height, width = mask.shape
    if density_map is not None and density_map.shape != mask.shape:
        raise BadInput(f"expected a density map of {mask.shape} like the mask, found {density_map.shape}")
    random = seeds.generator(seed, "tissue")
    rows, columns = -(-height // CELL), -(-width // CELL)
    free = distance_transform_edt(mask == 0) if (mask != 0).any() else np.full(mask.shape, np.inf)
    empty = np.zeros(mask.shape)
    if density_map is not None:
        empty[(density_map == 0) & (free > 1)] = 1
    wavy = _field(random, rows, columns, GAP_LENGTH)
    if random.random() < OFTEN:
        open_places = np.kron(wavy > np.quantile(wavy, 1 - GAP_SHARE), np.ones((CELL, CELL)))[:height, :width]
        empty[(open_places > 0) & (free > CLEARANCE)] = 1
    density = SPREAD * _field(random, rows, columns, DENSITY_LENGTH)
    angle = np.pi * _field(random, rows, columns, FIBRE_LENGTH)
    share = _cells(gaussian_filter(empty, CELL / 4), rows, columns)
    values = [
        np.clip(share, 0, 1),
        np.clip((1 - share) * density, -1, 1),
        COHERENCE * np.cos(angle),
        COHERENCE * np.sin(angle),
    ]
    return np.stack(values, 2).astype(np.float32)


def _field(random: np.random.Generator, rows: int, columns: int, length: float) -> Floats:
    """A smooth field with a value a cell."""
    return smooth_field(random, rows, columns, length * STEP / CELL)


def _cells(values: Floats, rows: int, columns: int) -> Floats:
    """Means of the cells."""
    height, width = values.shape
    padded = np.pad(values, ((0, rows * CELL - height), (0, columns * CELL - width)), "edge")
    means: Floats = padded.reshape(rows, CELL, columns, CELL).mean((1, 3))
    return means
