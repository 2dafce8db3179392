"""Weights with spectral norm folded in, put back into networks that are trained with it.

A model file holds the weight that was used: W / sigma, averaged. Its own sigma is near 1 but not 1, so that dividing by
it again would change what the network does. `load_folded` therefore gives each such layer a factor that stays as it is,
weight = factor * W / sigma(W) with factor = sigma(W) at the start: the function is the file's, and a training step may
turn the weight but not let its norm grow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

POWER_ITERATIONS = 50  # until sigma stands still; a forward pass adds one


class Factor(nn.Module):
    """Times a number that is kept, not learned: the last link of a weight's parametrisation."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("factor", torch.ones(()))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight times the factor."""
        return weight * cast("Tensor", self.factor)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """What is set is what enters the chain."""
        return weight


def add_factors(network: nn.Module) -> None:
    """Give every weight with spectral norm a factor of 1; a checkpoint of a run that began so has these as well."""
    for _, part in list(_normalised(network)):
        parametrize.register_parametrization(part, "weight", Factor(), unsafe=True)


@torch.no_grad()
def load_folded(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Start a network with spectral norm, and with `add_factors`, from weights that have it folded in.

    In eval mode the network then does what the one without spectral norm does with the same weights.

    Args:
        network: as it is built for training.
        weights: names and shapes of the network without spectral norm; see `sian.training.average.folded`.

    Raises:
        RuntimeError: names or shapes differ.
    """
    plain = [name for name in network.state_dict() if "parametrizations." not in name]
    chains = {f"{prefix}.weight" if prefix else "weight": part for prefix, part in _normalised(network)}
    for name in [*plain, *chains]:
        if name not in weights:
            raise RuntimeError(f"it lacks {name}")
    if strangers := set(weights) - {*plain, *chains}:
        raise RuntimeError(f"it has {min(strangers)}")
    network.load_state_dict({name: weights[name] for name in plain}, strict=False)
    for name, part in chains.items():
        _set(name, part, weights[name])


def _set(name: str, part: nn.Module, weight: Tensor) -> None:
    chain = cast("Any", part.parametrizations).weight
    if chain.original.shape != weight.shape:
        raise RuntimeError(f"size mismatch for {name}: {tuple(weight.shape)}, {tuple(chain.original.shape)}")
    was_training = chain.training
    chain.original.copy_(weight)
    chain.train()
    for _ in range(POWER_ITERATIONS):
        _ = part.weight  # each look is a power iteration
    chain.eval()
    chain[-1].factor.fill_(1)
    chain[-1].factor.copy_(weight.norm() / cast("Tensor", part.weight).norm())
    chain.train(was_training)


def _normalised(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, part in network.named_modules():
        if "parametrizations" not in name and parametrize.is_parametrized(part, "weight"):
            yield name, part
