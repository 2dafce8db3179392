"""A VGG19 with few channels and seeded weights, for tests without the real file."""

from __future__ import annotations

import torch

from sian.networks.vgg import CONVOLUTIONS

VGG19 = {"1": 64, "2": 128, "3": 256, "4": 512, "5": 512}  # channels of conv1_1, conv2_1, ...


def small_vgg_state(channels: int = 4) -> dict[str, torch.Tensor]:
    """Weights by the real file's names, scaled so that activations keep their size."""
    return _state(dict.fromkeys(VGG19, channels))


def vgg19_state() -> dict[str, torch.Tensor]:
    """The same with as many channels as the real file has."""
    return _state(VGG19)


def _state(channels: dict[str, int]) -> dict[str, torch.Tensor]:
    random, state, inputs = torch.Generator().manual_seed(0), {}, 3
    for name in CONVOLUTIONS:
        if name != "pool":
            outputs = channels[name[4]]
            state[f"{name}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=random) * (2 / (9 * inputs)) ** 0.5
            state[f"{name}.bias"] = torch.randn(outputs, generator=random) * 0.1
            inputs = outputs
    return state
