"""Initial weights: torch's own, or those of SPADE's published code, which SIAN's paper builds on.

SPADE's code draws every convolution and linear map of generator, encoder and discriminator from Xavier's normal
distribution with a gain of 0.02 and sets biases to 0. With torch's values the encoder's first styles hold 35 nats, with
these 0.07, which L_KLD and L_reg see.

The factors of a SIAN block keep their start near 1 either way: drawn like the rest, the product of semantics, style and
instance would start near 0, and so would its gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeVar

import torch
from torch import nn
from torch.nn.utils import parametrize

from sian.networks.sian_block import SianBlock

Initialisation = Literal["torch", "xavier"]
Network = TypeVar("Network", bound=nn.Module)

GAIN = 0.02  # of Xavier's initial weights, as in SPADE's code
POWER_ITERATIONS = 15  # spectral norm's own number when it is put on a layer


@torch.no_grad()
def xavier_weights(network: Network, gain: float = GAIN) -> Network:
    """Set the initial weights of SPADE's code in place: Xavier's normal ones, biases 0.

    Args:
        network: with or without spectral norm, whose estimate of the largest singular value is made anew.
        gain: of Xavier's distribution.
    """
    factors = set(_factors(network))
    for part in network.modules():
        if not isinstance(part, nn.Conv2d | nn.Linear) or part in factors:
            continue
        drawn = torch.empty_like(part.weight)
        nn.init.xavier_normal_(drawn, gain)
        if parametrize.is_parametrized(part, "weight"):
            part.weight = drawn  # goes to what spectral norm is computed of
            for _ in range(POWER_ITERATIONS):
                part.weight  # noqa: B018 - each look is one iteration
        else:
            part.weight.copy_(drawn)
        if part.bias is not None:
            nn.init.zeros_(part.bias)
    return network


def _factors(network: nn.Module) -> Iterator[nn.Module]:
    """The maps whose outputs multiply a SIAN block's features."""
    for block in network.modules():
        if isinstance(block, SianBlock):
            yield from (part for part in (block.style, block.direction, block.distance) if part is not None)
