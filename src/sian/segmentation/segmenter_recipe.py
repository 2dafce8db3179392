"""Recipes of the segmenters: everything that decides a run and how its output becomes instances."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from sian.training.baserecipe import BaseRecipe, Section
from sian.training.recipe_sections import AverageSection


class NetworkSection(Section):
    """Which network, its channels at the first resolution, and how many resolutions it has."""

    kind: Literal["segnet", "unet"] = "segnet"
    width: int = Field(default=64, ge=1)
    levels: int = Field(default=5, ge=1, le=5)


class DataSection(Section):
    """Which windows are seen, of what size.

    `repeat` counts the tiles of a preparation so many times, e.g. {"frozen": 3}. `turn` draws one of the eight
    flips and quarter turns. `synthetic` is the share of windows that come from synthetic data sets when real and
    synthetic ones are given: so many of each batch, to the nearest whole window.
    """

    size: int = Field(default=256, ge=32, multiple_of=32)
    batch: int = Field(default=8, ge=2)
    positions: Literal["grid", "random"] = "random"
    turn: bool = True
    repeat: dict[str, int] = Field(default_factory=dict)
    synthetic: float = Field(default=0.5, ge=0.0, le=1.0)


class AugmentSection(Section):
    """What is changed in a window; 0 switches a part off.

    `traditional`: the share of windows that get a random flip and quarter turn and, every other one, a median blur of
    `median` px (paper, section 4.5; `sian.segmentation.traditional`). `paste`: nuclei of other tiles that are offered
    to each window (`sian.segmentation.pasting`). The others are jitter of colour and sharpness
    (`sian.segmentation.jitter`).
    """

    traditional: float = Field(default=0.0, ge=0.0, le=1.0)
    median: int = Field(default=3, ge=3, le=9)
    paste: int = Field(default=0, ge=0, le=200)

    stain: float = Field(default=0.0, ge=0.0, lt=1.0)
    light: float = Field(default=0.0, ge=0.0, lt=1.0)
    blur: float = Field(default=0.0, ge=0.0, le=5.0)
    noise: float = Field(default=0.0, ge=0.0, le=0.5)

    @field_validator("median")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("a median has an odd side, such as 3 or 5 px")
        return value


class LossSection(Section):
    """Weights of the losses; see `sian.segmentation.objectives`.

    `border_px`: how deep the border class reaches into a nucleus. `weighting`: class weights are the median class
    frequency over the class' own, to this power (SegNet's paper: 1; none: 0). `border`: U-Net's extra weight of
    border pixels in M. `direction`, `distance`: U-Net's weights of P and Q.
    """

    border_px: int = Field(default=2, ge=1, le=8)
    weighting: float = Field(default=0.5, ge=0.0, le=1.0)
    dice: float = Field(default=0.5, ge=0.0)
    border: float = Field(default=2.0, ge=1.0)
    direction: float = Field(default=0.5, ge=0.0)
    distance: float = Field(default=4.0, ge=0.0)


class OptimiserSection(Section):
    """AdamW; the rate rises over the first `warm_up` of the run, then falls along a cosine."""

    rate: float = Field(default=1e-3, gt=0)
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(default=1e-4, ge=0)
    warm_up: float = Field(default=0.03, ge=0.0, lt=1.0)


class InstanceSection(Section):
    """How maps become instances: see `sian.segmentation.instances`."""

    marker: float = Field(default=0.5, gt=0.0, lt=1.0)
    foreground: float = Field(default=0.5, gt=0.0, lt=1.0)
    min_area: int = Field(default=30, ge=1)


class EverySection(Section):
    """How often, in images, something is written; how many checkpoints stay."""

    journal: int = Field(default=400, ge=1)
    checkpoint: int = Field(default=4000, ge=1)
    keep: int = Field(default=2, ge=1)


class SegmenterRecipe(BaseRecipe):
    """Everything that decides a segmenter; `SegmenterRecipe.load("segnet")` reads a bundled one.

    `images` is the run's length in windows; a resumed run may be made longer or shorter.
    """

    folder: ClassVar[str] = "recipes/segmentation"

    network: NetworkSection = NetworkSection()
    images: int = Field(default=60000, ge=1)
    data: DataSection = DataSection()
    augment: AugmentSection = AugmentSection()
    losses: LossSection = LossSection()
    optimiser: OptimiserSection = OptimiserSection()
    average: AverageSection = AverageSection()
    instances: InstanceSection = InstanceSection()
    every: EverySection = EverySection()
