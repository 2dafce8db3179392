"""Plans of data sets: everything that decides each image, frozen and typed, one YAML file a data set.

`Plan.load("seven-organs")` reads the bundled example, a path any other. What a plan names (model, masks, reference
images) is found and hashed by `sian.production.schedule`. Unknown keys are refused with the nearest name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from sian.errors import shown
from sian.synthesis.brushes import Backend
from sian.training.baserecipe import BaseRecipe, Section

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Side = Annotated[int, Field(ge=32, le=16_384)]  # px
Device = Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:[0-9]{1,3})?)$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,79}$")]  # no dot: shards split names at the first

MOST_IMAGES = 10_000_000  # a larger data set is several plans with seeds of their own
MOST_STYLES = 10_000

NUCLEI = "nuclei"
BUNDLED = "bundled"
JUDGE = "judge"  # of segmenters, the one that our tables are measured with


class ModelSection(Section):
    """Which model paints: `file` is "bundled" or a path; another SHA-256 than `sha256` is refused."""

    file: str = BUNDLED
    sha256: Sha256 | None = None


class MaskSection(Section):
    """Where masks come from.

    `source`: "nuclei" (invented by `sian.nuclei`), a folder of masks, or a data set. `size`: px, one side or (height,
    width); of stored masks a window of that size is cut out at a random place, the whole mask without it. `fit`: a
    fit.json for invented nuclei, the bundled one without it. `glands`: the share of invented masks that are arranged
    around gland-like lumina. `split`: of a data set. `keep`: "tissue" also keeps what lies between the nuclei of a data
    set's own images, coarsely, for a model that takes tissue maps. `sha256`: of all masks of a folder or data set (and
    of the images whose tissue is kept), or of the fit.
    """

    source: str = NUCLEI
    size: Side | tuple[Side, Side] | None = None
    fit: str | None = None
    glands: float = Field(default=0.0, ge=0.0, le=1.0)
    split: str | None = None
    keep: Literal["nuclei", "tissue"] = "nuclei"
    sha256: Sha256 | None = None


class StyleSection(Section):
    """A style and how many images it gets; may be given as its name alone.

    `style`: whatever `model.style` takes by name: "kidney", "colon/frozen", "kidney#3", "kidney=0.7+breast=0.3", a
    picture's path or a style's file. `to`: a second style; the images go from the first to it in equal steps. `draw`:
    each image draws a style of its own around the organ's. `images`: exactly so many; or `share` of what is left, by
    weight. `masks`: the organ whose masks are taken; by default the style's own. `organ`: what items are said to be; by
    default the style's, "mixed" or "unknown". `sha256`: of the files that `style` and `to` name, in this order.
    """

    style: str
    to: str | None = None
    draw: bool = False
    images: int | None = Field(default=None, ge=1)
    share: float = Field(default=1.0, ge=1e-9, le=1e9)
    masks: str | None = None
    organ: str | None = None
    sha256: tuple[Sha256, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"style": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _drawable(self) -> Self:
        if self.draw and (self.to or "#" in self.style or "=" in self.style or "." in self.style):
            raise ValueError(
                f"draw needs an organ's name alone, found {shown(self.style)}{' with to' if self.to else ''}"
            )
        return self


class GateSection(Section):
    """The quality gate: every image is segmented again and its style encoded, and both are compared.

    `segmenter`: "judge", "bundled" or a file. `metric` of the segmentation against the mask must be `at_least`; the
    distance between the style encoded and the style asked for `style_distance` at most (in deviations of windows
    within a tile). Scores are recorded even without a limit. `attempts`: so often is an image painted with another mask
    and seed until it passes; what never passes is left out and listed.
    """

    segmenter: str = JUDGE
    sha256: Sha256 | None = None
    metric: Literal["aji", "pq", "dice", "f1"] = "aji"
    at_least: float = Field(default=0.0, ge=0.0, le=1.0)
    style_distance: float | None = Field(default=None, gt=0)
    attempts: int = Field(default=1, ge=1, le=100)


class Plan(BaseRecipe):
    """Everything that decides a data set: image i is a function of the plan, the model and i."""

    folder: ClassVar[str] = "recipes/plans"
    kind: ClassVar[str] = "plan"

    name: Name
    images: int = Field(ge=1, le=MOST_IMAGES)
    styles: tuple[StyleSection, ...] = Field(min_length=1, max_length=MOST_STYLES)
    model: ModelSection = ModelSection()
    masks: MaskSection = MaskSection()
    noise: float = Field(default=1.0, ge=0.0, le=2.0)
    gate: GateSection | None = None
    form: Literal["tar", "folders"] = "tar"
    shard: int = Field(default=100, ge=1, le=100_000)
    split: str = Field(default="train", pattern=r"^[a-z0-9_-]{1,80}$")
    mpp: float | None = Field(default=None, ge=0.001, le=100)
    device: Device = "cpu"
    backend: Backend = "torch"

    _base: Path = PrivateAttr(default_factory=Path)

    @model_validator(mode="after")
    def _counts(self) -> Self:
        exact = sum(style.images or 0 for style in self.styles)
        open_ended = any(style.images is None for style in self.styles)
        if exact > self.images or (exact < self.images and not open_ended):
            raise ValueError(f"the styles' images sum up to {exact}, expected {self.images}")
        if self.masks.source == NUCLEI and self.masks.size is None:
            raise ValueError("invented masks need a size; add e.g. masks: {size: 256}")
        return self

    @classmethod
    def load(cls, source: str | Path, changes: Any = None) -> Self:
        """A plan by bundled name or by path; paths in it are relative to its folder. See `BaseRecipe.load`."""
        plan = super().load(source, changes)
        path = Path(source)
        if path.suffix in (".yaml", ".yml"):
            plan._base = path.absolute().parent
        return plan

    def path(self, name: str) -> Path:
        """Where a file lies that the plan names."""
        return self._base / name
