"""The sample grid: the same few windows painted again and again while a run goes on.

Each row is one window: its mask's outlines of P, the real image, the painting in its own style, and the same mask in
the style of the next rows' images: a style that is ignored shows at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sian import seeds
from sian.data.sampling import Tile
from sian.networks import Painter, pixels_of, signed_images, stack_layouts

OTHER_STYLES = 2


@dataclass(frozen=True)
class SampleWindows:
    """The windows of the grid, one for each organ and preparation at most `rows`."""

    real: Tensor  # (n, 3, 256, 256) in [-1, 1]
    layout: Tensor  # (n, 19 or 21, 256, 256)
    direction: NDArray[np.uint8]  # (n, 256, 256)


def choose_windows(
    tiles: Sequence[Tile], seed: int, rows: int = 7, size: int = 256, classes: int = 0, *, tissue: bool = False
) -> SampleWindows:
    """One random window of the first tile of each organ and preparation, with so many nuclear classes.

    With `tissue` every other window shows what its tissue map says; the rest have none.
    """
    first = {(tile.organ, tile.preparation): tile for tile in reversed(tiles)}
    images, maps = [], []
    for index, key in enumerate(sorted(first)[:rows]):
        tile, random = first[key], seeds.generator(seed, "sample grid", index)
        y, x = (int(random.integers(0, side - size + 1)) for side in tile.layout.shape)
        images.append(tile.image[y : y + size, x : x + size])
        window = tile.layout.window(y, x, size, size)
        maps.append(window if index % 2 == 0 else replace(window, tissue=None))
    real, layout = signed_images(np.stack(images)), stack_layouts(maps, classes, tissue=tissue)
    direction = np.stack([window.direction for window in maps])
    return SampleWindows(real, layout, direction)


@torch.no_grad()
def paint_grid(painter: Painter, windows: SampleWindows, seed: int) -> tuple[NDArray[np.uint8], dict[str, float]]:
    """The grid as one picture, and what it says in numbers.

    Args:
        painter: EMA network on any device; it is run in eval mode.
        windows: see `choose_windows`.
        seed: of the noise, the same every time.

    Returns:
        (rows * 256, 5 * 256, 3) uint8; and `style_change`, the mean absolute difference in grey levels (0 to 255)
        between a mask painted in its own and in another image's style, and `style_spread`, the standard deviation of
        the style vectors' entries over the windows.
    """
    was_training, device = painter.training, next(painter.parameters()).device
    painter.eval()
    style: Tensor = painter.encoder(windows.real.to(device))[0]
    layout = windows.layout.to(device)
    own = paint_windows(painter, layout, style, seed)
    others = [paint_windows(painter, layout, style.roll(-k, 0), seed) for k in range(1, OTHER_STYLES + 1)]
    painter.train(was_training)
    columns = [_mask_picture(windows.direction), pixels_of(windows.real), pixels_of(own), *map(pixels_of, others)]
    grid = np.concatenate([np.concatenate(list(column), 0) for column in columns], 1)
    if not style.shape[1]:
        return grid, {}
    change = float((others[0] - own).abs().mean()) * 127.5
    return grid, {"style_change": change, "style_spread": float(style.std(0).mean()) if len(style) > 1 else 0.0}


def paint_windows(painter: Painter, layout: Tensor, style: Tensor, seed: int) -> Tensor:
    """Paintings (n, 3, h, w) in [-1, 1] of layouts in styles, one at a time: memory stays small beside a step."""
    height, width = layout.shape[-2:]
    generator = painter.generator
    noise = [None if n is None else n.to(layout.device) for n in generator.noise_of(seed, height, width)]
    return torch.cat([generator(maps[None], vector[None], noise) for maps, vector in zip(layout, style, strict=True)])


def _mask_picture(direction: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The outer ring of P dark, the inner one white: nuclei that touch stay apart to the eye."""
    grey = np.where(direction == 0, 0, np.where(direction > 8, 150, 255)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, -1)
