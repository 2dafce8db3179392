"""A layout for the eye: M, P and Q side by side, as notebooks show it and as docs/method.md has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sian.layout.layout import SECTORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sian.layout.layout import Layout

GAP = 4  # px of white between the masks
FAR = 0.55  # how much darker pixels far from their centroid are than those near it


def layout_picture(layout: Layout) -> NDArray[np.uint8]:
    """M in white, P in a colour a direction (far from the centroid darker), Q in grey, side by side.

    Returns:
        (H, 3 W + 8, 3) uint8.
    """
    semantic = np.where(layout.semantic[..., None], 255, 0) * np.ones(3)
    sector = (layout.direction.astype(np.int64) - 1) % SECTORS
    hue = sector / SECTORS
    channels = [(np.abs((hue * 6 + shift) % 6 - 3) - 1).clip(0, 1) for shift in (0, 4, 2)]
    near = np.where(layout.direction > SECTORS, FAR, 1.0)[..., None]
    direction = np.where(layout.direction[..., None] > 0, 255 * near * np.stack(channels, -1), 0)
    distance = 255 * layout.distance[..., None] * np.ones(3)
    gap = np.full((layout.shape[0], GAP, 3), 255.0)
    return np.concatenate([semantic, gap, direction, gap, distance], 1).round().astype(np.uint8)
