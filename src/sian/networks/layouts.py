"""Layout maps as tensors: M, P and Q stacked to 19 channels, and the same at the generator's coarser levels.

DESIGN section 4 (down-sampling) and the paper, section 3.1: "all input factors are down-sampled to the same height and
width with the corresponding feature maps".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

DIRECTION_CLASSES = 17  # background, 8 sectors inside, 8 outside (paper, section 3.2)
LAYOUT_CHANNELS = 1 + DIRECTION_CLASSES + 1  # M, one-hot P, Q
ALL_CHANNELS = LAYOUT_CHANNELS + 2  # and what only baselines are given: instance boundary, depth

Condition = Literal["semantic", "direction", "distance", "layout", "classes", "boundary", "depth"]

# Which channels of a stacked layout a network is given, by the name that a recipe calls them.
CONDITIONS: dict[Condition, tuple[int, ...]] = {
    "semantic": (0,),  # M
    "direction": tuple(range(1 + DIRECTION_CLASSES)),  # M, P
    "distance": (0, LAYOUT_CHANNELS - 1),  # M, Q
    "layout": tuple(range(LAYOUT_CHANNELS)),  # M, P, Q
    "classes": (1, 0),  # background and nuclei, one-hot as SPADE and pix2pixHD code a semantic mask
    "boundary": (1, 0, LAYOUT_CHANNELS),  # the same and the instance boundary, as both do by default
    "depth": (LAYOUT_CHANNELS + 1,),  # Sharp-GAN's normalised distance map
}

Downsampling = Literal["area", "nearest"]


def channels_of(conditions: Iterable[Condition]) -> int:
    """How many channels of the layout are needed for these: 19 (M, P, Q), or 21 with boundary and depth."""
    needed = max((max(CONDITIONS[condition]) for condition in conditions), default=0)
    return LAYOUT_CHANNELS if needed < LAYOUT_CHANNELS else ALL_CHANNELS


def select(layout: Tensor, condition: Condition) -> Tensor:
    """The channels that a condition names.

    Args:
        layout: (n, 19 or 21, h, w), see `stack`.
        condition: a key of `CONDITIONS`.

    Returns:
        (n, c, h, w); a view where the channels lie side by side.
    """
    channels = CONDITIONS[condition]
    if channels == tuple(range(channels[0], channels[-1] + 1)):
        return layout[:, channels[0] : channels[-1] + 1]
    return torch.stack([layout[:, channel] for channel in channels], 1)


def stack(direction: Tensor, distance: Tensor, boundary: Tensor | None = None, depth: Tensor | None = None) -> Tensor:
    """M, one-hot P and Q as one tensor, with boundary and depth behind them if these are given.

    Args:
        direction: (n, h, w) uint8, class 0 (background) to 16.
        distance: (n, h, w) float in [0, 1].
        boundary: (n, h, w) bool.
        depth: (n, h, w) float in [0, 1]; together with `boundary` or not at all.

    Returns:
        (n, 19 or 21, h, w) in the dtype of `distance`: channel 0 is M, 1 to 17 are P, 18 is Q, 19 the boundary, 20
        the depth.
    """
    classes = torch.arange(DIRECTION_CLASSES, dtype=direction.dtype, device=direction.device)[:, None, None]
    one_hot = (direction[:, None] == classes).to(distance.dtype)  # (n, 17, h, w)
    semantic = 1 - one_hot[:, :1]  # every nuclear pixel has a direction class above 0
    extras = [] if boundary is None or depth is None else [boundary[:, None].to(distance.dtype), depth[:, None]]
    return torch.cat([semantic, one_hot, distance[:, None], *extras], 1)


def pyramid(layout: Tensor, levels: int, mode: Downsampling) -> list[Tensor]:
    """The layout at 1, 1/2, ... 1/2^(levels-1) of its size.

    Args:
        layout: (n, c, h, w), sides divisible by 2^(levels-1).
        levels: how many sizes.
        mode: "area" averages (a coarse pixel knows how much of each class is under it); "nearest" takes the upper
            left pixel, as SPADE's code does.
    """
    sizes = [layout]
    for level in range(1, levels):
        sizes.append(F.avg_pool2d(sizes[-1], 2) if mode == "area" else layout[..., :: 2**level, :: 2**level])
    return sizes
