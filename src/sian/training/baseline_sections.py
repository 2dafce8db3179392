"""The sections of the other networks' recipes, with each method's own defaults."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from sian.networks.generator import STRIDE
from sian.networks.layouts import Condition
from sian.training.baserecipe import Section
from sian.training.recipe_sections import (
    Beta,
    DataSection,
    DiscriminatorSection,
    LossSection,
    OptimiserSection,
    Stage,
    scale,
)


class WidthSection(Section):
    """What generators have in common whose channels are multiples of one width."""

    width: int = Field(default=64, ge=1)

    @property
    def base_width(self) -> int:
        """Channels at full size."""
        return self.width

    def scaled(self, factor: float) -> Self:
        """With another width."""
        return self.model_copy(update={"width": scale(self.width, factor)})


class SpadeSection(WidthSection):
    """Arguments of `sian.networks.spade.SpadeGenerator`; `style_dim` 0 is SPADE without an encoder."""

    hidden: int = Field(default=128, ge=1)
    style_dim: int = Field(default=256, ge=0)
    condition: Condition = "classes"
    padding: Literal["zeros", "reflect"] = "zeros"
    downsampling: Literal["area", "nearest"] = "nearest"

    @property
    def stride(self) -> int:
        """px; windows are multiples of it."""
        return STRIDE

    def scaled(self, factor: float) -> Self:
        """With another width, of the blocks and of the modulation."""
        return self.model_copy(update={"width": scale(self.width, factor), "hidden": scale(self.hidden, factor)})


class UnetSection(WidthSection):
    """Arguments of `sian.networks.pix2pix.UnetGenerator`."""

    depth: int = Field(default=8, ge=5, le=10)
    condition: Condition = "semantic"

    @property
    def stride(self) -> int:
        """px; windows are multiples of it."""
        return int(2**self.depth)


class SharpSection(UnetSection):
    """Arguments of `sian.networks.sharpgan.SharpGenerator`."""

    condition: Condition = "depth"


class CoarseToFineSection(WidthSection):
    """Arguments of `sian.networks.pix2pixhd.CoarseToFineGenerator`."""

    width: int = Field(default=64, ge=2, multiple_of=2)
    halvings: int = Field(default=4, ge=1, le=6)
    blocks: int = Field(default=9, ge=1)
    enhancer: bool = False
    enhancer_blocks: int = Field(default=3, ge=1)
    condition: Condition = "boundary"

    @property
    def stride(self) -> int:
        """px; windows are multiples of it."""
        return int(2 ** (self.halvings + self.enhancer))

    def scaled(self, factor: float) -> Self:
        """With another width, which stays even."""
        return self.model_copy(update={"width": 2 * scale(self.width, factor / 2)})


class NoEncoderSection(Section):
    """Of a network without styles: there is nothing to set."""

    def scaled(self, factor: float) -> Self:
        """The same."""
        del factor
        return self


class SpadeDiscriminatorSection(DiscriminatorSection):
    """`DiscriminatorSection`, given what SPADE's generator is given by default."""

    condition: Condition = "classes"


class PatchGanSection(DiscriminatorSection):
    """`DiscriminatorSection` with one scale that sees M."""

    scales: int = Field(default=1, ge=1, le=4)
    condition: Condition = "semantic"


class SharpPatchGanSection(PatchGanSection):
    """`PatchGanSection`, given the normalised distance map."""

    condition: Condition = "depth"


class PlainDiscriminatorSection(DiscriminatorSection):
    """`DiscriminatorSection`, given classes and instance boundary."""

    condition: Condition = "boundary"


class SpadeDataSection(DataSection):
    """`DataSection` with crops anywhere in their references: SPADE's style has places, and all have to learn."""

    placing: Literal["centre", "anywhere"] = "anywhere"


class SpadeLosses(LossSection):
    """Hinge, feature matching 10, VGG 10, KLD 0.05 as the recipe reduces it; no L_reg."""

    regularisation: float = Field(default=0.0, ge=0)


class NoStyleLosses(LossSection):
    """Without the two terms that need a style."""

    kld: float = Field(default=0.0, ge=0, le=0)
    regularisation: float = Field(default=0.0, ge=0, le=0)


class Pix2PixLosses(NoStyleLosses):
    """Cross entropy and 100 times L1."""

    gan: Literal["hinge", "lsgan", "bce"] = "bce"
    l1: float = Field(default=100.0, ge=0)
    feature_matching: float = Field(default=0.0, ge=0)
    perceptual: float = Field(default=0.0, ge=0)


class SharpLosses(Pix2PixLosses):
    """pix2pix' and the sharpness of contours."""

    sharpness: float = Field(default=10.0, ge=0)


class CoarseToFineLosses(NoStyleLosses):
    """Least squares summed over two scales, feature matching 10, VGG 10."""

    gan: Literal["hinge", "lsgan", "bce"] = "lsgan"
    gan_weight: float = Field(default=2.0, ge=0)


class Pix2PixOptimiserSection(OptimiserSection):
    """`OptimiserSection` as pix2pix and pix2pixHD have it: linear decay to nothing over the second half."""

    generator_rate: float = Field(default=2e-4, gt=0)
    discriminator_rate: float = Field(default=2e-4, gt=0)
    betas: tuple[Beta, Beta] = (0.5, 0.999)
    decay_from: float = Field(default=0.5, ge=0.0, le=1.0)
    last_rate: float = Field(default=0.0, ge=0.0, le=1.0)


class SingleStage(Stage):
    """`Stage` that may have one image a batch: instance norm needs no second."""

    batch: int = Field(default=1, ge=1)
