"""A trained generator's weights with room for more: tissue maps beside M, and noise in its coarse blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sian.networks.layouts import TISSUE_CHANNELS
from sian.seeds import torch_generator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

COARSE_BLOCKS = range(4)  # they work at 1/32 to 1/8 of the image


def widened_by_tissue(weights: Mapping[str, Tensor], classes: int) -> dict[str, Tensor]:
    """The convolutions that see M, with weights of 0 for tissue: the generator paints what it painted before.

    Args:
        weights: the painter's state dict, spectral norm folded in.
        classes: how many nuclear classes it has; theirs are the last channels, and tissue lies before them.
    """
    seeing = [name for name in weights if name.startswith("generator.") and name.endswith(".semantics.weight")]
    return {name: _with_zeros(weights[name], classes) for name in [*seeing, "generator.start.weight"]}


def stirred(weights: Mapping[str, Tensor], strength: float, seed: int) -> dict[str, Tensor]:
    """Strengths of the coarse blocks' noise drawn anew where they are weaker than asked for.

    Args:
        weights: the painter's state dict.
        strength: their standard deviation over channels; features have one of about 1.
        seed: of the draw.
    """
    names = [f"generator.blocks.{index}.noise_strength" for index in COARSE_BLOCKS]
    return {
        name: strength * torch.randn(weights[name].shape, generator=torch_generator(seed, "coarse noise", index))
        for index, name in enumerate(names)
        if name in weights and float(weights[name].square().mean().sqrt()) < strength
    }


def _with_zeros(weight: Tensor, classes: int) -> Tensor:
    before, of_classes = weight[:, : weight.shape[1] - classes], weight[:, weight.shape[1] - classes :]
    zeros = weight.new_zeros(weight.shape[0], TISSUE_CHANNELS, *weight.shape[2:])
    return torch.cat([before, zeros, of_classes], 1)
