"""`sian style`: fit a style to a reference image, and keep it in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sian.cli import console
from sian.cli.arguments import (
    Device,
    ModelFile,
    PictureSegmenter,
    Threads,
    check_outputs,
    check_there,
    use_threads,
)
from sian.cli.slide_options import Asked, Level, Mpp, Region, read_asked
from sian.errors import BadInput

if TYPE_CHECKING:
    from sian.slides import Picture

WORTH = 0.005  # of the distance in stain; on 21 slides that no model has seen, fits gained 0.03 to 0.1


def style(
    reference: Annotated[Path, typer.Argument(help="A picture of the slide, at least 128 x 128 px; or the slide.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="REFERENCE-fitted.json here if not given.")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="The picture's instance mask; else it is segmented.")] = None,
    segmenter: PictureSegmenter = None,
    model: ModelFile = None,
    region: Region = None,
    level: Level = None,
    mpp: Mpp = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Fit a style to a reference image whose stain the model has not seen.

    It takes seconds. `--style reference.png` encodes a picture, which is quick and follows stains that were learned
    from. This paints the picture's own nuclei until their stain is right, and writes a file for --style of synthesize
    and restyle, and for plans. Of a slide without --region it takes four windows that lie on tissue.
    """
    if mask is not None and segmenter is not None:
        raise BadInput(f"{mask}: a mask was given, which leaves nothing for --segmenter to do; leave one of them out")
    check_there("file", reference, mask)
    check_there("file", segmenter, bundled=True)
    check_there("file", model, bundled=True)
    use_threads(threads)

    from hashlib import sha256

    from sian.data.class_file import classes_of
    from sian.files import sha256_file
    from sian.masks import read_mask
    from sian.production.fit_style import fit_style
    from sian.segmentation import load as load_segmenter
    from sian.synthesis import load
    from sian.synthesis.stylefile import SUFFIX, StyleFile, write_style

    target = output or Path(f"{reference.stem}-fitted{SUFFIX}")
    if target.suffix.lower() != SUFFIX:
        raise BadInput(f"{target}: expected the name of a {SUFFIX} file, by which styles are told from organs")
    check_outputs([target], [reference, *([mask] if mask else [])])
    painter = load(model, device)
    picture, asked_mpp = _reference(reference, Asked(region, level, mpp), painter.info.mpp, whole=mask is not None)
    given = read_mask(mask) if mask is not None else None
    segment = load_segmenter(segmenter).to(str(painter.device)).predict if given is None else None
    classes = classes_of(mask) if mask is not None and painter.info.classes else None
    try:
        with console.progress("fitting", "steps") as report:
            fitted = fit_style(
                picture.pixels,
                model=painter,
                mask=given,
                segment=segment,
                mpp=asked_mpp,
                classes=classes,
                name=target.stem,
                report=report,
            )
    except BadInput as error:
        raise BadInput(f"{mask or reference}: {error}") from None
    content = StyleFile(
        model=painter.sha256,
        vector=fitted.style.vector.tolist(),
        reference=sha256_file(reference) if reference.is_file() else sha256(picture.pixels.tobytes()).hexdigest(),
        before=fitted.before,
        after=fitted.after,
    )
    write_style(target, content)
    better = f"distance in stain {fitted.before:.3f} as encoded, {fitted.after:.3f} as fitted"
    if fitted.before - fitted.after < WORTH:
        better += "; encoding the picture (--style PICTURE) does as well"
    console.say(better)
    console.out(str(target))


def _reference(path: Path, asked: Asked, model_mpp: float | None, *, whole: bool) -> tuple[Picture, float | None]:
    """The picture, the region that was asked for, or four windows of a slide's tissue."""
    from sian.cli.slide_options import level_asked
    from sian.slides import Picture, open_slide
    from sian.slides.levels import Area
    from sian.slides.tissue import SIDE, is_sampled, tissue_sample

    with open_slide(path) as slide:
        if whole or asked.region is not None or not is_sampled(slide):
            return read_asked(path, asked, model_mpp)
        level, mpp = level_asked(slide, asked, model_mpp)
        side = SIDE if asked.mpp is None or mpp is None else round(SIDE * (model_mpp or mpp) / mpp)
        pixels = tissue_sample(slide, level, side)
        return Picture(pixels, mpp, Area(0, 0, *slide.shape)), mpp if asked.mpp is not None else None
