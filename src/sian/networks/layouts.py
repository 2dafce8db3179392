"""Layout maps as tensors: M, P and Q stacked to 19 channels, and the same at the generator's coarser levels.

docs/design.md, "Layout", and the paper, section 3.1: "all input factors are down-sampled to the same height and
width with the corresponding feature maps".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sian.layout.tissue_map import FULL

if TYPE_CHECKING:
    from sian.layout import Layout

DIRECTION_CLASSES = 17  # background, 8 sectors inside, 8 outside (paper, section 3.2)
TISSUE_CHANNELS = 5  # whether something is said, empty, density, fibres' direction twice (`sian.layout.tissue_map`)
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
Upsampling = Literal["nearest", "bilinear"]


def channels_of(conditions: Iterable[Condition]) -> int:
    """How many channels of the layout are needed for these: 19 (M, P, Q), or 21 with boundary and depth."""
    needed = max((max(CONDITIONS[condition]) for condition in conditions), default=0)
    return LAYOUT_CHANNELS if needed < LAYOUT_CHANNELS else ALL_CHANNELS


def select(layout: Tensor, condition: Condition, beside: int = 0) -> Tensor:
    """The channels that a condition names, and behind them the last ones: tissue and nuclear classes.

    Args:
        layout: (n, c, h, w), see `stack`.
        condition: a key of `CONDITIONS`.
        beside: how many of the layout's last channels.

    Returns:
        (n, c, h, w); a view where the channels lie side by side.
    """
    if beside:
        return torch.cat([select(layout, condition), layout[:, -beside:]], 1)
    channels = CONDITIONS[condition]
    if channels == tuple(range(channels[0], channels[-1] + 1)):
        return layout[:, channels[0] : channels[-1] + 1]
    return torch.stack([layout[:, channel] for channel in channels], 1)


def stack(
    direction: Tensor,
    distance: Tensor,
    boundary: Tensor | None = None,
    depth: Tensor | None = None,
    classes: Tensor | None = None,
    class_count: int = 0,
    tissue: Tensor | None = None,
) -> Tensor:
    """M, one-hot P and Q as one tensor; boundary and depth, tissue and nuclear classes behind them where given.

    Args:
        direction: (n, h, w) uint8, class 0 (background) to 16.
        distance: (n, h, w) float in [0, 1].
        boundary: (n, h, w) bool.
        depth: (n, h, w) float in [0, 1]; together with `boundary` or not at all.
        classes: (n, h, w) uint8, the class of each pixel's nucleus from 1, 0 for none.
        class_count: how many classes there are.
        tissue: (n, h, w, 5) int8, 127 for 1, see `sian.layout.tissue_map.tissue_layers`.

    Returns:
        (n, 19 or 21 + 5 + class_count, h, w) in the dtype of `distance`: channel 0 is M, 1 to 17 are P, 18 is Q, 19
        the boundary, 20 the depth; then the tissue; last the classes, one-hot. Its memory is channels last.
    """
    extras = boundary is not None and depth is not None
    known = class_count if classes is not None else 0
    before = ALL_CHANNELS if extras else LAYOUT_CHANNELS
    channels = before + TISSUE_CHANNELS * (tissue is not None) + known
    table = torch.eye(LAYOUT_CHANNELS, channels, dtype=distance.dtype, device=distance.device)[1:-1]  # (17, channels)
    table[1:, 0] = 1  # every nuclear pixel has a direction class above 0
    maps = F.embedding(direction.int(), table)  # (n, h, w, channels), faster by far than comparing class by class
    maps[..., LAYOUT_CHANNELS - 1] = distance
    if boundary is not None and depth is not None:
        maps[..., LAYOUT_CHANNELS] = boundary
        maps[..., LAYOUT_CHANNELS + 1] = depth
    if tissue is not None:
        maps[..., before : before + TISSUE_CHANNELS] = tissue.to(distance.dtype) / FULL
    if classes is not None and known:
        table = torch.eye(1 + known, dtype=distance.dtype, device=distance.device)[:, 1:]
        maps[..., -known:] = F.embedding(classes.int(), table)
    return maps.permute(0, 3, 1, 2)


def stack_layouts(
    layouts: Sequence[Layout],
    class_count: int = 0,
    *,
    extras: bool = True,
    tissue: bool = False,
    device: torch.device | str = "cpu",
) -> Tensor:
    """`stack` of layouts of one size.

    Args:
        layouts: n of them.
        class_count: how many nuclear classes there are.
        extras: with boundary and depth, where all of them have both.
        tissue: with channels for the tissue; layouts that say nothing of it have zeros there.
        device: where the tensor is made.
    """
    direction, distance, *others = (
        _together([getattr(layout, part) for layout in layouts], device)
        for part in ("direction", "distance", "boundary", "depth", "classes")
    )
    assert direction is not None  # noqa: S101 - every layout has these two
    assert distance is not None  # noqa: S101
    boundary, depth, classes = others
    if class_count and classes is None:
        classes = torch.zeros_like(direction)
    more = (boundary, depth) if extras else (None, None)
    told = torch.from_numpy(np.stack([_tissue(layout) for layout in layouts])).to(device) if tissue else None
    return stack(direction, distance.float(), *more, classes, class_count, told)


def _tissue(layout: Layout) -> NDArray[np.int8]:
    return np.zeros((*layout.shape, TISSUE_CHANNELS), np.int8) if layout.tissue is None else layout.tissue


def _together(maps: Sequence[NDArray[Any] | None], device: torch.device | str) -> Tensor | None:
    found = [part for part in maps if part is not None]
    return torch.from_numpy(np.stack(found)).to(device) if len(found) == len(maps) else None


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
