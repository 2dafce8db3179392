"""Pixels as networks see them: 8-bit values as numbers from -1 to 1, and back."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def signed(pixels: Tensor) -> Tensor:
    """8-bit values, of any shape, as float32 from -1 to 1."""
    return pixels.float() / 127.5 - 1


def signed_images(pixels: NDArray[np.uint8]) -> Tensor:
    """Images (n, h, w, 3) uint8 as (n, 3, h, w) float32 in [-1, 1].

    >>> signed_images(np.full((1, 2, 2, 3), 255, np.uint8)).max()
    tensor(1.)
    """
    return signed(torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2))


def pixels_of(images: Tensor) -> NDArray[np.uint8]:
    """Images (n, 3, h, w) in [-1, 1] as (n, h, w, 3) uint8, rounded."""
    pixels = ((images.float() + 1) * 127.5).round().clamp(0, 255).byte()
    result: NDArray[np.uint8] = pixels.permute(0, 2, 3, 1).cpu().numpy()
    return result
