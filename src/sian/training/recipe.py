"""Recipes: everything that decides what a training run does, frozen and typed, one YAML file an experiment.

The resolved recipe is saved with the run and inside the model file. Unknown keys are refused with the nearest name.
A recipe is one of a union, `AnyRecipe`: its key `network` says which, and with it which sections it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, TypeAlias, get_args

from pydantic import Field, model_validator

from sian.errors import BadInput, nearest
from sian.networks.encoder import REFERENCE_SIZE
from sian.training.baseline_sections import (
    CoarseToFineLosses,
    CoarseToFineSection,
    NoEncoderSection,
    PatchGanSection,
    Pix2PixLosses,
    Pix2PixOptimiserSection,
    PlainDiscriminatorSection,
    SharpLosses,
    SharpPatchGanSection,
    SharpSection,
    SingleStage,
    SpadeDataSection,
    SpadeDiscriminatorSection,
    SpadeLosses,
    SpadeSection,
    UnetSection,
)
from sian.training.baserecipe import BaseRecipe, parse_as
from sian.training.recipe_sections import (
    AugmentSection,
    AverageSection,
    ComparingSection,
    DataSection,
    DiscriminatorSection,
    EncoderSection,
    EverySection,
    GeneratorSection,
    LossSection,
    OptimiserSection,
    Stage,
    StoppingSection,
)


class Recipe(BaseRecipe):
    """Everything that decides a run; `Recipe.load("monuseg")` reads a bundled one, a path any other.

    This is what the recipes of all networks have in common. `Recipe.load` and `Recipe.parse` return one of `AnyRecipe`,
    which `network` tells apart. `start`: from "scratch", or from a "model" file, which then gives the sections of the
    networks. `initialisation`: of the weights from scratch, torch's own or "xavier", which is that of SPADE's code for
    generator, encoder and discriminator.
    """

    smallest_batch: ClassVar[int] = 2  # a process; batch norm and L_reg need two

    network: str
    start: Literal["scratch", "model"] = "scratch"
    initialisation: Literal["torch", "xavier"] = "torch"
    generator: GeneratorSection | SpadeSection | UnetSection | CoarseToFineSection
    encoder: EncoderSection | NoEncoderSection
    discriminator: DiscriminatorSection = DiscriminatorSection()
    data: DataSection = DataSection()
    losses: LossSection = LossSection()
    augment: AugmentSection = AugmentSection()
    optimiser: OptimiserSection = OptimiserSection()
    stages: tuple[Stage, ...] = (Stage(epochs=50),)
    average: AverageSection = AverageSection()
    stopping: StoppingSection = StoppingSection()
    comparing: ComparingSection = ComparingSection()
    every: EverySection = EverySection()

    @model_validator(mode="after")
    def _windows_fit(self) -> Self:
        for index, stage in enumerate(self.stages):
            if stage.size % (stride := self.generator.stride):
                raise ValueError(f"stages.{index}.size has to be a multiple of {stride} for this generator")
        return self

    @model_validator(mode="after")
    def _without_stages_something_is_compared(self) -> Self:
        if not self.stages and not (self.comparing.tiles and self.start == "model"):
            raise ValueError("stages: found none; without any, start has to be model and comparing.tiles above 0")
        return self

    @model_validator(mode="after")
    def _heads_see_what_is_compared(self) -> Self:
        deep = sorted(set(self.losses.perceptual_layers) - {"relu1_1", "relu2_1", "relu3_1"})
        features = getattr(self.discriminator, "features", 0)
        if features and self.judged and (self.losses.perceptual or self.losses.texture) and deep:
            raise ValueError(
                f"losses.perceptual_layers: beside discriminator.features only relu1_1, relu2_1 and relu3_1 are "
                f"computed, found {', '.join(deep)}"
            )
        return self

    @model_validator(mode="after")
    def _what_learns_has_something_to_learn_from(self) -> Self:
        losses = self.losses
        painter = {"generator", "encoder"} if "width" in type(self.encoder).model_fields else {"generator"}
        lone = losses.colour or losses.stain or losses.regions or losses.l1 or losses.sharpness
        seen = (losses.perceptual or losses.texture) and losses.perceptual_every == 1
        for index, stage in enumerate(self.stages):
            learning = (painter | {"discriminator"}) - set(stage.frozen)
            if not learning:
                raise ValueError(f"stages.{index}.frozen: something has to learn; leave one part out")
            if "discriminator" in learning and not self.judged:
                wanted = ", ".join([*stage.frozen, "discriminator"])
                raise ValueError(
                    f"stages.{index}.frozen: found a discriminator that learns while gan_weight, feature_matching and "
                    f"segmenting of the losses are 0; expected [{wanted}], or one of them above 0"
                )
            if learning & painter and not (self.judged or lone or seen):
                raise ValueError("losses: none is left that every step of the painter learns from; raise one above 0")
        if self.start == "scratch" and self.judged and not (self.discriminator.scales or self.discriminator.features):
            raise ValueError("discriminator.scales: without any, discriminator.features has to be above 0")
        if self.start == "scratch" and self.judged and self.judge_is_frozen:
            raise ValueError("stages: the losses ask a discriminator that never learns; let it, or start from a model")
        return self

    @property
    def judged(self) -> bool:
        """Whether a painting's loss asks the discriminator; otherwise there is none to speak of."""
        segments = getattr(self.discriminator, "segmenting", 0)
        segmenting = self.losses.segmenting if segments else 0.0
        return bool(self.losses.gan_weight or self.losses.feature_matching or segmenting)

    @property
    def judge_is_frozen(self) -> bool:
        """Whether the discriminator learns in no stage, although there are some."""
        return bool(self.stages) and all("discriminator" in stage.frozen for stage in self.stages)

    @classmethod
    def parse(cls, values: Mapping[str, Any], name: str) -> Recipe:
        """A recipe from plain values, of the class in `AnyRecipe` that its `network` names."""
        network = str(values.get("network", "sian"))  # older files name none
        if network not in RECIPES:
            raise BadInput(f"{name}: network: no network is called {network!r}{nearest(network, RECIPES)}")
        return parse_as(RECIPES[network], values, name)

    def scaled(self, width: int) -> Self:
        """The same networks, narrower or wider: for machines on which the faithful ones are too slow.

        Args:
            width: channels of the generator's widest resolution (SIAN's and SPADE's last block, f in the docs; 64
                in all faithful recipes). All channels of generator, encoder and discriminator change by the same
                factor; depth, style vector, losses and schedule stay.
        """
        factor = width / self.generator.base_width
        parts = {key: getattr(self, key).scaled(factor) for key in ("generator", "encoder", "discriminator")}
        return self.model_copy(update=parts)


class SianRecipe(Recipe):
    """A run of SIAN.

    `coarse_noise`: where a run from a model finds weaker noise in the blocks down to 1/8, it begins with that strength,
    so that a seed decides more than the grain.
    """

    network: Literal["sian"] = "sian"
    coarse_noise: float = Field(default=0.0, ge=0.0)
    generator: GeneratorSection = GeneratorSection()
    encoder: EncoderSection = EncoderSection()


class SpadeRecipe(Recipe):
    """A run of SPADE."""

    network: Literal["spade"] = "spade"
    generator: SpadeSection = SpadeSection()
    encoder: EncoderSection = EncoderSection()
    discriminator: SpadeDiscriminatorSection = SpadeDiscriminatorSection()
    data: SpadeDataSection = SpadeDataSection()
    losses: SpadeLosses = SpadeLosses()

    @model_validator(mode="after")
    def _all_places_learn(self) -> Self:
        smallest = min(stage.size for stage in self.stages)
        if self.generator.style_dim and self.data.placing == "centre" and smallest < REFERENCE_SIZE:
            raise ValueError(
                f"data.placing: SPADE's style has places, and those at the rim would not learn from windows of "
                f"{smallest} px at the centre of their references; expected anywhere"
            )
        return self


class NoStyleRecipe(Recipe):
    """A run of a network without styles, which normalises each image for itself."""

    smallest_batch: ClassVar[int] = 1

    encoder: NoEncoderSection = NoEncoderSection()
    optimiser: Pix2PixOptimiserSection = Pix2PixOptimiserSection()
    stages: tuple[SingleStage, ...] = Field(default=(SingleStage(epochs=200),), min_length=1)


class Pix2PixRecipe(NoStyleRecipe):
    """A run of pix2pix."""

    network: Literal["pix2pix"] = "pix2pix"
    generator: UnetSection = UnetSection()
    discriminator: PatchGanSection = PatchGanSection()
    losses: Pix2PixLosses = Pix2PixLosses()


class CoarseToFineRecipe(NoStyleRecipe):
    """A run of pix2pixHD."""

    network: Literal["pix2pixhd"] = "pix2pixhd"
    generator: CoarseToFineSection = CoarseToFineSection()
    discriminator: PlainDiscriminatorSection = PlainDiscriminatorSection()
    losses: CoarseToFineLosses = CoarseToFineLosses()


class SharpRecipe(NoStyleRecipe):
    """A run of Sharp-GAN."""

    network: Literal["sharpgan"] = "sharpgan"
    generator: SharpSection = SharpSection()
    discriminator: SharpPatchGanSection = SharpPatchGanSection()
    losses: SharpLosses = SharpLosses()


AnyRecipe: TypeAlias = SianRecipe | SpadeRecipe | Pix2PixRecipe | CoarseToFineRecipe | SharpRecipe

# network -> the recipe that has it as its only value
RECIPES: dict[str, type[AnyRecipe]] = {kind.model_fields["network"].default: kind for kind in get_args(AnyRecipe)}
