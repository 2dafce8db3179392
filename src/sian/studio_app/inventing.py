"""Invented nuclei at hand: outlines to be stamped, and areas filled as densely as an organ's tissue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput
from sian.masks.contours import trace_region
from sian.nuclei import default_fit, generate
from sian.studio_app.editing import Change, outlined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sian.studio_app.document import Mask

SIDE = 384  # px of the invented mask that outlines are taken from
MOST_OUTLINES = 24
MOST_AREA = 4096 * 4096  # px of the box of an area to fill
MOST_LOST = 0.35  # part of an invented nucleus that older nuclei may take; else it is left out
MARGIN = 32  # px around an area into which the nuclei at its edge may reach


def organs() -> list[str]:
    """The organs that nuclei can be invented like."""
    return sorted(default_fit().organs)


def outlines(organ: str, seed: int) -> list[list[tuple[float, float]]]:
    """Outlines of invented nuclei around their centroids, x and y in px, the same for the same seed."""
    mask = generate(SIDE, SIDE, organ, seed)
    found = []
    for nucleus in range(1, int(mask.max(initial=0)) + 1):
        rows, columns = np.nonzero(mask == nucleus)
        if len(rows) < 12 or min(rows.min(), columns.min()) == 0 or max(rows.max(), columns.max()) == SIDE - 1:
            continue  # cut by the border
        top, left = int(rows.min()), int(columns.min())
        region = mask[top : rows.max() + 1, left : columns.max() + 1] == nucleus
        ring = np.array(trace_region(region, top, left)[0][0], np.float64)
        ring = _smooth(ring) - (columns.mean() + 0.5, rows.mean() + 0.5)
        found.append([(round(float(x), 2), round(float(y), 2)) for x, y in ring])
        if len(found) == MOST_OUTLINES:
            break
    return found


def fill(
    mask: Mask, points: Sequence[Sequence[float]], organ: str, density: float, seed: int
) -> tuple[Change, dict[str, Any]]:
    """Invented nuclei in the free part of an area: their centres lie in it, and its edge cuts none.

    Args:
        mask: (H, W), which is not changed.
        points: (n, 2) x, y around the area.
        organ: whose nuclei they are like.
        density: times the organ's own.
        seed: which of the many ways to fill it.

    Returns:
        The change, and how many nuclei it adds.

    Raises:
        BadInput: an unknown organ, no area, or no nucleus finds room.
    """
    top, left, region = outlined(points, *mask.shape)
    if not region.any():
        raise BadInput("the outline encloses no pixel; draw it around an area")
    if region.size > MOST_AREA:
        raise BadInput(f"expected an area of at most {MOST_AREA:,} px, found {region.size:,}; fill it in parts")
    above, before_it = min(top, MARGIN), min(left, MARGIN)
    below = min(mask.shape[0] - top - region.shape[0], MARGIN)
    behind = min(mask.shape[1] - left - region.shape[1], MARGIN)
    region = np.pad(region, ((above, below), (before_it, behind)))
    top, left = top - above, left - before_it
    invented = generate(region.shape[0], region.shape[1], organ, seed, density_map=region * density)
    before = mask[top : top + region.shape[0], left : left + region.shape[1]]
    free = before == 0
    whole, kept = np.bincount(invented.ravel()), np.bincount(invented[free], minlength=int(invented.max()) + 1)
    stays = kept >= np.maximum(1, (1 - MOST_LOST) * whole)
    stays[0] = False
    count = int(stays.sum())
    if not count:
        raise BadInput("no invented nucleus finds room there; draw a larger area, or raise the density")
    numbers = np.where(stays, int(mask.max(initial=0)) + np.cumsum(stays), 0).astype(np.int32)
    added = np.where(free, numbers[invented], 0)
    return Change(top, left, np.where(added > 0, added, before)), {"added": count, "organ": organ}


def _smooth(ring: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A ring of pixel corners without its steps: middles of edges, averaged over neighbours."""
    dense = np.concatenate(
        [
            np.linspace(a, b, max(1, int(np.abs(b - a).sum())), endpoint=False)
            for a, b in zip(ring, np.roll(ring, -1, 0), strict=True)
        ]
    )
    weights = (1, 2, 3, 2, 1)
    total = sum(weight * np.roll(dense, shift, 0) for shift, weight in zip(range(-2, 3), weights, strict=True))
    return np.asarray(total, np.float64)[::2] / sum(weights)
