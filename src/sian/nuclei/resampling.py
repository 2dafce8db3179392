"""Real outlines on new places: taken from annotated masks, turned, mirrored and gently deformed.

Where the nuclei lie follows the masks' fitted tissue as in `sian.nuclei.generation`; only the outlines are real.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sian import seeds
from sian.errors import BadInput
from sian.masks.boxes import nucleus_boxes
from sian.nuclei.drawing import Depths, draw, patches
from sian.nuclei.fitting import FEWEST, fit_tissue
from sian.nuclei.placement import Ellipse
from sian.nuclei.scene import check_request, place
from sian.nuclei.statistics import measure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from sian.nuclei.fit import Tissue
    from sian.nuclei.placement import Ground

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]

RIM = 4  # px kept around an outline, so that it may be stretched
AT_ONCE = 256  # nuclei drawn in one step, which bounds memory
LARGEST_QUANTILE = 0.995  # the few longer nuclei, often several that were outlined as one, are left out


@dataclass(frozen=True)
class _Library:
    """The outlines of one tissue, smallest area first: signed depth in px on each one's box, one after another."""

    depth: npt.NDArray[np.float32]
    start: Integers
    rows: Integers
    columns: Integers
    y: Floats  # the centre, in the box
    x: Floats
    angle: Floats
    half_length: Floats
    half_breadth: Floats


class RealNuclei:
    """Outlines of real nuclei, and masks made of them.

    Args:
        masks: (H, W) instance masks, best whole tiles; those with fewer than 20 whole nuclei are left out.

    Raises:
        BadInput: no mask has enough nuclei.
    """

    def __init__(self, masks: Iterable[npt.NDArray[np.integer]]) -> None:
        self._tissues: list[tuple[Tissue, _Library]] = []
        for number, mask in enumerate(masks):
            tissue = fit_tissue(mask, f"mask {number}")
            if tissue is not None:
                self._tissues.append((tissue, _collect(mask)))
        if not self._tissues:
            raise BadInput(f"expected masks with at least {FEWEST} whole nuclei, found none; give larger masks")

    def resample(
        self,
        height: int,
        width: int,
        seed: int = 0,
        *,
        deformation: float = 0.06,
        density_map: npt.NDArray[np.floating] | None = None,
    ) -> npt.NDArray[np.int32]:
        """An instance mask of real outlines; depends on the masks and on these arguments alone.

        Args:
            height: rows, 1 to 16,384.
            width: columns.
            seed: which of the many masks.
            deformation: standard deviation of the stretching and of the outline's bending, as a part of the
                radius, 0 to 0.3; 0 only turns and mirrors.
            density_map: (height, width), see `sian.nuclei.generate`.

        Returns:
            (height, width) int32: 0 is background, 1..n one id a nucleus, each in one piece.

        Raises:
            BadInput: an argument is out of range.
        """
        check_request(height, width, density_map)
        if not 0 <= deformation <= 0.3:
            raise BadInput(f"expected a deformation of 0 to 0.3, found {deformation}")
        random = seeds.generator(seed, "resample")
        tissue, library = self._tissues[int(random.integers(len(self._tissues)))]
        shapes = _RealShapes(library)
        ground = place(tissue, shapes, random, height, width, density_map)
        chosen = np.array([shapes.chosen[number] for number in ground.numbers], np.int64)
        changes = _Changes(random, len(ground), deformation)
        parts = _parts(library, chosen, ground, changes, height, width)
        return draw(parts, ground.clusters, height, width)


class _RealShapes:
    """Picks an outline by the rank of its area (`sian.nuclei.scene.Shapes`)."""

    def __init__(self, library: _Library) -> None:
        self._library = library
        self.longest = float(library.half_length.max())
        self.chosen: dict[int, int] = {}

    def take(self, number: int, scores: Floats, angle: float) -> Ellipse:
        library = self._library
        rank = 0.5 * math.erfc(-scores[0] / math.sqrt(2))
        which = self.chosen[number] = min(int(rank * len(library.start)), len(library.start) - 1)
        return Ellipse(float(library.half_length[which]), float(library.half_breadth[which]), angle)


class _Changes:
    """How each nucleus is mirrored, stretched and bent."""

    def __init__(self, random: np.random.Generator, count: int, deformation: float) -> None:
        self.mirrored = np.where(random.random(count) < 0.5, -1.0, 1.0)
        self.stretch = np.exp(deformation * random.standard_normal(count).clip(-2, 2))
        bends = deformation * random.standard_normal((2, 2, count)).clip(-2, 2) / 4
        self.third, self.fourth = bends[:, 0], bends[:, 1]  # (cosine and sine, count)

    def radius(self, which: Integers, turn: Floats) -> Floats:
        """By how much the outline goes in or out at an angle of its ellipse."""
        third = self.third[0][which] * np.cos(3 * turn) + self.third[1][which] * np.sin(3 * turn)
        fourth = self.fourth[0][which] * np.cos(4 * turn) + self.fourth[1][which] * np.sin(4 * turn)
        radius: Floats = 1 + third + fourth
        return radius


def _collect(mask: npt.NDArray[np.integer]) -> _Library:
    """The whole nuclei of a mask, also those that others press against: they are larger than the rest."""
    nuclei = measure(mask)
    half_length = np.sqrt(nuclei.area * nuclei.aspect / np.pi)
    usable = nuclei.whole & (half_length <= np.quantile(half_length[nuclei.whole], LARGEST_QUANTILE))
    chosen = np.flatnonzero(usable)
    chosen = chosen[np.argsort(nuclei.area[chosen], kind="stable")]
    boxes = nucleus_boxes(mask)
    depths, corners = [], []
    for number in chosen:
        box = boxes[int(nuclei.ids[number])]
        depths.append(_signed_depth(np.pad(mask[box] == nuclei.ids[number], RIM)))
        corners.append((box[0].start - RIM, box[1].start - RIM))
    top, left = np.array(corners).T
    sizes = np.array([depth.size for depth in depths])
    return _Library(
        depth=np.concatenate([depth.ravel() for depth in depths]),
        start=np.cumsum(sizes) - sizes,
        rows=np.array([depth.shape[0] for depth in depths]),
        columns=np.array([depth.shape[1] for depth in depths]),
        y=nuclei.y[chosen] - top,
        x=nuclei.x[chosen] - left,
        angle=nuclei.angle[chosen],
        half_length=half_length[chosen],
        half_breadth=half_length[chosen] / nuclei.aspect[chosen],
    )


def _signed_depth(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Distance to the outline in px: above 0 inside, below 0 outside, 0 half-way between two pixels."""
    from scipy.ndimage import distance_transform_edt

    depth: npt.NDArray[np.float32] = np.where(
        inside, distance_transform_edt(inside) - 0.5, 0.5 - distance_transform_edt(~inside)
    ).astype(np.float32)
    return depth


def _parts(
    library: _Library, chosen: Integers, ground: Ground, changes: _Changes, height: int, width: int
) -> Iterator[Depths]:  # fmt: skip
    y, x = ground.y, ground.x
    angles = np.array([ellipse.angle for ellipse in ground.ellipses])
    diagonal = np.hypot(library.rows, library.columns) / 2
    for first in range(0, len(ground), AT_ONCE):
        numbers = np.arange(first, min(first + AT_ONCE, len(ground)))
        around = patches(y[numbers], x[numbers], diagonal[chosen[numbers]] + 1, height, width)
        number = numbers[around.nucleus]
        source = chosen[number]
        along, across = _turned(around.dy, around.dx, -angles[number])
        along, across = along * changes.stretch[number], across * changes.mirrored[number] / changes.stretch[number]
        turn = np.arctan2(across / library.half_breadth[source], along / library.half_length[source])
        radius = changes.radius(number, turn)
        dx, dy = _turned(across / radius, along / radius, library.angle[source])
        depth = _sampled(library, source, library.y[source] + dy, library.x[source] + dx)
        inside = depth > 0
        yield Depths(around.pixel[inside], number[inside], depth[inside])


def _turned(dy: Floats, dx: Floats, angle: Floats) -> tuple[Floats, Floats]:
    """The x and y after a turn by `angle`."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return cosine * dx - sine * dy, sine * dx + cosine * dy


def _sampled(library: _Library, source: Integers, y: Floats, x: Floats) -> Floats:
    """The depth at a place in each one's box, between four pixels; outside of the box it is below 0."""
    rows, columns = library.rows[source], library.columns[source]
    outside = (y < 0) | (x < 0) | (y > rows - 1) | (x > columns - 1)
    y, x = np.clip(y, 0, rows - 1.001), np.clip(x, 0, columns - 1.001)
    row, column = y.astype(np.int64), x.astype(np.int64)
    down, right = y - row, x - column
    at = library.start[source] + row * columns + column
    upper = library.depth[at] * (1 - right) + library.depth[at + 1] * right
    lower = library.depth[at + columns] * (1 - right) + library.depth[at + columns + 1] * right
    return np.where(outside, -1.0, upper * (1 - down) + lower * down)
