"""What verbs that read pictures are told of slides: --region, --level, --mpp; and the reading itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from sian.cli.sizes import width_and_height
from sian.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from sian.slides import Picture, Slide
    from sian.slides.levels import Area

FILE = "file"

Region = Annotated[
    str | None,
    typer.Option(metavar="X,Y,W,H", help="Read this part of a slide, in px of its full size."),
]
Level = Annotated[int | None, typer.Option(min=0, help="Read this level of a slide; 0 is the full size.")]
Mpp = Annotated[
    str | None,
    typer.Option(
        metavar="MPP|file",
        help="Micrometres a pixel of the input (of a slide's full size), or 'file' for what the file says. The "
        "input is rescaled to the model's pixel size, and the result back.",
    ),
]


Size = Annotated[
    str | None,
    typer.Option(metavar="WxH", help="Size of a GeoJSON mask in px; if not given, it ends with its last outline."),
]


@dataclass(frozen=True)
class Asked:
    """What was asked of a slide.

    Attributes:
        region: as `parse_region` reads it.
        level: of the pyramid.
        mpp: a number, "file" or None.
    """

    region: str | None = None
    level: int | None = None
    mpp: str | None = None

    @property
    def nothing(self) -> bool:
        """Whether neither a region nor a level was asked for."""
        return self.region is None and self.level is None


def parse_region(text: str | None) -> Area | None:
    """``X,Y,W,H`` as an area.

    Raises:
        BadInput: not four whole numbers, or no pixel.
    """
    from sian.slides.levels import Area

    if text is None:
        return None
    words = text.split(",")
    if len(words) != 4 or not all(word.strip().isdecimal() and len(word) < 10 for word in words):
        raise BadInput(f"--region {text[:60]}: expected X,Y,WIDTH,HEIGHT in whole px, e.g. 20000,8000,2048,2048")
    left, top, width, height = map(int, words)
    if not width or not height:
        raise BadInput(f"--region {text}: expected a width and a height of at least 1 px")
    return Area(top, left, height, width)


def parse_size(text: str | None) -> tuple[int, int] | None:
    """``WIDTHxHEIGHT`` as height and width.

    Raises:
        BadInput: not two whole numbers of px that a slide can have.
    """
    from sian.slides.levels import MAX_SIDE

    if text is None:
        return None
    size = width_and_height(text)
    if size is None or not all(0 < side <= MAX_SIDE for side in size):
        raise BadInput(f"--size {text[:60]}: expected WIDTHxHEIGHT in whole px, up to {MAX_SIDE:,}, e.g. 40000x30000")
    return size[1], size[0]


def mpp_of(asked: str | None, path: Path, said: float | None) -> float | None:
    """What --mpp means for a file that says so much itself; None if nothing was asked for.

    Raises:
        BadInput: 'file' of a file that does not say, or a number that no microscope has.
    """
    from sian.synthesis.magnification import check_mpp

    if asked is None:
        return None
    if asked == FILE:
        if said is None:
            raise BadInput(
                f"{path}: --mpp file, but the file does not say its pixel size, or none that a scan has; give the "
                "number, e.g. 0.25"
            )
        return said
    try:
        return check_mpp(float(asked))
    except ValueError as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"--mpp {asked[:60]}: expected micrometres a pixel, e.g. 0.25, or 'file'") from None


def read_asked(path: Path, asked: Asked, model_mpp: float | None) -> tuple[Picture, float | None]:
    """The region of a slide or picture that was asked for, and the mpp that it is to be rescaled from, if that was.

    With --mpp and without --level a pyramid is read at the coarsest level that is no coarser than the model.

    Raises:
        BadInput: it cannot be read, or is too large to be read at once.

    Warns:
        SianWarning: its pixel size is another than the model's, and nobody asked to rescale it.
    """
    from sian.slides import open_slide

    area = parse_region(asked.region)
    with open_slide(path) as slide:
        level, mpp = level_asked(slide, asked, model_mpp)
        return replace(slide.read(area, level), mpp=mpp), mpp if asked.mpp is not None else None


def level_asked(
    slide: Slide, asked: Asked, model_mpp: float | None, *, quiet: bool = False
) -> tuple[int, float | None]:
    """The level to read, and its micrometres a pixel; see `read_asked`."""
    from sian.synthesis.magnification import say_difference

    given = mpp_of(asked.mpp, slide.path, slide.mpp)
    full = given if given is not None else slide.mpp
    level = asked.level or 0
    if asked.level is None and given is not None and model_mpp is not None:
        level = slide.level_for(model_mpp, given)
    mpp = None if full is None else full * slide.step(level)
    if given is None and not quiet:
        say_difference(str(slide.path), mpp, model_mpp)
    return level, mpp


def place_name(asked: Asked) -> str:
    """A region as a part of a file's name: two regions of a slide don't overwrite one another."""
    parts = [] if asked.region is None else [asked.region.replace(" ", "").replace(",", "-")]
    parts += [] if asked.level is None else [f"level{asked.level}"]
    return "".join(f"_{part}" for part in parts)
