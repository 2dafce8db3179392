"""Recipes of the other networks: typed sections with each method's own defaults, and which `network` is whose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from sian.errors import BadInput, nearest
from sian.networks.generator import STRIDE
from sian.networks.layouts import Condition
from sian.training.baserecipe import Section
from sian.training.recipe import (
    Beta,
    DiscriminatorSection,
    LossSection,
    OptimiserSection,
    Recipe,
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


class SpadeLosses(LossSection):
    """Hinge, feature matching 10, VGG 10, KLD 0.05 summed; no L_reg."""

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
    """`OptimiserSection` as pix2pix and pix2pixHD have it: linear decay over the second half."""

    generator_rate: float = Field(default=2e-4, gt=0)
    discriminator_rate: float = Field(default=2e-4, gt=0)
    betas: tuple[Beta, Beta] = (0.5, 0.999)
    decay_from: float = Field(default=0.5, ge=0.0, le=1.0)


class SingleStage(Stage):
    """`Stage` that may have one image a batch: instance norm needs no second."""

    batch: int = Field(default=1, ge=1)


class SpadeRecipe(Recipe):
    """A run of SPADE."""

    network: str = Field(default="spade", pattern="^spade$")
    generator: SpadeSection = SpadeSection()  # type: ignore[assignment]
    discriminator: SpadeDiscriminatorSection = SpadeDiscriminatorSection()
    losses: SpadeLosses = SpadeLosses()


class NoStyleRecipe(Recipe):
    """A run of a network without styles, which normalises each image for itself."""

    smallest_batch: ClassVar[int] = 1

    encoder: NoEncoderSection = NoEncoderSection()  # type: ignore[assignment]
    optimiser: Pix2PixOptimiserSection = Pix2PixOptimiserSection()
    stages: tuple[SingleStage, ...] = Field(default=(SingleStage(epochs=200),), min_length=1)


class Pix2PixRecipe(NoStyleRecipe):
    """A run of pix2pix."""

    network: str = Field(default="pix2pix", pattern="^pix2pix$")
    generator: UnetSection = UnetSection()  # type: ignore[assignment]
    discriminator: PatchGanSection = PatchGanSection()
    losses: Pix2PixLosses = Pix2PixLosses()


class CoarseToFineRecipe(NoStyleRecipe):
    """A run of pix2pixHD."""

    network: str = Field(default="pix2pixhd", pattern="^pix2pixhd$")
    generator: CoarseToFineSection = CoarseToFineSection()  # type: ignore[assignment]
    discriminator: PlainDiscriminatorSection = PlainDiscriminatorSection()
    losses: CoarseToFineLosses = CoarseToFineLosses()


class SharpRecipe(NoStyleRecipe):
    """A run of Sharp-GAN."""

    network: str = Field(default="sharpgan", pattern="^sharpgan$")
    generator: SharpSection = SharpSection()  # type: ignore[assignment]
    discriminator: SharpPatchGanSection = SharpPatchGanSection()
    losses: SharpLosses = SharpLosses()


RECIPES: dict[str, type[Recipe]] = {
    "sian": Recipe,
    "spade": SpadeRecipe,
    "pix2pix": Pix2PixRecipe,
    "pix2pixhd": CoarseToFineRecipe,
    "sharpgan": SharpRecipe,
}


def recipe_class(values: Mapping[str, Any], name: str) -> type[Recipe]:
    """The class of recipe for these values' `network`; SIAN's where there is none, as in older files."""
    network = str(values.get("network", "sian"))
    if network not in RECIPES:
        raise BadInput(f"{name}: network: there is none called {network!r}{nearest(network, RECIPES)}")
    return RECIPES[network]
