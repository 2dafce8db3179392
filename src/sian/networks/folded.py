"""SIAN's generator as it is painted with: constants folded into the convolutions, element-wise work fused with them.

In eval mode batch norm is a constant, so with ``normalised = s x + t`` a SIAN block's modulation is::

    (1 + gamma(a)) (s x + t) + beta(a)  =  x (s + s gamma(a)) + (t + t gamma(a) + beta(a))

two convolutions of the same features with other weights, and no batch norm. In one style the style's factor is a
constant, too: it goes into the 1x1 convolutions of P and Q, which become one. oneDNN multiplies, adds and cuts at zero
while it writes a convolution's result, which saves a pass over memory each time.

The painting is the plain generator's up to rounding: at most one grey level, in one value of 10,000. Only for a CPU
and for weights without spectral norm (a model file's).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sian.networks.brush import COARSE_LEVEL, FINE, NO_MARGINS, Margins, at_level, within
from sian.networks.generator import LEVELS, SLOPE, Generator, SianResidualBlock, doubled, doubles
from sian.networks.layouts import LAYOUT_CHANNELS, Upsampling
from sian.networks.sian_block import SianBlock

# Px of a window's margin that the blocks at 1/2 and at full size still need; the others need all. Near a border the
# three convolutions of a block's layout are wrong within 3 px of its level, its own two carry that 2 px further, and
# the last convolution 1 px more. So 6 px at full size. What is right there takes 3 px of what the block before painted
# right, which at 1/2 is wrong within 5 px, 10 px of the image: 13 px. Bilinear doubling needs no more of them: two
# pixels of the level before for three.
SEEN = {1: 16, 0: 8}


class FoldedGenerator:
    """The part of the folding that all styles share.

    Args:
        generator: SIAN's, in eval mode, on a CPU, without spectral norm; its weights are read once.
    """

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self.blocks = [FoldedBlock(part) for part in generator.blocks if isinstance(part, SianResidualBlock)]
        self.to_rgb = FoldedConvolution.of(generator.to_rgb)

    @staticmethod
    def fits(generator: nn.Module) -> TypeGuard[Generator]:
        """Whether a generator can be folded: SIAN's, on a CPU, without spectral norm."""
        if not isinstance(generator, Generator) or generator.training:
            return False
        weight = generator.to_rgb.weight
        spectral = any(nn.utils.parametrize.is_parametrized(part) for part in generator.modules())
        return not spectral and weight.device.type == "cpu" and weight.dtype == torch.float32

    def brush(self, style: Tensor) -> FoldedBrush:
        """The generator in one style.

        Args:
            style: (1, D).
        """
        return FoldedBrush(self, style)


# Px of margin that each coarse block is given: what it sees of the layout (5 px of its level) beyond what the blocks
# after it need of its result (2 px of their levels each, in whole pixels of its own).
# Bilinear doubling makes two pixels of three.
NEEDED: dict[Upsampling, tuple[int, ...]] = {"nearest": (1 << 20, 128, 96, 40), "bilinear": (1 << 20, 144, 112, 40)}


class FoldedBrush:
    """A folded generator in one style; see `sian.networks.brush.Brush`."""

    def __init__(self, folded: FoldedGenerator, style: Tensor) -> None:
        self.generator, self.style, self.to_rgb = folded.generator, style, folded.to_rgb
        self.blocks = [block.styled(style) for block in folded.blocks]

    def coarse(
        self, maps: Mapping[int, Tensor], noise: Sequence[Tensor | None], margins: Margins = NO_MARGINS
    ) -> Tensor:
        """Features after the coarse blocks without their margins, which are left out early where that changes nothing.

        Cut off the whole margin, the pixels are those of the whole: at its edge a block's result is wrong for as far
        as it sees (`NEEDED`), and that far is kept.
        """
        x, left = self.generator.begin(maps[LEVELS[0]], self.style), margins
        for index, drawn in enumerate(noise):
            level, kept = LEVELS[index], _at_most(margins, NEEDED[self.generator.upsampling][index])
            if doubles(index):
                x = doubled(x, self.generator.upsampling)
            cut = _pixels(margins, kept, level)
            layout, own = within(maps[level], cut), None if drawn is None else within(drawn, cut)
            x, left = self.blocks[index](_last(within(x, _pixels(left, kept, level))), _last(layout), own), kept
        return within(x, at_level(left, COARSE_LEVEL))

    def fine(
        self,
        x: Tensor,
        maps: Mapping[int, Tensor],
        noise: Sequence[Tensor | None],
        margins: Margins = NO_MARGINS,
    ) -> Tensor:
        """The image without its margins, in [-1, 1]. What later blocks don't see of the margins is left out early."""
        left = margins
        for index, drawn in enumerate(noise, FINE):
            level, kept = LEVELS[index], _kept(margins, LEVELS[index])
            if doubles(index):
                x = doubled(x, self.generator.upsampling)
            cut = _pixels(margins, kept, level)
            layout, own = within(maps[level], cut), None if drawn is None else within(drawn, cut)
            x, left = self.blocks[index](_last(within(x, _pixels(left, kept, level))), _last(layout), own), kept
        image: Tensor = self.to_rgb(F.leaky_relu_(x, SLOPE)).tanh_()
        return within(image, left)


@dataclass(frozen=True)
class FoldedConvolution:
    """A convolution that keeps height and width, and what may follow it in the same pass."""

    weight: Tensor  # (o, i / groups, k, k)
    bias: Tensor | None
    reflect: bool  # what lies beyond the border of a 3x3 convolution: the mirrored image, else zeros
    groups: int = 1

    @classmethod
    def of(cls, layer: nn.Conv2d) -> FoldedConvolution:
        """A layer as it is."""
        return cls(_last(layer.weight), layer.bias, layer.padding_mode == "reflect", layer.groups)

    def padded(self, x: Tensor) -> Tensor:
        """(n, i, h, w) with the mirrored border around it, if it takes one."""
        return F.pad(x, (1, 1, 1, 1), mode="reflect") if self.reflect and self.weight.shape[-1] > 1 else x

    def __call__(self, x: Tensor, then: Literal["none", "relu"] = "none") -> Tensor:
        """(n, i, h, w) to (n, o, h, w)."""
        x = self.padded(x)
        if _fuses():
            result: Tensor = torch.ops.mkldnn._convolution_pointwise(
                x, self.weight, self.bias, *self._geometry(), then, [], None
            )
            return result
        y = F.conv2d(x, self.weight, self.bias, padding=self._geometry()[0], groups=self.groups)
        return F.relu_(y) if then == "relu" else y

    def times(self, x: Tensor, other: Tensor) -> Tensor:
        """The result for an already padded `x`, multiplied by `other`."""
        return self._with(x, other, "mul")

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The result for an already padded `x`, plus `other`."""
        return self._with(x, other, "add")

    def _with(self, x: Tensor, other: Tensor, how: Literal["mul", "add"]) -> Tensor:
        if _fuses():
            result: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
                x, other, self.weight, self.bias, *self._geometry(), how, None, None, [], None
            )
            return result
        y = F.conv2d(x, self.weight, self.bias, padding=self._geometry()[0], groups=self.groups)
        return y.mul_(other) if how == "mul" else y.add_(other)

    def _geometry(self) -> tuple[list[int], list[int], list[int], int]:
        padding = 0 if self.reflect else self.weight.shape[-1] // 2
        return [padding, padding], [1, 1], [1, 1], self.groups


class FoldedSian:
    """A SIAN block and the batch norm before it; `styled` also folds the style in."""

    def __init__(self, block: SianBlock, norm: nn.BatchNorm2d) -> None:
        self.style, self.beside = block.style, block.beside
        self.semantics = FoldedConvolution.of(block.semantics)
        self.compensation = None if block.compensation is None else FoldedConvolution.of(block.compensation)
        self.instances = _instances(block)
        self.gamma, self.beta = _modulation(block, norm)

    def styled(self, style: Tensor) -> _StyledSian:
        """The block in one style, (1, D)."""
        factor = None if self.style is None else self.style(style)[0]  # (features,)
        instances = self.instances
        if instances is not None and factor is not None:
            weight, bias = instances.weight * factor[:, None, None, None], instances.bias
            instances = FoldedConvolution(_last(weight), None if bias is None else bias * factor, instances.reflect)
            factor = None
        return _StyledSian(self, instances, None if factor is None else factor[None, :, None, None])


@dataclass(frozen=True)
class _StyledSian:
    shared: FoldedSian
    instances: FoldedConvolution | None
    factor: Tensor | None  # (1, features, 1, 1)

    def __call__(self, x: Tensor, maps: Tensor) -> Tensor:
        """Modulated features after LeakyReLU, (1, C, h, w); `x` is not yet normalised."""
        shared = self.shared
        semantic = maps[:, :1]
        if shared.beside:
            semantic = torch.cat([semantic, maps[:, -shared.beside :]], 1)
        a = shared.semantics(semantic.contiguous(memory_format=torch.channels_last), "relu")
        if self.factor is not None:
            a *= self.factor
        if self.instances is not None:
            a = self.instances.times(maps, a)
        if shared.compensation is not None:
            a = shared.compensation(a, "relu")
        a = shared.beta.padded(a)
        return F.leaky_relu_(shared.beta.plus(a, shared.gamma.times(a, x)), SLOPE)


class FoldedBlock:
    """A residual block of folded SIAN blocks."""

    def __init__(self, block: SianResidualBlock) -> None:
        self.inputs: int = block.norm_0.num_features
        self.sian_0, self.sian_1 = FoldedSian(block.sian_0, block.norm_0), FoldedSian(block.sian_1, block.norm_1)
        self.sian_skip = None if block.sian_skip is None else FoldedSian(block.sian_skip, block.norm_0)
        self.conv_0, self.conv_1 = FoldedConvolution.of(block.conv_0), FoldedConvolution.of(block.conv_1)
        self.conv_skip = None if block.conv_skip is None else FoldedConvolution.of(block.conv_skip)
        self.noise_strength = None if block.noise_strength is None else block.noise_strength[None, :, None, None]

    def styled(self, style: Tensor) -> _StyledBlock:
        """The block in one style, (1, D)."""
        skip = None if self.sian_skip is None else self.sian_skip.styled(style)
        return _StyledBlock(self, self.sian_0.styled(style), self.sian_1.styled(style), skip)


@dataclass(frozen=True)
class _StyledBlock:
    shared: FoldedBlock
    sian_0: _StyledSian
    sian_1: _StyledSian
    sian_skip: _StyledSian | None

    def __call__(self, x: Tensor, maps: Tensor, noise: Tensor | None) -> Tensor:
        shared, skip = self.shared, x
        if shared.conv_skip is not None:
            skip = shared.conv_skip(x if self.sian_skip is None else self.sian_skip(x, maps))
        y = shared.conv_0(self.sian_0(x, maps))
        if shared.noise_strength is not None and noise is not None:
            y.addcmul_(shared.noise_strength, noise)
        y = self.sian_1(y, maps)
        return shared.conv_1.plus(shared.conv_1.padded(y), skip)


def _instances(block: SianBlock) -> FoldedConvolution | None:
    """The 1x1 convolutions of P and Q as one of the whole layout, with zeros where a branch does not look."""
    branches: list[tuple[nn.Conv2d, int]] = [
        (factor, first)
        for factor, first in ((block.direction, 1), (block.distance, LAYOUT_CHANNELS - 1))
        if factor is not None
    ]
    if not branches:
        return None
    weights, biases = [], []
    for factor, first in branches:
        weight = factor.weight.new_zeros(factor.out_channels, LAYOUT_CHANNELS + block.beside, 1, 1)
        weight[:, first : first + factor.in_channels] = factor.weight
        weights.append(weight)
        biases.append(factor.bias)
    return FoldedConvolution(_last(torch.cat(weights)), torch.cat(biases), reflect=False)  # type: ignore[arg-type]


def _modulation(block: SianBlock, norm: nn.BatchNorm2d) -> tuple[FoldedConvolution, FoldedConvolution]:
    """The convolutions of what `x` is multiplied by and of what is added; see this file's first lines."""
    if norm.running_var is None or norm.running_mean is None or block.modulation.bias is None:
        raise ValueError("a batch norm without statistics or a modulation without bias cannot be folded")
    scale = (norm.running_var + norm.eps).rsqrt()
    shift = -norm.running_mean * scale
    (gamma, beta), (gamma_bias, beta_bias) = block.modulation.weight.chunk(2), block.modulation.bias.chunk(2)
    reflect = block.modulation.padding_mode == "reflect"
    times = FoldedConvolution(_last(scale[:, None, None, None] * gamma), scale * (1 + gamma_bias), reflect)
    plus = FoldedConvolution(
        _last(beta + shift[:, None, None, None] * gamma), beta_bias + shift * (1 + gamma_bias), reflect
    )
    return times, plus


def _kept(margins: Margins, level: int) -> Margins:
    """What a block still needs of a window's margins."""
    top, left, bottom, right = (min(margin, SEEN.get(level, margin)) for margin in margins)
    return top, left, bottom, right


def _at_most(margins: Margins, most: int) -> Margins:
    """Margins cut to so many px."""
    top, left, bottom, right = (min(margin, most) for margin in margins)
    return top, left, bottom, right


def _pixels(margins: Margins, kept: Margins, level: int) -> Margins:
    """What is cut off margins, in pixels of a level."""
    top, left, bottom, right = ((margin - rest) >> level for margin, rest in zip(margins, kept, strict=True))
    return top, left, bottom, right


def _last(tensor: Tensor) -> Tensor:
    """Channels last in memory; oneDNN would copy a view of a larger tensor once a convolution."""
    return tensor.detach().contiguous(memory_format=torch.channels_last)


@cache
def _fuses() -> bool:
    """Whether this torch has oneDNN's fused convolutions; they are not part of its public interface."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    x, weight = torch.ones(1, 1, 2, 2), torch.full((1, 1, 1, 1), -1.0)
    rest = ([0, 0], [1, 1], [1, 1], 1)
    try:
        with torch.inference_mode():
            cut = torch.ops.mkldnn._convolution_pointwise(x, weight, None, *rest, "relu", [], None)
            sums = torch.ops.mkldnn._convolution_pointwise.binary(
                x, 3 * x, weight, None, *rest, "add", None, None, [], None
            )
    except (AttributeError, RuntimeError, TypeError):
        return False
    return bool((cut == 0).all()) and bool((sums == 2).all())
