"""A layout brought up to date after a few pixels of its mask changed: only the nuclei there are described again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sian.layout.boundary import boundaries
from sian.layout.description import describe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sian.layout.layout import Layout


def describe_again(layout: Layout, mask: NDArray[Any], ids: NDArray[Any], box: tuple[int, int, int, int]) -> None:
    """Change a layout in place to what `describe` would say of a changed mask.

    Args:
        layout: of the mask as it was, (H, W), without classes.
        mask: (H, W) as it is now.
        ids: every id that the changed pixels had or have; other nuclei are left alone.
        box: top, left, bottom, right in px of what holds all pixels of these ids, before and after.
    """
    top, left, bottom, right = box
    inner = (slice(top, bottom), slice(left, right))
    now = mask[inner]
    ours = np.isin(now, ids[ids > 0])
    new = describe(np.where(ours, now, 0))
    stale = ours | (now == 0)
    layout.semantic[inner] = now > 0
    for old, found in (
        (layout.direction, new.direction),
        (layout.distance, new.distance),
        (layout.centre, new.centre),
        (layout.depth, new.depth),
    ):
        if old is not None and found is not None:
            old[inner][stale] = found[stale]
    if layout.boundary is not None:
        _bounded_again(layout.boundary, mask, box)


def _bounded_again(boundary: NDArray[np.bool_], mask: NDArray[Any], box: tuple[int, int, int, int]) -> None:
    """Boundaries in a box and one pixel around it: those that a changed pixel can change."""
    top, left, bottom, right = box
    above, before = max(0, top - 2), max(0, left - 2)
    found = boundaries(mask[above : bottom + 2, before : right + 2])
    first, start = max(0, top - 1), max(0, left - 1)
    part = boundary[first : bottom + 1, start : right + 1]
    part[:] = found[first - above :, start - before :][: part.shape[0], : part.shape[1]]
