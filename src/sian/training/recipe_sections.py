"""The sections of a recipe, with SIAN's own defaults; `sian.training.recipe` puts recipes together from them."""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from sian.networks.generator import STRIDE
from sian.networks.layouts import Condition
from sian.training.baserecipe import Section
from sian.training.losses import Gan
from sian.training.moving import Group

Width = Annotated[int, Field(ge=1)]  # channels
BlockIndex = Annotated[int, Field(ge=0, le=6)]  # one of the generator's seven blocks
Beta = Annotated[float, Field(ge=0.0, lt=1.0)]  # of Adam
VggLayer = Literal["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]


class GeneratorSection(Section):
    """Arguments of `sian.networks.Generator`; the defaults are the paper's (SPADE's sizes)."""

    channels: tuple[Width, Width, Width, Width, Width, Width, Width] = (1024, 1024, 1024, 512, 256, 128, 64)
    hidden: tuple[Width, Width, Width, Width, Width, Width, Width] = (128, 128, 128, 128, 128, 128, 128)
    style_dim: int = Field(default=256, ge=1)
    padding: Literal["zeros", "reflect"] = "zeros"
    downsampling: Literal["area", "nearest"] = "nearest"
    upsampling: Literal["nearest", "bilinear"] = "nearest"
    noise_blocks: tuple[BlockIndex, ...] = ()
    plain_skips: int = Field(default=0, ge=0, le=7)
    direction: bool = True
    distance: bool = True
    style: bool = True
    tissue: bool = False

    @field_validator("noise_blocks")
    @classmethod
    def _in_order(cls, blocks: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(blocks)))

    @property
    def base_width(self) -> int:
        """f, the channels of the last block."""
        return self.channels[-1]

    @property
    def stride(self) -> int:
        """px; windows are multiples of it."""
        return STRIDE

    def scaled(self, factor: float) -> Self:
        """With other channels; the style vector keeps its length."""
        channels, hidden = (tuple(scale(c, factor) for c in widths) for widths in (self.channels, self.hidden))
        return self.model_copy(update={"channels": channels, "hidden": hidden})


class EncoderSection(Section):
    """Arguments of `sian.networks.StyleEncoder`."""

    width: int = Field(default=64, ge=1)
    statistics: bool = False

    def scaled(self, factor: float) -> Self:
        """With another width."""
        return self.model_copy(update={"width": scale(self.width, factor)})


class DiscriminatorSection(Section):
    """Arguments of `sian.networks.Discriminator`; `condition` names what it sees of the layout.

    "layout" is M, P and Q, "semantic" M alone, "direction" M and P, "distance" M and Q, "classes" background and
    nuclei one-hot, "boundary" the same and the instance boundary, "depth" Sharp-GAN's normalised distance map.
    `segmenting` is the width of the part that segments (weighed by `losses.segmenting`); 0 for none. `features` is
    that of the heads on VGG19's features; 0 for none. `scales` 0 is a discriminator of heads alone.
    """

    width: int = Field(default=64, ge=1)
    scales: int = Field(default=2, ge=0, le=4)
    layers: int = Field(default=4, ge=2, le=6)
    condition: Condition = "layout"
    segmenting: int = Field(default=0, ge=0)
    features: int = Field(default=0, ge=0)

    def scaled(self, factor: float) -> Self:
        """With other widths."""
        parts = {
            key: scale(getattr(self, key), factor) for key in ("width", "segmenting", "features") if getattr(self, key)
        }
        return self.model_copy(update=parts)


class DataSection(Section):
    """Which windows are seen: `grid` is the paper's fixed 100 a tile, `random` any position.

    `placing` is where a window smaller than its reference lies in it: at its "centre", or "anywhere" in steps of 32 px.
    `sibling` is the probability that the style comes from another window of the same tile. `stain` is how far the
    stains of a window and its reference are changed, both alike (0.3: up to 30 % more or less of each); `hue` is how
    far the stains' own colours are (0.1: up to a tenth is added to each part of their unit vectors).
    `organ_aliases` renames organs in the style bank, e.g. {"liver": "lung"}. `classes: true` gives the generator the
    nuclei's classes as the data set names them; in a run's own recipe their names stand there, in the order of the
    layout's channels. `tissue` is the share of windows whose tissue map a generator that takes one (`generator.tissue`)
    is given; the others get a drawn one, as a painting without a map does (`sian.networks.drawn_tissue`), or
    with `drawn: false` none.
    """

    positions: Literal["grid", "random"] = "grid"
    placing: Literal["centre", "anywhere"] = "centre"
    sibling: float = Field(default=0.0, ge=0.0, le=1.0)
    stain: float = Field(default=0.0, ge=0.0, lt=1.0)
    hue: float = Field(default=0.0, ge=0.0, le=0.3)
    turn: bool = True
    tissue: float = Field(default=0.5, ge=0.0, le=1.0)
    drawn: bool = True
    organ_aliases: dict[str, str] = Field(default_factory=dict)
    classes: bool | tuple[str, ...] = False

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes' names, once `sian.training.recipe_classes.resolve` has put them there."""
        return self.classes if isinstance(self.classes, tuple) else ()


class LossSection(Section):
    """Weights of Eq. 1 and how each term is reduced; terms that the paper does not have default to 0.

    `kld_reduction`: "mean" over the batch, or "sum" as in SPADE's code; both sum over the D dimensions.
    `kld_free`: nats a dimension that cost nothing. `regularisation_reduction`: "mean" or "sum" over the D dimensions.
    With the paper's weights, sums empty the style vector in 1,000 images.
    `perceptual_every`: apply every so many steps, times as much. `texture`: L1 of Gram matrices of VGG19's features,
    of those that the discriminator's heads see and the perceptual layers.
    `colour`: L1 of 16-fold averaged images. `stain`: L1 of a window's stain statistics. `regions`: L1 of the mean
    colours of nuclei and of all else.
    `lecam`: regularisation of the discriminator (Tseng et al. 2021). `segmenting`: of the discriminator that segments
    (Schönfeld et al. 2021), if there is one. `gan`: hinge (SPADE), lsgan (pix2pixHD) or bce
    (pix2pix), times `gan_weight` on the generator's side; with that, `feature_matching` and `segmenting` at 0 there is
    no discriminator. `l1`: between painting and image (pix2pix). `sharpness`:
    of the nuclei's contours (Sharp-GAN). `diversity`: how much less two paintings of a window with other noise differ
    than the window and its mirror image. It applies to windows without a tissue map. `colour` compares whole windows
    where there is no map, since nothing then says what lies where. `kld` and
    `regularisation` are for networks that have a style.
    """

    gan: Gan = "hinge"
    gan_weight: float = Field(default=1.0, ge=0)
    l1: float = Field(default=0.0, ge=0)
    sharpness: float = Field(default=0.0, ge=0)
    feature_matching: float = Field(default=10.0, ge=0)
    perceptual: float = Field(default=10.0, ge=0)
    perceptual_layers: tuple[VggLayer, ...] = Field(default=get_args(VggLayer), min_length=1)
    perceptual_every: int = Field(default=1, ge=1)
    texture: float = Field(default=0.0, ge=0)
    kld: float = Field(default=0.05, ge=0)
    kld_reduction: Literal["sum", "mean"] = "mean"
    kld_free: float = Field(default=0.0, ge=0)
    regularisation: float = Field(default=0.5, ge=0)
    regularisation_reduction: Literal["sum", "mean"] = "mean"
    colour: float = Field(default=0.0, ge=0)
    stain: float = Field(default=0.0, ge=0)
    regions: float = Field(default=0.0, ge=0)
    lecam: float = Field(default=0.0, ge=0)
    segmenting: float = Field(default=1.0, ge=0)
    diversity: float = Field(default=0.0, ge=0)


class AugmentSection(Section):
    """Differentiable augmentation of what the discriminator sees, image and layout together (fractions of the side)."""

    translation: float = Field(default=0.0, ge=0.0, le=0.5)
    cutout: float = Field(default=0.0, ge=0.0, le=1.0)


class OptimiserSection(Section):
    """Adam for generator with encoder, and discriminator.

    Until `rise_until` of the run rates rise linearly from 0, since Adam's first steps are as long as its rate, whatever
    the gradient; for networks that have learned before. From `decay_from` of the run on, they fall linearly to
    `last_rate` of what they were.
    """

    generator_rate: float = Field(default=1e-4, gt=0)
    discriminator_rate: float = Field(default=4e-4, gt=0)
    betas: tuple[Beta, Beta] = (0.0, 0.999)
    rise_until: float = Field(default=0.0, ge=0.0, le=1.0)
    decay_from: float = Field(default=1.0, ge=0.0, le=1.0)
    last_rate: float = Field(default=0.02, ge=0.0, le=1.0)


class Stage(Section):
    """A stretch of the run with one window size: so many `images`, or so many `epochs` of the training windows.

    `frozen`: parts that do not learn meanwhile; with generator and encoder the discriminator learns alone. Where no
    loss asks the discriminator, it has to stand there. `moves`: of generator and encoder, the groups of parameters that
    learn (see `sian.training.moving`); without any, all do.
    """

    images: int | None = Field(default=None, ge=1)
    epochs: int | None = Field(default=None, ge=1)
    size: int = Field(default=256, ge=64, multiple_of=32)
    batch: int = Field(default=8, ge=2)
    frozen_batch_norm: bool = False
    frozen: tuple[Literal["generator", "encoder", "discriminator"], ...] = ()
    moves: tuple[Group, ...] = ()

    @model_validator(mode="after")
    def _one_length(self) -> Stage:
        if (self.images is None) == (self.epochs is None):
            raise ValueError("a stage has either images or epochs")
        return self


class AverageSection(Section):
    """EMA of the weights: half-life in images, at most `ramp` of the images seen so far."""

    half_life: float = Field(default=1000.0, gt=0)
    ramp: float = Field(default=0.1, gt=0)


class StoppingSection(Section):
    """Whether tiles are held out, and the run ends when the paintings of these no longer get nearer to them.

    `tiles`: how many are held out, of at least `least` in all; 0 holds none out. Patients are
    held out whole. `windows`: painted in each. `every`:
    how many images lie between two looks. `patience`: how many looks without a new best end the run; null never does.
    The best is the model either way.
    """

    tiles: int = Field(default=0, ge=0)
    least: int = Field(default=4, ge=2)
    windows: int = Field(default=8, ge=1)
    every: int = Field(default=200, ge=1)
    patience: int | None = Field(default=3, ge=1)

    @model_validator(mode="after")
    def _some_are_left(self) -> StoppingSection:
        if self.tiles >= self.least:
            raise ValueError("fewer tiles are held out than there are at least")
        return self


class ComparingSection(Section):
    """Whether candidates are compared on tissue that is not learned from, and the best of them is the model.

    `tiles`: how many are held out, of at least `least` in all, patients whole; with fewer, a quarter of each tile is.
    0 compares nothing. `windows`: painted at each look. `every`: how many images lie between two looks. `patience`: how
    many looks without a lower KID end the run; null never does.
    """

    tiles: int = Field(default=0, ge=0)
    least: int = Field(default=4, ge=2)
    windows: int = Field(default=100, ge=4)
    every: int = Field(default=400, ge=1)
    patience: int | None = Field(default=3, ge=1)


class EverySection(Section):
    """How often, in images, something is written."""

    journal: int = Field(default=400, ge=1)
    samples: int = Field(default=3000, ge=1)
    checkpoint: int = Field(default=3000, ge=1)
    keep: int = Field(default=2, ge=1)


def scale(channels: int, factor: float) -> int:
    """Channels times a factor, at least 1."""
    return max(1, round(channels * factor))
