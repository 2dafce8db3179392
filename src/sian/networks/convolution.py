"""Convolutions of the generator: same size out, no zero padding unless the recipe asks for it, spectral norm by switch.

Zero padding tells a network where the image ends, and a generator without other sources of variety uses that
(docs/design.md, "Networks"); the faithful recipe keeps it because SPADE has it.
"""

from __future__ import annotations

from typing import Literal, TypeVar

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from sian.networks.initial import draw

Padding = Literal["reflect", "zeros"]
Network = TypeVar("Network", bound=nn.Module)


def conv(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    *,
    padding: Padding = "zeros",
    groups: int = 1,
    bias: bool = True,
    spectral: bool = False,
    gain: float | None = None,
) -> nn.Conv2d:
    """A stride-1 convolution that keeps height and width.

    Args:
        inputs: channels in.
        outputs: channels out.
        kernel: odd kernel size.
        padding: what lies beyond the border.
        groups: how many independent groups of channels.
        bias: whether to add one.
        spectral: divide the weight by its largest singular value (power iteration, one step a forward pass).
        gain: of Xavier's normal initial weights, with a bias of 0; None for torch's own.
    """
    layer = nn.Conv2d(
        inputs,
        outputs,
        kernel,
        padding=kernel // 2,
        padding_mode=padding if kernel > 1 else "zeros",
        groups=groups,
        bias=bias,
    )
    if gain is not None:
        draw(nn.init.xavier_normal_, layer.weight, gain)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    if spectral:
        spectral_norm(layer)  # changes the layer in place
    return layer


def normal_weights(network: Network, deviation: float = 0.02) -> Network:
    """Set the initial weights of pix2pix and pix2pixHD in place: N(0, 0.02), of norms N(1, 0.02), biases 0."""
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.InstanceNorm2d) and part.weight is not None:
            mean = 1.0 if isinstance(part, nn.InstanceNorm2d) else 0.0
            draw(nn.init.normal_, part.weight, mean, deviation)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    return network
