"""Per-pixel standard-normal noise as a function of (seed, level, absolute pixel position).

Two windows of one image that overlap get the same noise where they do, so that an image may be painted in parts
(docs/design.md, "Networks"). A counter-based hash stands in for a stream: nothing has to be drawn in order.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, as in SplitMix64
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def _split_mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014): 64 well-mixed bits for 64 counted ones."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


def noise_at(seed: int, level: int, y: int, x: int, height: int, width: int) -> Tensor:
    """Noise of one level's window.

    Args:
        seed: of the image; its low 61 bits count.
        level: the generator's level, 0 at full size.
        y: the window's first row, in that level's pixels, may be negative.
        x: the window's first column.
        height: rows.
        width: columns.

    Returns:
        (1, 1, height, width) float32, standard normal.
    """
    with np.errstate(over="ignore"):
        rows = np.arange(y, y + height, dtype=np.int64).astype(np.uint32).astype(np.uint64)
        columns = np.arange(x, x + width, dtype=np.int64).astype(np.uint32).astype(np.uint64)
        key = _split_mix(np.array([(seed * 8 + level) & (2**64 - 1)], dtype=np.uint64) + _ODD)
        bits = _split_mix(((rows[:, None] << np.uint64(32)) | columns[None]) * _ODD + key)
    # Box and Muller: two uniforms from one hash; the first never 0.
    radius = np.sqrt(-2 * np.log(((bits >> np.uint64(40)).astype(np.float64) + 0.5) / 2**24))
    angle = (bits & np.uint64(0xFFFFFF)).astype(np.float64) * (2 * math.pi / 2**24)
    return torch.from_numpy((radius * np.cos(angle)).astype(np.float32))[None, None]
