"""Density maps like glands: an empty lumen, a crowded ring of epithelium, sparse stroma between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sian import seeds
from sian.errors import BadInput
from sian.nuclei.fields import STEP, smooth_field
from sian.nuclei.scene import check_request

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

SPACING = 170.0  # px between glands, at 40x some 40 um
RADIUS = (0.3, 0.52)  # of a gland, as a part of the spacing
LUMEN = (0.3, 0.6)  # of the gland's radius
EPITHELIUM, STROMA = 2.2, 0.55  # times the organ's density
BENT, BEND_LENGTH = 0.12, 90.0  # how far outlines wander, as a part of the spacing, and over how many px


def glands(height: int, width: int, seed: int = 0, *, spacing: float = SPACING) -> npt.NDArray[np.float32]:
    """A random density map for `generate`: what the density is multiplied with, 0 in the lumina.

    Args:
        height: rows.
        width: columns.
        seed: which of the many maps.
        spacing: px between the centres of neighbouring glands, 40 to 4,000.

    Returns:
        (height, width) float32.

    >>> glands(64, 96, seed=1).shape
    (64, 96)
    """
    check_request(height, width, None)
    if not 40 <= spacing <= 4000:
        raise BadInput(f"expected glands 40 to 4,000 px apart, found {spacing}")
    random = seeds.generator(seed, "glands")
    rows, columns = -(-height // STEP) + 1, -(-width // STEP) + 1
    y, x = np.mgrid[:rows, :columns] * float(STEP)
    y += BENT * spacing * smooth_field(random, rows, columns, BEND_LENGTH)
    x += BENT * spacing * smooth_field(random, rows, columns, BEND_LENGTH)
    centres = _centres(random, height, width, spacing)
    radii = spacing * random.uniform(*RADIUS, len(centres))
    lumina = radii * random.uniform(*LUMEN, len(centres))
    from scipy.ndimage import map_coordinates
    from scipy.spatial import cKDTree

    distance, gland = cKDTree(centres).query(np.stack([y, x], -1))
    outside, inside = distance - radii[gland], lumina[gland] - distance  # px, below 0 within the ring
    at = np.mgrid[:height, :width] / STEP
    out, deep = (map_coordinates(field, at, order=1) for field in (outside, inside))
    return np.where(deep > 0, 0.0, np.where(out > 0, STROMA, EPITHELIUM)).astype(np.float32)


def _centres(random: np.random.Generator, height: int, width: int, spacing: float) -> Floats:
    """(n, 2) y, x on a jittered grid that reaches one gland beyond the border."""
    grid = np.mgrid[-1 : height // spacing + 2, -1 : width // spacing + 2].reshape(2, -1).T
    offset = random.uniform(0, 1, 2)
    centres: Floats = (grid + offset + random.uniform(-0.3, 0.3, grid.shape)) * spacing
    return centres
