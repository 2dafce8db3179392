"""pix2pix (Isola, Zhu, Zhou and Efros, CVPR 2017): a U-Net generator and a 70 px PatchGAN.

54.4 M and 2.8 M parameters at width 64. The loss (cross entropy and 100 times L1) is the recipe's. Two choices:

- *Normalisation.* The original trains with batch norm at batch 1 and keeps the batch's own statistics at test, which is
  instance norm with an affine map; that is what stands here, so that training and test agree for any batch.
- *Dropout* is the original's only noise and stays on at test. Here it is drawn from the image's seed and comes in as
  `noise`, a map of -1 and 1 for each place that has dropout: features are multiplied by 1 + noise, that is by 0 or 2.
  Painting with noise 0 paints without dropout.

It has no style. Sides are multiples of 2^depth (256 px). Instance norm sees the whole image, so a window painted alone
differs from the same window of a larger painting: images are painted in one pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sian import seeds
from sian.networks.convolution import normal_weights
from sian.networks.discriminator import Discriminator, PatchDiscriminator
from sian.networks.feature_heads import Features
from sian.networks.interface import GeneratorInterface
from sian.networks.layouts import CONDITIONS, Condition, select

SLOPE = 0.2


class UnetGenerator(GeneratorInterface):
    """The U-Net: halved `depth` times and doubled as often, each doubling seeing what was halved at its size.

    Args:
        width: channels of the first convolution (pix2pix: 64); 2, 4 and then 8 times as many deeper down.
        depth: how often the image is halved (pix2pix: 8, down to one pixel of 256); at least 5.
        condition: what it is given of the layout; scaled to [-1, 1], as pix2pix scales its input images.
    """

    def __init__(self, width: int = 64, depth: int = 8, condition: Condition = "semantic") -> None:
        super().__init__()
        self.condition = condition
        self.depth = depth
        self.stride = self.smallest = 2**depth
        inputs = len(CONDITIONS[condition])
        channels = [width * min(2**level, 8) for level in range(depth)]
        self.channels = channels
        self.down = nn.ModuleList(
            nn.Conv2d(before, after, 4, 2, 1, bias=False)
            for before, after in zip([inputs, *channels[:-1]], channels, strict=True)
        )
        self.down_norm = nn.ModuleList(nn.InstanceNorm2d(c, affine=True) for c in channels[1:-1])
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(
                channels[level] * (1 if level == depth - 1 else 2),
                channels[level - 1] if level else 3,
                4,
                2,
                1,
                bias=level == 0,
            )
            for level in range(depth)
        )
        self.up_norm = nn.ModuleList(nn.InstanceNorm2d(c, affine=True) for c in channels[:-1])
        normal_weights(self)

    @property
    def dropout_levels(self) -> list[int]:
        """Where the doubled features are dropped: at 1 / 2^level; three of the eight in pix2pix."""
        return list(range(self.depth - 2, 3, -1))

    def draw_noise(self, n: int, height: int, width: int, random: torch.Generator) -> list[Tensor | None]:
        """For each level with dropout a map of -1 and 1: (n, c, h / 2^level, w / 2^level)."""
        return [
            torch.randint(
                0,
                2,
                (n, self.channels[level - 1], height >> level, width >> level),
                generator=random,
                device=random.device,
                dtype=torch.float32,
            )
            * 2
            - 1
            for level in self.dropout_levels
        ]

    def noise_of(self, seed: int, height: int, width: int) -> list[Tensor | None]:
        """The dropout of one image."""
        return self.draw_noise(1, height, width, seeds.torch_generator(seed, "dropout"))

    def forward(
        self,
        layout: Tensor,
        style: Tensor,
        noise: Sequence[Tensor | None] | None = None,
        place: Tensor | None = None,
    ) -> Tensor:
        """The painted image (n, 3, h, w) in [-1, 1]; `style` is empty, `noise` the dropout or None."""
        del style, place
        dropped = dict(zip(self.dropout_levels, noise or (), strict=False))
        x = 2 * select(layout, self.condition) - 1
        skips: list[Tensor] = []
        for level, halve in enumerate(self.down):
            x = halve(F.leaky_relu(x, SLOPE) if level else x)
            x = self.down_norm[level - 1](x) if 0 < level < self.depth - 1 else x
            skips.append(x)
        skips.pop()
        for level in reversed(range(1, self.depth)):
            x = self.up_norm[level - 1](self.up[level](F.relu(x)))
            if (drop := dropped.get(level)) is not None:
                x = x * (1 + drop.to(x.dtype))
            x = torch.cat([skips.pop(), x], 1)
        return torch.tanh(self.up[0](F.relu(x)))


class PatchGan(Discriminator):
    """One scale without spectral norm, with affine instance norm and padding 1; a score sees 70 px.

    The layout is scaled to [-1, 1] for it as for the generator.
    """

    def patch(self, inputs: int, width: int, layers: int) -> nn.Module:
        """The discriminator of one scale."""
        return normal_weights(PatchDiscriminator(inputs, width, layers, spectral=False, padding=1, affine=True))

    def forward(self, pair: Tensor, features: Features | None = None) -> list[list[Tensor]]:
        """See `Discriminator.forward`."""
        return super().forward(torch.cat([pair[:, :3], 2 * pair[:, 3:] - 1], 1), features)
