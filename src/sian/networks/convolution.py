"""Convolutions of the generator: same size out, no zero padding unless the recipe asks for it, spectral norm by switch.

Zero padding tells a network where the image ends, and a generator without other sources of variety uses that
(DESIGN section 5, "borders are a trap"); the faithful recipe keeps it because SPADE has it.
"""

from __future__ import annotations

from typing import Literal

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

Padding = Literal["reflect", "zeros"]


def conv(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    *,
    padding: Padding = "zeros",
    groups: int = 1,
    bias: bool = True,
    spectral: bool = False,
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
    if spectral:
        spectral_norm(layer)  # changes the layer in place
    return layer
