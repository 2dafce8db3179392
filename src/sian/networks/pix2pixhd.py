"""pix2pixHD (Wang, Liu, Zhu, Tao, Kautz and Catanzaro, CVPR 2018): a coarse-to-fine generator on mask and boundary.

The global generator (182.4 M parameters at width 64) halves the image four times, goes through nine residual blocks
and doubles it again. The local enhancer, an option for images of 512 px and more, adds a full-size path around a
global generator that works at half size. Instance norm throughout, patch discriminators on two scales. The losses
(least squares, feature matching, VGG) are the recipe's. Left out: the encoder of instance-wise features, which the
original has for editing. Biases before an instance norm do nothing and are left out, too.

It has no style and no noise. Sides are multiples of 16 (32 with the enhancer). Instance norm sees the whole image, so
images are painted in one pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sian.networks.convolution import normal_weights
from sian.networks.discriminator import Discriminator, PatchDiscriminator
from sian.networks.interface import GeneratorInterface
from sian.networks.layouts import CONDITIONS, Condition, select


def _normed(layer: nn.Module, channels: int) -> list[nn.Module]:
    return [layer, nn.InstanceNorm2d(channels), nn.ReLU()]


def _wide(inputs: int, outputs: int, *, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 7, padding=3, padding_mode="reflect", bias=bias)


def _halved(inputs: int) -> list[nn.Module]:
    return _normed(nn.Conv2d(inputs, 2 * inputs, 3, 2, 1, bias=False), 2 * inputs)


def _doubled(inputs: int) -> list[nn.Module]:
    half = inputs // 2
    return _normed(nn.ConvTranspose2d(inputs, half, 3, 2, 1, output_padding=1, bias=False), half)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with reflected borders and instance norm beside a straight path."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = (
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False) for _ in range(2)
        )
        self.body = nn.Sequential(*_normed(first, channels), second, nn.InstanceNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c, h, w)."""
        result: Tensor = x + self.body(x)
        return result


class CoarseToFineGenerator(GeneratorInterface):
    """The global generator, and around it the local enhancer if asked for.

    Args:
        width: channels of the global generator at its full size, an even number (pix2pixHD: 64).
        halvings: how often it halves the image.
        blocks: residual blocks at the coarsest size.
        enhancer: whether the local enhancer is there; it has half the width.
        enhancer_blocks: residual blocks of the enhancer.
        condition: what it is given of the layout.
    """

    def __init__(
        self,
        width: int = 64,
        halvings: int = 4,
        blocks: int = 9,
        *,
        enhancer: bool = False,
        enhancer_blocks: int = 3,
        condition: Condition = "boundary",
    ) -> None:
        super().__init__()
        self.condition = condition
        self.stride = 2 ** (halvings + enhancer)
        self.smallest = 2 * self.stride  # reflect padding and instance norm need two pixels at the coarsest size
        inputs = len(CONDITIONS[condition])
        steps = _normed(_wide(inputs, width, bias=False), width)
        for level in range(halvings):
            steps += _halved(width * 2**level)
        steps += [ResidualBlock(width * 2**halvings) for _ in range(blocks)]
        for level in reversed(range(halvings)):
            steps += _doubled(width * 2 ** (level + 1))
        self.coarse = nn.Sequential(*steps)
        self.fine_in = self.fine_out = None
        if enhancer:
            own = width // 2
            self.fine_in = nn.Sequential(*_normed(_wide(inputs, own, bias=False), own), *_halved(own))
            refine = [ResidualBlock(2 * own) for _ in range(enhancer_blocks)]
            self.fine_out = nn.Sequential(*refine, *_doubled(2 * own))
        self.to_rgb = _wide(width // 2 if enhancer else width, 3, bias=True)
        normal_weights(self)

    def draw_noise(self, n: int, height: int, width: int, random: torch.Generator) -> list[Tensor | None]:
        """It has no noise."""
        del n, height, width, random
        return []

    def noise_of(self, seed: int, height: int, width: int) -> list[Tensor | None]:
        """It has no noise."""
        del seed, height, width
        return []

    def forward(
        self,
        layout: Tensor,
        style: Tensor,
        noise: Sequence[Tensor | None] | None = None,
        place: Tensor | None = None,
    ) -> Tensor:
        """The painted image (n, 3, h, w) in [-1, 1]; `style` and `noise` are empty."""
        del style, noise, place
        maps = select(layout, self.condition)
        if self.fine_in is None or self.fine_out is None:
            return torch.tanh(self.to_rgb(self.coarse(maps)))
        halves = F.avg_pool2d(maps, 3, stride=2, padding=1, count_include_pad=False)
        return torch.tanh(self.to_rgb(self.fine_out(self.fine_in(maps) + self.coarse(halves))))


class PlainDiscriminator(Discriminator):
    """Patch discriminators on several scales as SPADE's, without spectral norm."""

    def patch(self, inputs: int, width: int, layers: int) -> nn.Module:
        """The discriminator of one scale."""
        return normal_weights(PatchDiscriminator(inputs, width, layers, spectral=False))
