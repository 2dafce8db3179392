"""Where on a slide the tissue lies, by a plain threshold on a small copy of it.

A pixel is tissue when it is stained and coloured: its optical density, averaged over R, G and B, is at least 0.06, and
its saturation (largest minus smallest of R, G, B, over the largest) at least 0.07. Glass and white fill have no
density; dust, shadows and black ink have no saturation. Blue and green ink is coloured and counts as tissue: leave it
out with --region. Fat and lumina are glass here, which is what the share of tissue in a window is for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sian.errors import BadInput
from sian.slides.levels import Area
from sian.slides.slide import Slide, open_slide

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LEAST_DENSITY = 0.06  # of base ten: 13 % of the light is gone
LEAST_SATURATION = 0.07
THUMBNAIL = 2048  # px of the longer side of the copy that is looked at, at most twice as many
LARGEST_PICTURE = 4096 * 4096  # px of a picture that is a reference as it is
WINDOWS, SIDE = 4, 512  # of `tissue_sample`
LEAST_SHARE = 0.5  # of tissue in a window, where there are such


def tissue_mask(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pixels are tissue.

    Args:
        image: (H, W, 3) uint8.

    Returns:
        (H, W) bool.

    >>> tissue_mask(np.array([[[255, 255, 255], [200, 120, 180], [40, 40, 40]]], np.uint8)).tolist()
    [[False, True, False]]
    """
    light = (image.astype(np.float32) + 1) / 256
    density = -np.log10(light).mean(axis=-1)
    most, least = image.max(axis=-1).astype(np.float32), image.min(axis=-1).astype(np.float32)
    saturation = (most - least) / np.maximum(most, 1)
    found: NDArray[np.bool_] = (density >= LEAST_DENSITY) & (saturation >= LEAST_SATURATION)
    return found


def find_tissue(slide: Slide) -> tuple[NDArray[np.bool_], float]:
    """The tissue of a slide on a small copy of it: the coarsest level of at least 2048 px, thinned out if it is larger.

    Returns:
        (h, w) bool, and how many px of level 0 lie along one of its pixels.
    """
    large = [number for number, size in enumerate(slide.sizes) if max(size) >= THUMBNAIL]
    level = large[-1] if large else 0
    height, width = slide.sizes[level]
    thin = max(1, max(height, width) // THUMBNAIL)
    rows = [
        tissue_mask(slide.part(Area(top, 0, min(thin * 64, height - top), width), level)[::thin, ::thin])
        for top in range(0, height, thin * 64)
    ]
    return np.concatenate(rows), slide.step(level) * thin


def tissue_windows(slide: Slide, side: int, count: int, within: Area | None = None) -> list[Area]:
    """Windows of a slide that lie on tissue, spread over it.

    The first is the one with most tissue; each further one lies farthest from those chosen, among windows of which at
    least half is tissue. Nothing is drawn by chance.

    Args:
        slide: opened.
        side: of a window, px of level 0.
        count: how many at most.
        within: only windows inside this area.

    Raises:
        BadInput: no tissue was found.
    """
    mask, step = find_tissue(slide)
    area = within or Area(0, 0, *slide.shape)
    side = min(side, area.height, area.width)
    places = [
        Area(top, left, side, side)
        for top in range(area.top, area.bottom - side + 1, side)
        for left in range(area.left, area.right - side + 1, side)
    ]
    shares = np.array([_share(mask, step, place) for place in places])
    if not shares.max(initial=0) > 0:
        raise BadInput(
            f"{slide.path}: found no tissue (stained, coloured pixels), expected some; leave it out, or name a region "
            "that holds some"
        )
    good = np.flatnonzero(shares >= min(LEAST_SHARE, float(shares.max())))
    chosen = [int(good[np.argmax(shares[good])])]
    middles = np.array([(place.top, place.left) for place in places], np.float64)
    while len(chosen) < min(count, len(good)):
        distance = np.linalg.norm(middles[good][:, None] - middles[chosen][None], axis=-1).min(axis=1)
        chosen.append(int(good[np.argmax(distance)]))
    return [places[number] for number in sorted(chosen)]


def read_reference(path: str | Path) -> NDArray[np.uint8]:
    """A picture that stands for a slide's stain: the whole picture where it is small, else `tissue_sample`."""
    with open_slide(path) as slide:
        return tissue_sample(slide) if is_sampled(slide) else slide.read().pixels


def is_sampled(slide: Slide) -> bool:
    """Whether a style is taken from windows of the tissue instead of the whole picture: pyramids and large ones."""
    height, width = slide.shape
    return len(slide.sizes) > 1 or height * width > LARGEST_PICTURE


def tissue_sample(slide: Slide, level: int = 0, side: int = SIDE) -> NDArray[np.uint8]:
    """Four windows of tissue side by side, 2 x 2: for stain, not for shapes across seams.

    Args:
        slide: opened.
        level: at which they are read.
        side: of a window, px of that level.

    Raises:
        BadInput: no tissue was found.
    """
    step = slide.step(level)
    windows = tissue_windows(slide, round(side * step), WINDOWS)
    tiles = [slide.read(window, level).pixels for window in windows]
    height, width = (min(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    tiles = [tile[:height, :width] for tile in tiles]
    if len(tiles) < WINDOWS:
        return tiles[0]
    return np.concatenate([np.concatenate(tiles[:2], 1), np.concatenate(tiles[2:], 1)], 0)


def _share(mask: NDArray[np.bool_], step: float, place: Area) -> float:
    """Which part of a window is tissue."""
    rows = slice(int(place.top / step), max(int(place.top / step) + 1, round(place.bottom / step)))
    columns = slice(int(place.left / step), max(int(place.left / step) + 1, round(place.right / step)))
    part = mask[rows, columns]
    return float(part.mean()) if part.size else 0.0
