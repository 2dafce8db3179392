"""SPADE (GauGAN; Park, Liu, Wang and Zhu, CVPR 2019): the method that SIAN builds on, as its first baseline.

Seven residual blocks whose batch norms are modulated by convolutions of the mask. With a style encoder (a VAE) the
network starts from a linear map of the style alone; without one, from a convolution of the mask. What it is given of
the mask is `condition`: the paper's comparison names a semantic mask ("classes"), SPADE's code adds the instance
boundary ("boundary"), and "layout" gives it M, P and Q as plain input.

At width 64 it has 108.9 M parameters with its start from a style and 92.0 M without, and takes 272 GFLOP an image of
256 px. The discriminator is `sian.networks.Discriminator`, the encoder `sian.networks.StyleEncoder`, both SPADE's.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sian.networks.convolution import Padding, conv
from sian.networks.generator import SLOPE, STRIDE, LevelGenerator
from sian.networks.initial import draw
from sian.networks.layouts import CONDITIONS, Condition, Downsampling

MULTIPLES = (16, 16, 16, 8, 4, 2, 1)  # of the width, channels out of the seven blocks
START = 8  # side of the map that the style becomes; 1/32 of 256 px
GAIN = 0.02  # of Xavier's initial weights, as in SPADE's code


class SpadeNorm(nn.Module):
    """Modulation of normalised features by the mask (SPADE, Eq. 1): conv, ReLU, then gamma and beta in one conv."""

    def __init__(self, channels: int, hidden: int, inputs: int, padding: Padding) -> None:
        super().__init__()
        self.shared = conv(inputs, hidden, padding=padding, gain=GAIN)
        self.modulation = conv(hidden, 2 * channels, padding=padding, gain=GAIN)

    def forward(self, normalised: Tensor, maps: Tensor) -> Tensor:
        """(n, C, h, w) and the mask (n, inputs, h, w) to (n, C, h, w)."""
        gamma, beta = self.modulation(F.relu(self.shared(maps))).chunk(2, 1)
        return torch.addcmul(normalised + beta, normalised, gamma)


class SpadeResidualBlock(nn.Module):
    """Two times (batch norm, SPADE, LeakyReLU, 3x3 conv); a 1x1 conv after SPADE as skip where the channels differ."""

    def __init__(self, inputs: int, outputs: int, hidden: int, seen: int, padding: Padding, spectral: bool) -> None:
        super().__init__()
        middle = min(inputs, outputs)
        options: dict[str, Any] = {"padding": padding, "spectral": spectral, "gain": GAIN}
        self.norm_0, self.norm_1 = nn.BatchNorm2d(inputs, affine=False), nn.BatchNorm2d(middle, affine=False)
        self.spade_0, self.spade_1 = (SpadeNorm(c, hidden, seen, padding) for c in (inputs, middle))
        self.conv_0, self.conv_1 = conv(inputs, middle, **options), conv(middle, outputs, **options)
        differ = inputs != outputs
        self.spade_skip = SpadeNorm(inputs, hidden, seen, padding) if differ else None
        self.conv_skip = conv(inputs, outputs, 1, bias=False, **options) if differ else None

    def forward(self, x: Tensor, maps: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h, w); style and noise are not for SPADE's blocks."""
        del style, noise
        normalised, skip = self.norm_0(x), x
        if self.spade_skip is not None and self.conv_skip is not None:
            skip = self.conv_skip(self.spade_skip(normalised, maps))
        y = self.conv_0(F.leaky_relu(self.spade_0(normalised, maps), SLOPE))
        y = self.conv_1(F.leaky_relu(self.spade_1(self.norm_1(y), maps), SLOPE))
        result: Tensor = skip + y
        return result


class SpadeGenerator(LevelGenerator):
    """SPADE's generator for 256 px, fully convolutional.

    The start from a style is a map of 8 x 8 pixels, which is 256 px of image: SPADE paints one size. For larger images
    it is continued by its mirror images. A crop is given the part that lies at its place in the window of its style,
    so that all of the map learns from crops too.

    Args:
        width: f; the blocks have 16f, 16f, 16f, 8f, 4f, 2f and f channels out.
        hidden: channels of the modulation's first convolution.
        style_dim: length D of the style vector; 0 starts from the mask instead.
        condition: what it is given of the layout.
        padding: what the 3x3 convolutions see beyond the border (SPADE: zeros).
        downsampling: how the mask gets to the coarse levels (SPADE: nearest).
        spectral: whether spectral norm is on (training) or folded into the weights (a model file).
    """

    def __init__(
        self,
        width: int = 64,
        hidden: int = 128,
        style_dim: int = 256,
        *,
        condition: Condition = "classes",
        padding: Padding = "zeros",
        downsampling: Downsampling = "nearest",
        spectral: bool = True,
    ) -> None:
        super().__init__()
        self.style_dim, self.downsampling = style_dim, downsampling
        self.condition = self.seen = condition
        seen, channels = len(CONDITIONS[condition]), [width * multiple for multiple in MULTIPLES]
        self.start = None if style_dim else conv(seen, channels[0], padding=padding, gain=GAIN)
        self.start_style = nn.Linear(style_dim, channels[0] * START**2) if style_dim else None
        if self.start_style is not None:
            draw(nn.init.xavier_normal_, self.start_style.weight, GAIN)
            nn.init.zeros_(self.start_style.bias)
        self.blocks = nn.ModuleList(
            SpadeResidualBlock(inputs, outputs, hidden, seen, padding, spectral)
            for inputs, outputs in zip([channels[0], *channels[:-1]], channels, strict=True)
        )
        self.to_rgb = conv(channels[-1], 3, padding=padding, gain=GAIN)

    def begin(self, coarsest: Tensor, style: Tensor, place: Tensor | None = None) -> Tensor:
        """The features that enter block 0: a map of the style, or a convolution of the mask."""
        if self.start_style is None:
            started: Tensor = self.start(coarsest)  # type: ignore[misc]  # one of the two is there
            return started
        x = self.start_style(style).unflatten(1, (-1, START, START))  # (n, C, 8, 8)
        first = x.new_zeros(len(x), 2, dtype=torch.int64) if place is None else place.to(x.device) // STRIDE
        rows, columns = (
            _mirrored(first[:, axis, None] + torch.arange(side, device=x.device))  # each (n, side)
            for axis, side in enumerate(coarsest.shape[-2:])
        )
        number = torch.arange(len(x), device=x.device)[:, None, None]
        continued: Tensor = x.permute(0, 2, 3, 1)[number, rows[:, :, None], columns[:, None]]  # (n, h, w, C)
        return continued.permute(0, 3, 1, 2)


def _mirrored(places: Tensor) -> Tensor:
    """Which of `START` places each of these shows: 0 1 ... 7 7 ... 1 0 0 1 ..."""
    place = places % (2 * START)
    return torch.minimum(place, 2 * START - 1 - place)
