"""Whole images of any size through a network, by overlapping windows whose logits are blended without seams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from sian.networks import signed

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import nn

ALIGN = 32  # SegNet pools five times: windows that start at multiples of 32 pool what the whole image would
WINDOW = 1024  # a 1000 x 1000 tile is one window
OVERLAP = 128  # what windows share; the outer quarter of it, where a window lacks context, counts for nothing


def run_network(
    run: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    image: NDArray[np.uint8],
    window: int = WINDOW,
    overlap: int = OVERLAP,
) -> NDArray[np.float32]:
    """A network's output for a whole image.

    The image is mirrored at its right and lower edge up to multiples of 32; where windows overlap their outputs
    fade into each other, so that no line shows where one ends.

    Args:
        run: the output for one window, (h, w, 3) uint8 to (c, h, w); see `apply`.
        image: (H, W, 3) uint8, any size from 1 x 1.
        window: side of the windows, a multiple of 32.
        overlap: pixels that neighbouring windows share at least, below `window`, a multiple of 32.

    Returns:
        (c, H, W) float32.
    """
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % ALIGN), (0, -width % ALIGN), (0, 0)), mode="symmetric")
    total: NDArray[np.float32] | None = None
    weight: NDArray[np.float32] = np.zeros(padded.shape[:2], np.float32)
    for y, rows in places(padded.shape[0], window, overlap):
        for x, columns in places(padded.shape[1], window, overlap):
            output = run(padded[y, x])
            share: NDArray[np.float32] = rows[:, None] * columns[None]
            if total is None:
                total = np.zeros((len(output), *padded.shape[:2]), np.float32)
            total[:, y, x] += output * share
            weight[y, x] += share
    assert total is not None  # noqa: S101 - there is always a window
    result: NDArray[np.float32] = (total / weight)[:, :height, :width]
    return result


@torch.no_grad()
def apply(network: nn.Module, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A network's output for one window, (c, h, w) float32; it is run in the mode and on the device that it is in."""
    pixels = torch.from_numpy(np.ascontiguousarray(picture)).to(next(network.parameters()).device)
    images = signed(pixels.permute(2, 0, 1)[None]).contiguous(memory_format=torch.channels_last)
    output: NDArray[np.float32] = network(images)[0].float().cpu().numpy()
    return output


def places(side: int, window: int, overlap: int) -> list[tuple[slice, NDArray[np.float32]]]:
    """The windows along one side (a multiple of 32), and how much each of their pixels counts."""
    last = max(0, side - window)
    starts = sorted({min(start, last) for start in range(0, last + window - overlap, window - overlap)})
    places = []
    for start in starts:
        end = min(start + window, side)
        counts = np.ones(end - start, np.float32)
        if start > 0:
            counts *= _fade(end - start, overlap)
        if end < side:
            counts *= _fade(end - start, overlap)[::-1]
        places.append((slice(start, end), counts))
    return places


def _fade(length: int, overlap: int) -> NDArray[np.float32]:
    """From 0 to 1 over the middle half of the overlap, smoothly; never quite 0, so that shares can be divided."""
    place = (np.arange(length) + 0.5 - overlap / 4) / (overlap / 2)
    step = np.clip(place, 0, 1)
    fade: NDArray[np.float32] = (step * step * (3 - 2 * step)).astype(np.float32)
    return np.maximum(fade, np.float32(1e-6))
