"""Q, the distance mask: 0 at a nucleus' outline, 1 on its skeleton (paper, section 3.2).

    Q = dB / (dB + dS)

dB is the distance to the nearest pixel that is not of this nucleus, dS to the nearest pixel of its skeleton.
Nuclei are set apart in an *atlas*, so that one pass over it serves them all and none sees another; the few
whose bounding box is large are done one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sian.layout.pixels import NuclearPixels

# Nuclei with larger bounding boxes go one by one: the same result, quicker over long distances.
_ALONE_FROM_AREA = 128 * 128


def distances(pixels: NuclearPixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Q and depth of each nuclear pixel, both above 0 and at most 1.

    Args:
        pixels: N nuclear pixels.

    Returns:
        Q, (N,) float32; and dB over the largest dB of the nucleus, (N,) float32.
    """
    to_outline = np.empty(len(pixels.y), np.float32)  # (N,) squared
    to_skeleton = np.empty(len(pixels.y), np.float32)  # (N,) squared
    alone = _box_area(pixels) > _ALONE_FROM_AREA
    for nucleus in np.flatnonzero(alone):
        one, where = pixels.select(np.array([nucleus]))
        to_outline[where], to_skeleton[where] = _one_large(one)
    if not alone.all():
        many, where = pixels.select(np.flatnonzero(~alone))
        to_outline[where], to_skeleton[where] = _many_small(many)
    outline, skeleton = np.sqrt(to_outline), np.sqrt(to_skeleton)
    deepest = pixels.spread(pixels.reduce(np.maximum, outline))
    return np.asarray(outline / (outline + skeleton), np.float32), np.asarray(outline / deepest, np.float32)


def _box_area(pixels: NuclearPixels) -> NDArray[np.int64]:
    """Area of each nucleus' bounding box, (n,)."""
    height = pixels.reduce(np.maximum, pixels.y) - pixels.reduce(np.minimum, pixels.y) + 1
    width = pixels.reduce(np.maximum, pixels.x) - pixels.reduce(np.minimum, pixels.x) + 1
    return np.asarray(height * width)


def _one_large(pixels: NuclearPixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Squared dB and dS of a single nucleus, by SciPy's distance transform of its bounding box."""
    from scipy.ndimage import distance_transform_edt

    y, x = pixels.y - pixels.y.min() + 1, pixels.x - pixels.x.min() + 1
    own = np.zeros((y.max() + 2, x.max() + 2), np.bool_)
    own[y, x] = True
    to_outline = distance_transform_edt(own)
    skeleton = _skeleton(own)
    if not skeleton.any():
        skeleton = to_outline == to_outline.max()
    to_skeleton = distance_transform_edt(~skeleton)
    return to_outline[y, x].astype(np.float32) ** 2, to_skeleton[y, x].astype(np.float32) ** 2


def _skeleton(nuclei: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Zhang and Suen's thinning of everything that is true; (H, W) -> (H, W)."""
    from skimage.morphology import skeletonize

    return np.asarray(skeletonize(nuclei, method="zhang"), np.bool_)  # type: ignore[no-untyped-call]


def _many_small(pixels: NuclearPixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Squared dB and dS of many nuclei at once."""
    place, shape = _atlas(pixels)
    atlas = np.zeros(shape, np.bool_)
    atlas.ravel()[place] = True
    to_outline = _squared_distance_to_background(atlas).ravel()[place]
    on_skeleton = _skeleton(atlas).ravel()[place]

    bare = pixels.reduce(np.add, on_skeleton.astype(np.int64)) == 0  # thinned away altogether
    if bare.any():
        deepest = pixels.spread(pixels.reduce(np.maximum, to_outline)) == to_outline
        on_skeleton = on_skeleton | (pixels.spread(bare) & deepest)
    return to_outline, _squared_distance_to_own(pixels, on_skeleton)


def _atlas(pixels: NuclearPixels) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """Place the nuclei's bounding boxes on shelves, with a background pixel around each.

    One pixel is enough: thinning looks one pixel far, and the background pixel nearest to a nucleus' pixel is
    never outside the ring around its box.

    Returns:
        (N,) flat position of each pixel in the atlas, and the atlas' shape.
    """
    top, left = pixels.reduce(np.minimum, pixels.y), pixels.reduce(np.minimum, pixels.x)
    height = pixels.reduce(np.maximum, pixels.y) - top + 2
    width = pixels.reduce(np.maximum, pixels.x) - left + 2
    atlas_width = int(max(width.max(), np.sqrt((height * width).sum()))) + 1
    row, column = np.zeros_like(top), np.zeros_like(left)
    y = x = 1
    shelf = 0
    for nucleus in np.argsort(-height, kind="stable"):  # tall ones first, so that a shelf wastes little
        if x + width[nucleus] > atlas_width:
            y, x, shelf = y + shelf, 1, 0
        row[nucleus], column[nucleus] = y, x
        x += width[nucleus]
        shelf = max(shelf, height[nucleus])
    place = (pixels.y + pixels.spread(row - top)) * atlas_width + pixels.x + pixels.spread(column - left)
    return place, (int(y + shelf), atlas_width)


def _squared_distance_to_background(atlas: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Exact squared Euclidean distance of every pixel to the nearest false pixel, which are whole numbers; (H, W)."""
    from scipy.ndimage import distance_transform_edt

    distance = distance_transform_edt(atlas)
    return np.asarray(np.rint(distance * distance), np.float32)


def _squared_distance_to_own(pixels: NuclearPixels, chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Exact squared distance of every pixel to the nearest chosen pixel of the same nucleus.

    SciPy's transform would take the skeleton of a neighbour. A nucleus has few chosen pixels, so all pairs are tried:
    the j-th chosen pixel of all nuclei at a time.

    Args:
        pixels: N nuclear pixels.
        chosen: (N,), at least one true a nucleus.
    """
    chosen_count = pixels.reduce(np.add, chosen.astype(np.int64))
    order = np.argsort(-chosen_count, kind="stable")  # then the nuclei that have a j-th one come first
    ordered, where = pixels.select(order)
    y, x = ordered.y.astype(np.float32), ordered.x.astype(np.float32)
    target = np.flatnonzero(chosen[where])
    first = np.cumsum(chosen_count[order]) - chosen_count[order]

    nearest = np.full(len(y), np.inf, np.float32)
    for j in range(int(chosen_count.max())):
        nuclei = int((chosen_count > j).sum())
        jth = target[first[:nuclei] + j]
        count = ordered.count[:nuclei]
        end = int(count.sum())
        down = y[:end] - np.repeat(y[jth], count)
        right = x[:end] - np.repeat(x[jth], count)
        np.minimum(nearest[:end], down * down + right * right, out=nearest[:end])

    result = np.empty_like(nearest)
    result[where] = nearest
    return result
