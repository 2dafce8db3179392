"""A layout in colour, for people: documentation, the command line, a look at one's own masks.

Directions take the hue of a colour wheel, so that each nucleus is a pie whose wedges point to its centroid,
pale near it and full of colour far from it. Distances run from dark violet at the outline to yellow
on the skeleton. Tissue is white where it is empty, darker where it is denser, and has its fibres' direction for a hue,
the clearer the more they agree: red for across, cyan for upright, green and violet for the two diagonals.
"""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import numpy as np

from sian.layout.layout import SECTORS
from sian.layout.tissue_map import FULL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sian.layout.layout import Layout

DENSEST, PALEST = 0.35, 0.9  # brightness of tissue

_NEAR, _FAR = (0.35, 1.0), (0.85, 0.85)  # saturation and value

# Five colours from dark to light whose lightness grows evenly, so that a print without colour reads the same.
_DISTANCE_COLOURS = np.array([[60, 15, 90], [55, 85, 140], [30, 145, 140], [110, 200, 90], [255, 230, 40]], np.float64)


def picture(layout: Layout) -> dict[str, NDArray[np.uint8]]:
    """Paint the three masks of a layout.

    Args:
        layout: (H, W).

    Returns:
        "semantic", "direction" and "distance", each (H, W, 3) uint8; the background is black. With what lies between
        the nuclei also "tissue"; nuclei, and where nothing is said, are black.

    >>> from sian.layout import describe
    >>> {name: image.shape for name, image in picture(describe(np.eye(3, dtype=int))).items()}
    {'semantic': (3, 3, 3), 'direction': (3, 3, 3), 'distance': (3, 3, 3)}
    """
    semantic = np.where(layout.semantic, np.uint8(255), np.uint8(0))
    pictures = {
        "semantic": np.repeat(semantic[..., None], 3, axis=-1),
        "direction": _direction_colours()[layout.direction],
        "distance": _paint_distance(layout),
    }
    return pictures if layout.tissue is None else {**pictures, "tissue": _paint_tissue(layout.tissue, layout.semantic)}


def _paint_tissue(layers: NDArray[np.int8], nuclei: NDArray[np.bool]) -> NDArray[np.uint8]:
    """Hue, saturation and value by hand: matplotlib is not at hand, and colorsys takes one pixel at a time."""
    known, empty, density, along, across = np.moveaxis(layers.astype(np.float32) / FULL, -1, 0)
    value = empty + (1 - empty) * (DENSEST + (PALEST - DENSEST) * (1 - density) / 2)
    saturation = (1 - empty) * np.minimum(1, np.hypot(along, across))
    angle = np.arctan2(across, along)[..., None]
    pure = np.clip(0.5 + np.cos(angle - np.array([0, 2, 4]) * np.pi / 3), 0, 1)
    shown = (value * (known > 0) * ~nuclei)[..., None] * (1 - saturation[..., None] * (1 - pure))
    colours: NDArray[np.uint8] = np.round(255 * shown).astype(np.uint8)
    return colours


def _direction_colours() -> NDArray[np.uint8]:
    """Colour of each class, (17, 3)."""
    wheel = [colorsys.hsv_to_rgb(k / SECTORS, *tone) for tone in (_NEAR, _FAR) for k in range(SECTORS)]
    return np.round(255 * np.array([(0, 0, 0), *wheel])).astype(np.uint8)


def _paint_distance(layout: Layout) -> NDArray[np.uint8]:
    """Colours between the five of the scale, black in the background."""
    stops = np.linspace(0, 1, len(_DISTANCE_COLOURS))
    channels = [np.interp(layout.distance, stops, channel) for channel in _DISTANCE_COLOURS.T]
    colours = np.round(np.stack(channels, axis=-1)).astype(np.uint8)
    colours[~layout.semantic] = 0
    return colours
