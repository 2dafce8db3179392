"""What a page may say: every gesture and setting, checked before anything is done with it."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from sian.errors import BadInput
from sian.studio_app.tissue_brush import What

MOST_POINTS = 20_000
MOST_BYTES = 4 << 20  # of a message

Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
Points = Annotated[list[tuple[Number, Number]], Field(min_length=1, max_length=MOST_POINTS)]
Nucleus = Annotated[int, Field(ge=1, le=2**31 - 1)]
Radius = Annotated[float, Field(gt=0, le=200)]
Name = Annotated[str, Field(min_length=1, max_length=100)]
Kind = Annotated[str, Field(max_length=100)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    n: Annotated[int, Field(ge=0)] = 0  # the page's number of this message; 0 is not remembered


class Draw(_Message):
    """A new nucleus: a brush's way, or with a radius of 0 an outline. With `into`, more of an old one.

    `kind` is the class of a new one; "" for none.
    """

    op: Literal["draw"]
    points: Points
    radius: Annotated[float, Field(ge=0, le=200)]
    into: Nucleus | None = None
    kind: Kind = ""


class Erase(_Message):
    """Pixels under a brush, or with a radius of 0 within an outline, become background."""

    op: Literal["erase"]
    points: Points
    radius: Annotated[float, Field(ge=0, le=200)]


class Delete(_Message):
    """Nuclei go: those named, or all that an outline touches."""

    op: Literal["delete"]
    ids: Annotated[list[Nucleus], Field(max_length=100_000)] = Field(default_factory=list)
    points: Points | None = None


class Merge(_Message):
    """The nuclei under a way become one."""

    op: Literal["merge"]
    points: Points


class Split(_Message):
    """A cut."""

    op: Literal["split"]
    points: Points


class Transform(_Message):
    """A nucleus is moved, turned and scaled."""

    op: Literal["transform"]
    nucleus: Nucleus
    dy: Number = 0.0
    dx: Number = 0.0
    angle: Number = 0.0
    scale: Annotated[float, Field(ge=0.2, le=5)] = 1.0


class Fill(_Message):
    """An area is filled with invented nuclei."""

    op: Literal["fill"]
    points: Points
    organ: Name
    density: Annotated[float, Field(gt=0, le=4)] = 1.0
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
    kind: Kind = ""


class Classify(_Message):
    """Nuclei get a class, or with "" none: those named, or all that an outline touches."""

    op: Literal["classify"]
    ids: Annotated[list[Nucleus], Field(max_length=100_000)] = Field(default_factory=list)
    points: Points | None = None
    kind: Kind


class Tissue(_Message):
    """A brush says what lies between the nuclei; with "forget" nothing is said of any place."""

    op: Literal["tissue"]
    what: What
    points: Annotated[list[tuple[Number, Number]], Field(max_length=MOST_POINTS)] = Field(default_factory=list)
    radius: Radius = 24.0
    density: Annotated[float, Field(ge=-1, le=1)] = 0.5


class Try(_Message):
    """What a stroke would be if it ended here; without one, nothing any more."""

    op: Literal["try"]
    gesture: Draw | Erase | None = None


class Undo(_Message):
    """The last step back."""

    op: Literal["undo"]


class Redo(_Message):
    """The step again that was undone last."""

    op: Literal["redo"]


class New(_Message):
    """An empty drawing."""

    op: Literal["new"]
    width: Annotated[int, Field(ge=32, le=8192)]
    height: Annotated[int, Field(ge=32, le=8192)]


class Example(_Message):
    """One of the package's drawings."""

    op: Literal["example"]
    name: Name


class Settings(_Message):
    """Style, seed and noise; what is left out stays."""

    op: Literal["settings"]
    style: Annotated[dict[Name, Annotated[float, Field(gt=0, le=1)]], Field(min_length=1, max_length=8)] | None = None
    seed: Annotated[int, Field(ge=0, le=2**31)] | None = None
    noise: Annotated[float, Field(ge=0, le=2)] | None = None


class Tile(_Message):
    """The tile of the data set so many places on."""

    op: Literal["tile"]
    step: Annotated[int, Field(ge=-1_000_000, le=1_000_000)]


class Do(_Message):
    """Something by its name: the mask back into the data set, a comparison, a training, an end to what is done."""

    op: Literal["do"]
    what: Literal["keep tile", "compare", "finetune", "adapt", "cancel"]


class Pen(_Message):
    """Somebody begins to draw, or stops."""

    op: Literal["pen"]
    down: bool


class Outlines(_Message):
    """Invented outlines of an organ are wanted, to be stamped."""

    op: Literal["outlines"]
    organ: Name
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0


Gesture: TypeAlias = Draw | Erase | Delete | Merge | Split | Transform | Fill | Classify | Tissue
Message: TypeAlias = Gesture | Undo | Redo | New | Example | Settings | Tile | Do | Try | Pen | Outlines

_ADAPTER: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="op")])


def parse(text: str | bytes) -> Message:
    """A message.

    Raises:
        BadInput: too long, not JSON, or not one of those above.
    """
    if len(text) > MOST_BYTES:
        raise BadInput(f"found a message of {len(text):,} bytes, expected at most {MOST_BYTES:,}; draw it in parts")
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:80]
        raise BadInput(f"the page said what is not understood ({where}: {first['msg']}); reload the page") from None
