"""The SIAN generator: seven SIAN residual blocks from 1/32 of the image up to its full size (paper, section 3.1).

Fully convolutional. Sides must be multiples of 32 here; `sian.synthesis` pads and cuts. What a block sees of its
surroundings is finite in eval mode (batch norm is a constant then), so `blocks` can be run on parts of an image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sian.networks.convolution import Padding, conv
from sian.networks.interface import GeneratorInterface
from sian.networks.layouts import CONDITIONS, Condition, Downsampling, Upsampling, pyramid, select
from sian.networks.noise import noise_at
from sian.networks.sian_block import SianBlock

LEVELS = (5, 4, 4, 3, 2, 1, 0)  # each block works at 1 / 2**level of the image (SPADE's generator at 256 px)
STRIDE: int = 2 ** max(LEVELS)
SLOPE = 0.2  # of the LeakyReLU, as in SPADE's code


class SianResidualBlock(nn.Module):
    """Two times (SIAN block, LeakyReLU, 3x3 convolution) beside a skip (paper, section 3.1).

    The learned skip (SIAN block, LeakyReLU, 3x3 convolution, "as the paper says") is there when the channels differ;
    `plain_skip` makes it one 1x1 convolution. The skip's normalised input is the main path's: batch norm without
    affine has no parameters of its own, so sharing it changes nothing.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: int,
        style_dim: int,
        *,
        padding: Padding,
        spectral: bool,
        plain_skip: bool,
        noise: bool,
        direction: bool,
        distance: bool,
        style: bool,
        beside: int,
    ) -> None:
        super().__init__()
        middle = min(inputs, outputs)

        def sian(channels: int) -> SianBlock:
            return SianBlock(
                channels,
                hidden,
                style_dim,
                padding=padding,
                direction=direction,
                distance=distance,
                style=style,
                beside=beside,
            )

        self.norm_0, self.norm_1 = nn.BatchNorm2d(inputs, affine=False), nn.BatchNorm2d(middle, affine=False)
        self.sian_0, self.sian_1 = sian(inputs), sian(middle)
        self.conv_0 = conv(inputs, middle, padding=padding, spectral=spectral)
        self.conv_1 = conv(middle, outputs, padding=padding, spectral=spectral)
        self.sian_skip = sian(inputs) if inputs != outputs and not plain_skip else None
        self.conv_skip = (
            conv(
                inputs,
                outputs,
                1 if plain_skip else 3,
                padding=padding,
                spectral=spectral,
                bias=not plain_skip,
            )
            if inputs != outputs
            else None
        )
        # The strength of the noise in each channel; 0.1 lets texture appear in the first thousand steps.
        self.noise_strength = nn.Parameter(torch.full((middle,), 0.1)) if noise else None

    def forward(self, x: Tensor, layout: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h, w); `noise` is (n or 1, 1, h, w) or None for none."""
        normalised = self.norm_0(x)
        if self.conv_skip is None:
            skip = x
        elif self.sian_skip is None:
            skip = self.conv_skip(x)
        else:
            skip = self.conv_skip(F.leaky_relu(self.sian_skip(normalised, layout, style), SLOPE))
        y = self.conv_0(F.leaky_relu(self.sian_0(normalised, layout, style), SLOPE))
        if self.noise_strength is not None and noise is not None:
            y = y + self.noise_strength[:, None, None] * noise
        y = self.conv_1(F.leaky_relu(self.sian_1(self.norm_1(y), layout, style), SLOPE))
        result: Tensor = skip + y
        return result


def doubles(index: int) -> bool:
    """Whether a block works at a finer level than the one before it."""
    return index > 0 and LEVELS[index] < LEVELS[index - 1]


def doubled(x: Tensor, upsampling: Upsampling) -> Tensor:
    """(n, c, h, w) to (n, c, 2 h, 2 w); bilinear as for images, so that a pixel's two halves lie a quarter off it."""
    if upsampling == "nearest":
        return F.interpolate(x, scale_factor=2, mode="nearest")
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class LevelGenerator(GeneratorInterface):
    """Seven residual blocks at `LEVELS`, coarse to fine: what SIAN's and SPADE's generators have in common.

    A subclass sets `blocks` and `to_rgb` and says how it begins. What the levels hold of the layout is `seen`.
    """

    blocks: nn.ModuleList  # each called with features, maps, style, noise
    to_rgb: nn.Conv2d
    downsampling: Downsampling
    upsampling: Upsampling = "nearest"
    noise_blocks: tuple[int, ...] = ()
    seen: Condition = "layout"
    stride, smallest = STRIDE, 2 * STRIDE  # reflect padding needs two pixels at 1/32

    def begin(self, coarsest: Tensor, style: Tensor, place: Tensor | None = None) -> Tensor:
        """The features that enter block 0, (n, C, h / 32, w / 32)."""
        raise NotImplementedError

    def pyramid(self, layout: Tensor, levels: int) -> list[Tensor]:
        """What it sees of the layout, at 1, 1/2, ... of its size."""
        return pyramid(select(layout, self.seen, self.beside), levels, self.downsampling)

    def levels(self, layout: Tensor) -> list[Tensor]:
        """What it sees of the layout at each block's size, in the blocks' order.

        Args:
            layout: (n, 19 or 21, h, w), sides divisible by 32.
        """
        sizes = self.pyramid(layout, max(LEVELS) + 1)
        return [sizes[level] for level in LEVELS]

    def block(self, index: int, x: Tensor, layout: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        """One residual block, after doubling `x` where the block's level is finer than the one before."""
        if doubles(index):
            x = doubled(x, self.upsampling)
        result: Tensor = self.blocks[index](x, layout, style, noise)
        return result

    def finish(self, x: Tensor) -> Tensor:
        """Features of the last block to RGB in [-1, 1]."""
        return torch.tanh(self.to_rgb(F.leaky_relu(x, SLOPE)))

    def draw_noise(self, n: int, height: int, width: int, random: torch.Generator) -> list[Tensor | None]:
        """See `training_noise`."""
        return training_noise(self.noise_blocks, n, height, width, random)

    def noise_of(self, seed: int, height: int, width: int) -> list[Tensor | None]:
        """For each block (1, 1, h_b, w_b), a function of seed and position, or None."""
        return [
            noise_at(seed, level, 0, 0, height >> level, width >> level) if index in self.noise_blocks else None
            for index, level in enumerate(LEVELS)
        ]

    def forward(
        self,
        layout: Tensor,
        style: Tensor,
        noise: Sequence[Tensor | None] | None = None,
        place: Tensor | None = None,
    ) -> Tensor:
        """The painted image.

        Args:
            layout: (n, 19 or 21, h, w): M, one-hot P, Q, ...; sides divisible by 32 and at least 64.
            style: (n, D).
            noise: for each of the seven blocks a (n or 1, 1, h_b, w_b) standard-normal map, or None.
            place: (n, 2) px, see `GeneratorInterface.forward`.

        Returns:
            (n, 3, h, w) in [-1, 1].
        """
        levels = self.levels(layout)
        x = self.begin(levels[0], style, place)
        for index, maps in enumerate(levels):
            x = self.block(index, x, maps, style, noise[index] if noise is not None else None)
        return self.finish(x)


def training_noise(
    blocks: Sequence[int], n: int, height: int, width: int, random: torch.Generator
) -> list[Tensor | None]:
    """Fresh noise for a batch: (n, 1, h_b, w_b) for the blocks that take it, None for the others."""
    return [
        torch.randn((n, 1, height >> level, width >> level), generator=random, device=random.device)
        if index in blocks
        else None
        for index, level in enumerate(LEVELS)
    ]


class Generator(LevelGenerator):
    """Paint a layout in a style.

    Args:
        channels: channels out of the seven blocks; SPADE's are 16f, 16f, 16f, 8f, 4f, 2f, f with f = 64.
        hidden: hidden channels of the SIAN blocks, per residual block (SPADE: 128 everywhere).
        style_dim: length D of the style vector (SPADE: 256).
        padding: "reflect", or "zeros" as SPADE.
        downsampling: how the layout gets to the coarse levels.
        upsampling: how features get to the next finer level: "nearest" as SPADE; "bilinear" leaves no grid of 8 px in
            large even areas.
        noise_blocks: which of the seven blocks take per-pixel noise; none in the faithful recipe.
        plain_skips: how many of the last blocks have a 1x1 convolution as skip.
        spectral: whether spectral norm is on (training) or folded into the weights (a model file).
        direction: whether the direction branch exists (ablation).
        distance: whether the distance branch exists (ablation).
        style: whether the style enters the blocks (ablation); it always enters the start.
        classes: nuclear classes that the layout comes with; the paper has none.
        tissue: whether it takes what lies between the nuclei, beside M as the classes are; the paper has none.

    A branch that does not exist is not in the start either: without both, the network sees M alone.
    """

    def __init__(
        self,
        channels: Sequence[int] = (1024, 1024, 1024, 512, 256, 128, 64),
        hidden: Sequence[int] = (128,) * 7,
        style_dim: int = 256,
        *,
        padding: Padding = "zeros",
        downsampling: Downsampling = "area",
        upsampling: Upsampling = "nearest",
        noise_blocks: Sequence[int] = (),
        plain_skips: int = 0,
        spectral: bool = True,
        direction: bool = True,
        distance: bool = True,
        style: bool = True,
        classes: int = 0,
        tissue: bool = False,
    ) -> None:
        super().__init__()
        if len(channels) != len(LEVELS):
            raise ValueError(f"found {len(channels)} blocks, expected {len(LEVELS)}")
        self.style_dim, self.downsampling, self.upsampling = style_dim, downsampling, upsampling
        self.noise_blocks = tuple(noise_blocks)
        self.condition, self.classes, self.tissue = _CONDITION[direction, distance], classes, tissue
        self.start = conv(len(CONDITIONS[self.condition]) + self.beside, channels[0], padding=padding)
        self.start_style = nn.Linear(style_dim, channels[0])
        self.blocks = nn.ModuleList(
            SianResidualBlock(
                inputs,
                outputs,
                width,
                style_dim,
                padding=padding,
                spectral=spectral,
                plain_skip=index >= len(channels) - plain_skips,
                noise=index in self.noise_blocks,
                direction=direction,
                distance=distance,
                style=style,
                beside=self.beside,
            )
            for index, (inputs, outputs, width) in enumerate(
                zip([channels[0], *channels[:-1]], channels, hidden, strict=True)
            )
        )
        self.to_rgb = conv(channels[-1], 3, padding=padding)

    def begin(self, coarsest: Tensor, style: Tensor, place: Tensor | None = None) -> Tensor:
        """The features that enter block 0: a convolution of the coarsest layout plus a linear map of the style."""
        del place  # a style is the same everywhere
        maps = select(coarsest, self.condition, self.beside)
        features: Tensor = self.start(maps) + self.start_style(style)[:, :, None, None]
        return features


_CONDITION: dict[tuple[bool, bool], Condition] = {  # (direction, distance)
    (True, True): "layout",
    (True, False): "direction",
    (False, True): "distance",
    (False, False): "semantic",
}
