"""Decide where the nuclei of an invented mask lie, how large they are and which way they point.

Smooth fields say how crowded each place is, how large nuclei are there and which way they point; nuclei come one
by one, each alone or, as often as in the tissue, against one that lies there already.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sian.errors import BadInput
from sian.nuclei.fields import STEP, smooth_field
from sian.nuclei.placement import PRESS, Ellipse, Ground
from sian.nuclei.statistics import MEGAPIXEL

if TYPE_CHECKING:
    import numpy.typing as npt

    from sian.nuclei.fit import Tissue

    Floats = npt.NDArray[np.float64]
    Random = np.random.Generator

MAX_SIDE = 16_384  # px
MOST = 1_000_000  # nuclei in a mask
ATTEMPTS = 24  # places tried for one nucleus
WITHOUT_DIRECTION = 1e-4  # the least coherence of directions; below it they are as good as random


class Shapes(Protocol):
    """Where nuclei get their shapes from."""

    longest: float  # px, half the length of the longest nucleus that may come

    def take(self, number: int, scores: Floats, angle: float) -> Ellipse:
        """The ellipse of nucleus `number`.

        Args:
            number: 0, 1, ...; asked for again when there was no room: the last answer counts.
            scores: (3,) normal score of its area, and two more standard normal numbers for what else it has.
            angle: of its long axis.
        """


def check_request(height: int, width: int, density_map: npt.NDArray[np.floating] | None) -> None:
    """Refuse sizes and density maps that cannot be.

    Raises:
        BadInput: the size is out of range, or the map has another size, negative values or nan.
    """
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise BadInput(f"expected a mask of 1 to {MAX_SIDE:,} pixels a side, found {height} x {width}")
    if density_map is None:
        return
    if density_map.shape != (height, width):
        raise BadInput(f"expected a density map of the mask's shape {(height, width)}, found {density_map.shape}")
    if not np.isfinite(density_map).all() or density_map.min() < 0:
        raise BadInput("expected a density map of finite values from 0, found negative ones, infinity or nan")


def place(
    tissue: Tissue,
    shapes: Shapes,
    random: Random,
    height: int,
    width: int,
    density_map: npt.NDArray[np.floating] | None = None,
) -> Ground:
    """Place nuclei as crowded, clustered and aligned as a tissue's, also a little way outside of the mask.

    A nucleus that finds no room at `ATTEMPTS` places is left out.
    """
    scene = _Scene(tissue, random, height, width, shapes.longest, density_map)
    wanted = int(random.poisson(scene.total))
    ground = Ground(shapes.longest)
    all_scores = random.standard_normal((wanted, 4))
    for number, scores in enumerate(all_scores[np.argsort(-all_scores[:, 0])]):  # the large ones need more room
        rolls = random.random((ATTEMPTS, 3))
        attached = random.random() < tissue.attached and len(ground) > 0
        if not (attached and _attach(ground, scene, shapes, number, scores, rolls)):
            _settle(ground, scene, shapes, number, scores, rolls)
    return ground


def _settle(ground: Ground, scene: _Scene, shapes: Shapes, number: int, scores: Floats, rolls: Floats) -> bool:
    """Give a nucleus a place of its own; says whether there was one."""
    for y, x in scene.places(rolls):
        ellipse = shapes.take(number, *scene.local(scores, y, x))
        if ground.has_room(ellipse, y, x):
            ground.add(ellipse, y, x, number)
            return True
    return False


def _attach(ground: Ground, scene: _Scene, shapes: Shapes, number: int, scores: Floats, rolls: Floats) -> bool:
    """Press a nucleus against one that lies there; says whether there was room."""
    for which, turn, press in rolls.tolist():
        other = int(which * len(ground))
        ellipse = shapes.take(number, *scene.local(scores, *ground.centre(other)))
        depth = PRESS[0] + press * (PRESS[1] - PRESS[0])
        y, x = ground.beside(other, ellipse, 2 * math.pi * turn, depth)
        cluster = ground.cluster(other)
        if scene.allows(y, x) and ground.has_room(ellipse, y, x, cluster):
            ground.add(ellipse, y, x, number, cluster)
            return True
    return False


class _Scene:
    """The fields of one mask and of a margin around it, on a grid of `STEP` px."""

    def __init__(
        self,
        tissue: Tissue,
        random: Random,
        height: int,
        width: int,
        longest: float,
        density_map: npt.NDArray[np.floating] | None,
    ) -> None:
        self._margin = math.ceil(longest / STEP) * STEP
        self._rows = (2 * self._margin + height + STEP - 1) // STEP
        self._columns = (2 * self._margin + width + STEP - 1) // STEP
        self._size = self._field(random, tissue.size_length)
        upright, slanted = (self._field(random, tissue.direction_length) for _ in range(2))
        self._angle = np.arctan2(upright, slanted) / 2
        self._shared, self._own = math.sqrt(tissue.size_coherence), math.sqrt(1 - tissue.size_coherence)
        # for normal deviations of spread s, two nuclei agree by exp(-4 s^2)
        self._spread = math.sqrt(-math.log(max(tissue.direction_coherence, WITHOUT_DIRECTION)) / 4)
        logarithm = tissue.patchiness * self._field(random, tissue.patch_length) - tissue.patchiness**2 / 2
        self._expected = np.exp(logarithm) * tissue.density * STEP**2 / MEGAPIXEL
        if density_map is not None:
            self._expected *= self._map(density_map)
        self._cumulated = np.cumsum(self._expected.ravel())
        self.total = float(self._cumulated[-1])  # nuclei to be expected
        if self.total > MOST:
            raise BadInput(f"expected at most {MOST:,} nuclei in a mask, found room for {self.total:,.0f}; cut it")

    def places(self, rolls: Floats) -> list[tuple[float, float]]:
        """The y and x of k places, as likely as the density says, from (k, 3) numbers in [0, 1)."""
        cells = np.searchsorted(self._cumulated, rolls[:, 0] * self.total, side="right")
        row, column = np.divmod(np.minimum(cells, self._expected.size - 1), self._columns)
        y, x = (row + rolls[:, 1]) * STEP - self._margin, (column + rolls[:, 2]) * STEP - self._margin
        return list(zip(y.tolist(), x.tolist(), strict=True))

    def local(self, scores: Floats, y: float, x: float) -> tuple[Floats, float]:
        """A nucleus' scores and angle, from its own numbers and from where it lies."""
        cell = self._cell(y, x)
        mixed = scores[:3].copy()
        mixed[0] = self._shared * self._size[cell] + self._own * scores[0]
        return mixed, float(self._angle[cell] + self._spread * scores[3])

    def allows(self, y: float, x: float) -> bool:
        """Whether the density at a place is above 0."""
        inside = -self._margin <= y < self._rows * STEP - self._margin
        inside &= -self._margin <= x < self._columns * STEP - self._margin
        return bool(inside and self._expected[self._cell(y, x)] > 0)

    def _cell(self, y: float, x: float) -> tuple[int, int]:
        return int((y + self._margin) // STEP), int((x + self._margin) // STEP)

    def _field(self, random: Random, length: float) -> Floats:
        return smooth_field(random, self._rows, self._columns, length)

    def _map(self, density_map: npt.NDArray[np.floating]) -> Floats:
        """The density map's values in the middle of the grid's cells; at the margin, those of the nearest edge."""
        rows = np.arange(self._rows) * STEP + STEP // 2 - self._margin
        columns = np.arange(self._columns) * STEP + STEP // 2 - self._margin
        height, width = density_map.shape
        inside = np.clip(rows, 0, height - 1)[:, None], np.clip(columns, 0, width - 1)[None, :]
        values: Floats = density_map[inside].astype(np.float64)
        return values
