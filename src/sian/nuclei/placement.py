"""Put nuclei one by one where there is room: some alone, some against one that lies there already.

For the question whether there is room, a nucleus is an ellipse.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

GAP = 1.5  # px at least between nuclei that do not touch
PRESS = (0.8, 2.2)  # px by which the outlines of two that touch overlap before the border between them is drawn
CROWDING = 2.5  # px by which a nucleus may overlap others of its own cluster


class Ellipse(NamedTuple):
    """A nucleus to be placed: half its length, half its breadth, the long axis' angle from +x towards +y (down)."""

    half_length: float
    half_breadth: float
    angle: float

    @property
    def form(self) -> tuple[float, float, float]:
        """xx, xy, yy of the quadratic form that is 1 on the outline."""
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        p, q = self.half_length**-2, self.half_breadth**-2
        return p * cosine**2 + q * sine**2, (p - q) * cosine * sine, p * sine**2 + q * cosine**2

    def radius(self, dy: float, dx: float) -> float:
        """From the centre to the outline in the direction of (dy, dx)."""
        xx, xy, yy = self.form
        return math.hypot(dy, dx) / math.sqrt(xx * dx * dx + 2 * xy * dx * dy + yy * dy * dy)


class _Laid(NamedTuple):
    """An ellipse that lies there; plain numbers, as this is asked for more often than anything else."""

    y: float
    x: float
    half_length: float
    xx: float
    xy: float
    yy: float
    cluster: int


class Ground:
    """Where nuclei lie, so far; looks up neighbours in squares as wide as the largest nucleus may be."""

    def __init__(self, longest: float) -> None:
        """Make room for nuclei whose half lengths are at most `longest` px."""
        self.ellipses: list[Ellipse] = []
        self.numbers: list[int] = []  # the caller's number of each
        self._laid: list[_Laid] = []
        self._side = 2 * longest + PRESS[1]
        self._squares: dict[tuple[int, int], list[_Laid]] = {}

    def __len__(self) -> int:
        return len(self._laid)

    @property
    def y(self) -> Floats:
        """(n,) the centres."""
        return np.array([laid.y for laid in self._laid])

    @property
    def x(self) -> Floats:
        """(n,) the centres."""
        return np.array([laid.x for laid in self._laid])

    @property
    def clusters(self) -> npt.NDArray[np.int64]:
        """(n,) nuclei of equal numbers belong to one cluster."""
        return np.array([laid.cluster for laid in self._laid], np.int64)

    def centre(self, which: int) -> tuple[float, float]:
        """Centre (y, x) of one that lies there."""
        return self._laid[which].y, self._laid[which].x

    def cluster(self, which: int) -> int:
        """The cluster of one that lies there."""
        return self._laid[which].cluster

    def has_room(self, ellipse: Ellipse, y: float, x: float, cluster: int = -1) -> bool:
        """Whether an ellipse fits between those that lie there; it may crowd those of its own cluster."""
        xx, xy, yy = ellipse.form
        for other in self._near(y, x):
            dy, dx = other.y - y, other.x - x
            square = dy * dy + dx * dx
            if square >= (ellipse.half_length + other.half_length + GAP) ** 2:
                continue
            least = -CROWDING if other.cluster == cluster else GAP
            mine = xx * dx * dx + 2 * xy * dx * dy + yy * dy * dy
            theirs = other.xx * dx * dx + 2 * other.xy * dx * dy + other.yy * dy * dy
            if min(mine, theirs) <= 0:
                return False
            # along the line between the centres: distance - radius - radius
            if math.sqrt(square) * (1 - 1 / math.sqrt(mine) - 1 / math.sqrt(theirs)) < least:
                return False
        return True

    def add(self, ellipse: Ellipse, y: float, x: float, number: int, cluster: int = -1) -> None:
        """Lay an ellipse down; without a cluster it begins one."""
        laid = _Laid(y, x, ellipse.half_length, *ellipse.form, len(self._laid) if cluster < 0 else cluster)
        self._laid.append(laid)
        self._squares.setdefault(self._square(y, x), []).append(laid)
        self.ellipses.append(ellipse)
        self.numbers.append(number)

    def beside(self, other: int, ellipse: Ellipse, turn: float, press: float) -> tuple[float, float]:
        """The centre that makes an ellipse press against one that lies there, in the direction `turn`."""
        dy, dx = math.sin(turn), math.cos(turn)
        distance = self.ellipses[other].radius(dy, dx) + ellipse.radius(dy, dx) - press
        return self._laid[other].y + distance * dy, self._laid[other].x + distance * dx

    def _square(self, y: float, x: float) -> tuple[int, int]:
        return math.floor(y / self._side), math.floor(x / self._side)

    def _near(self, y: float, x: float) -> Iterator[_Laid]:
        row, column = self._square(y, x)
        for r in (row - 1, row, row + 1):
            for c in (column - 1, column, column + 1):
                yield from self._squares.get((r, c), ())
