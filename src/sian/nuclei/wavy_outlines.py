"""Invented outlines: an ellipse whose radius is modulated by waves, as irregular as asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sian.nuclei.drawing import Depths, patches

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]

TURNS = 64  # directions in which an outline's radius is stored
# The next three are measured on 5,156 nuclei of MoNuSeg's training tiles that touch no other.
WAVES = np.arange(3, 11)  # 1 would shift the ellipse and 2 stretch it; 3 makes an egg or a bean, 10 knobs
WAVE_HEIGHTS = WAVES**-2.0
IRREGULARITY = 0.62  # part outside of the ellipse, per standard deviation of the radius
PIXELS = 0.015  # part outside that an ellipse has when it is drawn in pixels
BLUNTNESS = 0.025  # of a long nucleus' ends: of the fourth wave, per aspect above 1
BLUNTEST = 0.06
NARROWEST = 0.35  # of the ellipse's radius; above 0 the outline cannot cross itself


@dataclass(frozen=True)
class Outlines:
    """Outlines, an array entry each.

    Attributes:
        half_length: (n,) px, of the ellipse.
        half_breadth: (n,) px.
        angle: (n,) of the long axis from +x towards +y (down).
        radius: (n, TURNS) as a part of the ellipse's, in equal turns of the circle that the ellipse came from.
    """

    half_length: Floats
    half_breadth: Floats
    angle: Floats
    radius: Floats

    def of(self, chosen: slice) -> Outlines:
        """Some of the outlines."""
        return Outlines(
            self.half_length[chosen], self.half_breadth[chosen], self.angle[chosen], self.radius[chosen]
        )  # fmt: skip


def wavy_radii(random: np.random.Generator, irregularity: Floats, aspect: Floats) -> Floats:
    """Radii of outlines with about a part `irregularity` of their area outside of their ellipse: (n, TURNS), area 1."""
    heights = random.normal(0, WAVE_HEIGHTS, (len(irregularity), 2, len(WAVES)))
    turns = np.arange(TURNS) * 2 * np.pi / TURNS
    waves = heights[:, 0] @ np.cos(WAVES[:, None] * turns) + heights[:, 1] @ np.sin(WAVES[:, None] * turns)
    spread = np.sqrt(np.maximum(irregularity**2 - PIXELS**2, 0)) / IRREGULARITY
    waves *= (spread / np.sqrt((waves**2).mean(1)))[:, None]
    blunt = np.minimum(BLUNTNESS * (aspect - 1), BLUNTEST)[:, None] * np.cos(4 * turns)
    radius = np.maximum(1 + waves - blunt, NARROWEST)
    scaled: Floats = radius / np.sqrt((radius**2).mean(1))[:, None]
    return scaled


def depths(outlines: Outlines, y: Floats, x: Floats, first: int, height: int, width: int) -> Depths:
    """Which pixels lie inside of outlines around the given centres, and how deep.

    Args:
        outlines: n of them.
        y: (n,) centres in the mask.
        x: (n,).
        first: the number of the first outline.
        height: of the mask.
        width: of the mask.
    """
    reach = outlines.half_length * outlines.radius.max(1) + 1
    around = patches(y, x, reach, height, width)
    which = around.nucleus
    cosine, sine = np.cos(outlines.angle)[which], np.sin(outlines.angle)[which]
    along = (cosine * around.dx + sine * around.dy) / outlines.half_length[which]
    across = (cosine * around.dy - sine * around.dx) / outlines.half_breadth[which]
    out = np.maximum(np.hypot(along, across), 1e-6)  # 1 on the ellipse
    near = out < outlines.radius.max(1)[which]
    which, along, across, out = which[near], along[near], across[near], out[near]
    turn = np.arctan2(across, along) * (TURNS / (2 * np.pi)) % TURNS
    before = turn.astype(np.int64) % TURNS
    part = turn - np.floor(turn)
    radius = outlines.radius[which, before] * (1 - part) + outlines.radius[which, (before + 1) % TURNS] * part
    pixels = np.hypot(around.dy[near], around.dx[near]) / out  # px of the ellipse's radius in this direction
    depth = (radius - out) * np.maximum(pixels, 0.5)
    inside = depth > 0
    return Depths(around.pixel[near][inside], which[inside] + first, depth[inside])
