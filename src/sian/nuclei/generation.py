"""Invent instance masks whose nuclei follow what was fitted to real ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sian import seeds
from sian.nuclei.drawing import draw
from sian.nuclei.fit import QUANTILES, Organ, Tissue, correlation_matrix, default_fit
from sian.nuclei.placement import Ellipse
from sian.nuclei.scene import check_request, place
from sian.nuclei.wavy_outlines import Outlines, depths, wavy_radii

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from sian.nuclei.drawing import Depths
    from sian.nuclei.placement import Ground

    Floats = npt.NDArray[np.float64]

AT_ONCE = 512  # nuclei drawn in one step, which bounds memory
LONGEST_SCORE = 2.3  # normal score of the area and of the aspect that the longest nucleus may have, both at once


def generate(
    height: int,
    width: int,
    organ: str | Organ,
    seed: int = 0,
    *,
    density_map: npt.NDArray[np.floating] | None = None,
) -> npt.NDArray[np.int32]:
    """Invent an instance mask.

    It takes one of the organ's tissues and places and draws nuclei as that one's are. The mask depends on the
    arguments alone. Nuclei at the border are cut by it.

    Args:
        height: rows, 1 to 16,384.
        width: columns.
        organ: an organ of the bundled fit, by name, or one of another fit (``fit.organ("kidney")``).
        seed: which of the many masks.
        density_map: (height, width), 0 and more: what the organ's density is multiplied with at each place;
            no nucleus has its centre where it is 0. See `glands`.

    Returns:
        (height, width) int32: 0 is background, 1..n one id a nucleus, each in one piece.

    Raises:
        BadInput: an argument is out of range, or the organ is unknown.

    >>> mask = generate(64, 96, "kidney", seed=3)
    >>> mask.shape, str(mask.dtype)
    ((64, 96), 'int32')
    """
    chosen = default_fit().organ(organ) if isinstance(organ, str) else organ
    check_request(height, width, density_map)
    random = seeds.generator(seed, "nuclei")
    tissue = chosen.tissues[int(random.integers(len(chosen.tissues)))]
    shapes = FittedShapes(tissue)
    ground = place(tissue, shapes, random, height, width, density_map)
    outlines = shapes.outlines(ground, random)
    return draw(_parts(ground, outlines, height, width), ground.clusters, height, width)


class FittedShapes:
    """Shapes from a tissue's quantiles and correlations (`sian.nuclei.scene.Shapes`)."""

    def __init__(self, tissue: Tissue) -> None:
        self._log_area, self._log_aspect = np.log(tissue.area), np.log(tissue.aspect)
        self._irregular = np.array(tissue.irregularity)
        self._mix = square_root(correlation_matrix(tissue.correlations))
        area, aspect = (_at(LONGEST_SCORE, table) for table in (self._log_area, self._log_aspect))
        self.longest = max(2.0, math.sqrt(math.exp(area + aspect) / math.pi))
        self._irregularity: dict[int, float] = {}

    def take(self, number: int, scores: Floats, angle: float) -> Ellipse:
        """The ellipse of nucleus `number`; its irregularity is kept."""
        area_score, aspect_score, irregularity_score = (self._mix @ scores).tolist()
        radius = math.sqrt(math.exp(_at(area_score, self._log_area)) / math.pi)
        stretch = math.exp(_at(aspect_score, self._log_aspect) / 2)
        self._irregularity[number] = _at(irregularity_score, self._irregular)
        half_length = min(radius * stretch, self.longest)
        return Ellipse(half_length, min(radius, radius**2 / half_length), angle)

    def outlines(self, ground: Ground, random: np.random.Generator) -> Outlines:
        """The outlines of the nuclei that found room."""
        ellipses = np.array(ground.ellipses).reshape(-1, 3)
        irregularity = np.array([self._irregularity[number] for number in ground.numbers])
        half_length, half_breadth, angle = ellipses.T
        return Outlines(
            half_length, half_breadth, angle, wavy_radii(random, irregularity, ellipses[:, 0] / ellipses[:, 1])
        )


def square_root(matrix: Floats) -> Floats:
    """Lower triangle whose product with its transpose is a correlation matrix, also a singular one."""
    regular = (matrix + 1e-6 * np.eye(len(matrix))) / (1 + 1e-6)
    root: Floats = np.asarray(np.linalg.cholesky(regular), np.float64)
    return root


def _at(score: float, table: Floats) -> float:
    """The value of a quantity, given at `QUANTILES`, that has a normal score."""
    return float(np.interp(0.5 * math.erfc(-score / math.sqrt(2)), QUANTILES, table))


def _parts(ground: Ground, outlines: Outlines, height: int, width: int) -> Iterator[Depths]:
    y, x = ground.y, ground.x
    for first in range(0, len(ground), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        yield depths(outlines.of(some), y[some], x[some], first, height, width)
