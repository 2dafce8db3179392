"""The definition of M, P and Q, nucleus by nucleus, as docs/design.md words it: slow and plain."""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import distance_transform_edt
from skimage.morphology import skeletonize


def reference_layout(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """M (H, W) bool, P (H, W) class numbers, Q (H, W) float64 of an instance mask."""
    mask = np.pad(mask, 1)  # what lies outside the tile is not of a nucleus
    direction = np.zeros(mask.shape, np.uint8)
    distance = np.zeros(mask.shape)
    for nucleus in np.unique(mask[mask > 0]):
        own = mask == nucleus
        rows, columns = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
        # Only to be quick: the box with a ring of background around it holds all that a nucleus sees.
        box = np.s_[rows[0] - 1 : rows[-1] + 2, columns[0] - 1 : columns[-1] + 2]
        direction[box][own[box]] = directions(own[box])
        distance[box][own[box]] = distances(own[box])
    inner = np.s_[1:-1, 1:-1]
    return mask[inner] > 0, direction[inner], distance[inner]


def directions(own: np.ndarray) -> list[int]:
    """P of the pixels of one nucleus, in row-major order."""
    pixels = [(int(y), int(x)) for y, x in np.argwhere(own)]
    n = len(pixels)
    sum_y, sum_x = sum(y for y, _ in pixels), sum(x for _, x in pixels)
    squared = [(n * y - sum_y) ** 2 + (n * x - sum_x) ** 2 for y, x in pixels]  # (n d)^2
    largest = max(squared)  # (n R)^2
    classes = []
    for (y, x), d in zip(pixels, squared, strict=True):
        t = math.atan2(sum_y - n * y, sum_x - n * x)
        k = math.floor(8 * t / (2 * math.pi) + 1 / 2) % 8 if d else 0
        inside = 4 * d <= largest
        classes.append(1 + k if inside else 9 + k)
    return classes


def distances(own: np.ndarray) -> np.ndarray:
    """Q of the pixels of one nucleus, in row-major order."""
    to_outline = distance_transform_edt(own)
    skeleton = skeletonize(own)
    if not skeleton.any():
        skeleton = to_outline == to_outline.max()
    to_skeleton = distance_transform_edt(~skeleton)
    return (to_outline / (to_outline + to_skeleton))[own]
