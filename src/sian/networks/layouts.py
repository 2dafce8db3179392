"""Layout maps as tensors: M, P and Q stacked to 19 channels, and the same at the generator's coarser levels.

DESIGN section 4 (down-sampling) and the paper, section 3.1: "all input factors are down-sampled to the same height and
width with the corresponding feature maps".
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

DIRECTION_CLASSES = 17  # background, 8 sectors inside, 8 outside (paper, section 3.2)
LAYOUT_CHANNELS = 1 + DIRECTION_CLASSES + 1  # M, one-hot P, Q

Downsampling = Literal["area", "nearest"]


def stack(direction: Tensor, distance: Tensor) -> Tensor:
    """M, one-hot P and Q as one tensor.

    Args:
        direction: (n, h, w) uint8, class 0 (background) to 16.
        distance: (n, h, w) float in [0, 1].

    Returns:
        (n, 19, h, w) in the dtype of `distance`: channel 0 is M, 1 to 17 are P, 18 is Q.
    """
    classes = torch.arange(DIRECTION_CLASSES, dtype=direction.dtype, device=direction.device)[:, None, None]
    one_hot = (direction[:, None] == classes).to(distance.dtype)  # (n, 17, h, w)
    semantic = 1 - one_hot[:, :1]  # every nuclear pixel has a direction class above 0
    return torch.cat([semantic, one_hot, distance[:, None]], 1)


def pyramid(layout: Tensor, levels: int, mode: Downsampling) -> list[Tensor]:
    """The layout at 1, 1/2, ... 1/2^(levels-1) of its size.

    Args:
        layout: (n, 19, h, w), sides divisible by 2^(levels-1).
        levels: how many sizes.
        mode: "area" averages (a coarse pixel knows how much of each class is under it); "nearest" takes the upper
            left pixel, as SPADE's code does.
    """
    sizes = [layout]
    for level in range(1, levels):
        sizes.append(F.avg_pool2d(sizes[-1], 2) if mode == "area" else layout[..., :: 2**level, :: 2**level])
    return sizes
