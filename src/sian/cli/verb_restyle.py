"""`sian restyle`: an image or a data set painted again in another style, its nuclei where they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sian.cli import console
from sian.cli.arguments import (
    BackendName,
    Device,
    Keep,
    ModelFile,
    Noise,
    PictureSegmenter,
    Threads,
    check_outputs,
    check_there,
    use_threads,
)
from sian.cli.slide_options import Asked, Level, Mpp, Region, mpp_of, place_name, read_asked
from sian.cli.style_completion import complete_style
from sian.errors import BadInput

if TYPE_CHECKING:
    from sian.synthesis import Model

SHEET_PIXELS = 640  # longest side of a picture on the side-by-side sheet


def restyle(
    source: Annotated[Path, typer.Argument(help="An image, a slide, or a data set on disk.")],
    style: Annotated[
        str,
        typer.Option(
            help="As of `sian synthesize`: kidney, colon/frozen, image.png, image.json, ...; 'own': the image's own.",
            autocompletion=complete_style,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the pictures; of a data set, the data set to make.")
    ] = Path("restyled"),
    mask: Annotated[Path | None, typer.Option(help="The image's instance mask; else its nuclei are segmented.")] = None,
    segmenter: PictureSegmenter = None,
    model: ModelFile = None,
    region: Region = None,
    level: Level = None,
    mpp: Mpp = None,
    keep: Annotated[
        Keep, typer.Option(help="Beside the nuclei, keep 'tissue': lumina, density, fibres; needs such a model.")
    ] = "nuclei",
    split: Annotated[str | None, typer.Option(help="Of a data set: this split only.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the texture; item i of a data set gets seed + i.")] = 0,
    noise: Noise = 1.0,
    device: Device = "cpu",
    backend: BackendName = "torch",
    threads: Threads = None,
) -> None:
    """Repaint an image, or a whole data set, in another style.

    Nuclei, size and magnification stay. Of an image: NAME_STYLE.png, the mask that was painted, and a sheet with
    source, mask and result side by side. Of a data set: a data set with the same ids, masks and classes. What the mask
    does not name is not kept, or with --keep tissue coarsely.
    """
    from sian.files.images import ZARR_SUFFIXES

    asked = Asked(region, level, mpp)
    a_dataset = source.is_dir() and source.suffix.lower() not in ZARR_SUFFIXES
    if a_dataset and (mask is not None or segmenter is not None):
        raise BadInput(f"{source}: is a data set, which has masks of its own; leave --mask and --segmenter out")
    if a_dataset and not asked.nothing:
        raise BadInput(f"{source}: is a data set, expected a slide for --region and --level; leave them out")
    if not a_dataset and split is not None:
        raise BadInput(f"{source}: is no data set, expected one for --split {split}; leave --split out")
    check_there("file", source, mask, segmenter)
    check_there("file", model, bundled=True)
    use_threads(threads)

    from sian.synthesis import load
    from sian.synthesis.brushes import check_backend

    painter = load(model, device, check_backend(backend, device))
    if a_dataset:
        _dataset(source, style, output, painter, mpp_of(mpp, source, _dataset_mpp(source)), split, seed, noise, keep)
        return
    _image(source, style, output, painter, mask, segmenter, asked, seed, noise, keep)


def _dataset_mpp(source: Path) -> float | None:
    from sian.data import open_dataset

    return open_dataset(source).info.mpp


def _dataset(
    source: Path,
    style: str,
    output: Path,
    model: Model,
    mpp: float | None,
    split: str | None,
    seed: int,
    noise: float,
    keep: Keep,
) -> None:
    from sian.data import open_dataset
    from sian.production.restyle import restyle_dataset

    data = open_dataset(source)
    data = data.split(split) if split else data
    with console.progress("repainting") as report:
        painted = restyle_dataset(
            data, style, output, model=model, mpp=mpp, seed=seed, noise=noise, keep=keep, report=report
        )
    if mpp is not None:
        from sian.synthesis.magnification import scaling

        console.say(str(scaling(mpp, model.info.mpp)))
    console.out(
        f"{output}: {len(data)} items in the style {style}, {painted} painted now (synthetic; not for diagnosis)"
    )


def _image(
    source: Path,
    style: str,
    output: Path,
    model: Model,
    mask: Path | None,
    segmenter: Path | None,
    asked: Asked,
    seed: int,
    noise: float,
    keep: Keep,
) -> None:
    from sian.cli.verb_synthesize import file_name
    from sian.data.class_file import classes_of
    from sian.files import write_png
    from sian.masks import read_mask, write_mask
    from sian.production.restyle import restyle as repaint
    from sian.production.restyle import restyled_text
    from sian.segmentation import load as load_segmenter
    from sian.synthesis.sheet import contact_sheet, mask_picture, reduced

    picture, mpp = read_asked(source, asked, model.info.mpp)
    image, known = picture.pixels, picture.mpp
    given = read_mask(mask) if mask is not None else None
    name = Path(style).stem if Path(style).is_file() else style
    target = output / f"{source.stem}{place_name(asked)}_{file_name(name)}.png"
    targets = [target, target.with_name(f"{target.stem}_mask.png"), target.with_name(f"{target.stem}_sheet.png")]
    check_outputs(targets, [source, *([mask] if mask else []), Path(style)])
    segment = load_segmenter(segmenter).to(str(model.device)).predict if given is None else None
    classes = classes_of(mask) if mask is not None and model.info.classes else None
    try:
        made = repaint(
            image,
            style,
            model=model,
            mask=given,
            segment=segment,
            mpp=mpp,
            seed=seed,
            noise=noise,
            classes=classes,
            keep=keep,
        )
    except BadInput as error:
        raise BadInput(f"{mask or source}: {error}") from None
    text = restyled_text(model, made, seed, source.name)
    row = [reduced(picture, SHEET_PIXELS) for picture in (image, mask_picture(made.mask), made.image)]
    write_png(target, made.image, text, known)
    write_mask(targets[1], made.mask)
    write_png(targets[2], contact_sheet([row], ["source", "mask", made.style.name]), text)
    nuclei = len(set(made.mask.ravel().tolist()) - {0})
    console.say(f"{nuclei} nuclei {'of the mask' if mask else 'found by the segmenter'}")
    if made.scaling:
        console.say(made.scaling)
    console.out(f"{target} (synthetic; not for diagnosis), beside it its mask and a sheet")
