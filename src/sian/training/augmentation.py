"""Differentiable augmentation of what the discriminator sees: image and layout move and are cut together.

After Zhao et al. 2020 (DiffAugment), without its colour part: stain is what the style vector has to carry. One draw
serves real and fake of a step, so that feature matching compares like with like.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """One draw for a batch: shifts and cut squares, all in pixels, each (n, 2) as (y, x)."""

    shift: Tensor | None
    cut_at: Tensor | None
    cut_size: int

    def __call__(self, pair: Tensor) -> Tensor:
        """Augmented (n, c, h, w): shifted with zeros moved in, a square of zeros cut out."""
        if self.shift is not None:
            pair = _shifted(pair, self.shift)
        if self.cut_at is not None:
            pair = pair * _outside(pair, self.cut_at, self.cut_size)
        return pair


def draw(n: int, size: int, translation: float, cutout: float, generator: torch.Generator) -> Augmentation:
    """Shifts of up to `translation` of the side, squares of `cutout` of the side anywhere (also across the border)."""
    reach = round(translation * size)
    shift = torch.randint(-reach, reach + 1, (n, 2), generator=generator) if reach else None
    cut = round(cutout * size)
    cut_at = torch.randint(-(cut // 2), size - cut // 2, (n, 2), generator=generator) if cut else None
    return Augmentation(shift, cut_at, cut)


def _shifted(pair: Tensor, shift: Tensor) -> Tensor:
    moves = zip(pair.unbind(), shift.tolist(), strict=True)  # unbind's gradient is one stack, indexing's a tensor each
    return torch.stack([F.pad(sample, [x, -x, y, -y]) for sample, (y, x) in moves])


def _outside(pair: Tensor, cut_at: Tensor, size: int) -> Tensor:
    """1 outside the square, 0 inside: (n, 1, h, w)."""
    height, width = pair.shape[-2:]
    y, x = cut_at.to(pair.device).T[..., None]  # each (n, 1)
    rows, columns = torch.arange(height, device=pair.device), torch.arange(width, device=pair.device)
    inside = ((rows >= y) & (rows < y + size))[:, :, None] & ((columns >= x) & (columns < x + size))[:, None]
    outside: Tensor = (~inside)[:, None].to(pair.dtype)
    return outside
