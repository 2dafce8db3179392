"""A VGG19 with few channels and seeded weights, for tests without the real file."""

from __future__ import annotations

import torch

from sian.networks.vgg import CONVOLUTIONS


def small_vgg_state(channels: int = 4) -> dict[str, torch.Tensor]:
    """Weights by the real file's names, scaled so that activations keep their size."""
    random, state, inputs = torch.Generator().manual_seed(0), {}, 3
    for name in CONVOLUTIONS:
        if name != "pool":
            state[f"{name}.weight"] = torch.randn(channels, inputs, 3, 3, generator=random) * (2 / (9 * inputs)) ** 0.5
            state[f"{name}.bias"] = torch.randn(channels, generator=random) * 0.1
            inputs = channels
    return state
