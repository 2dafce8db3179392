"""`sian restyle` of pictures and slides that have no data set: each gets its painting, its mask and a sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sian.cli import console
from sian.cli.arguments import Keep, check_outputs
from sian.cli.slide_options import Asked, place_name, read_asked
from sian.cli.slide_segmentation import is_whole, predict_whole, seen_picture
from sian.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sian.segmentation import Segmenter
    from sian.synthesis import Model

SHEET_PIXELS = 640  # longest side of a picture on the side-by-side sheet
WHOLE = ".ome.zarr"


def restyle_pictures(
    paths: Sequence[Path],
    style: str,
    output: Path,
    *,
    model: Model,
    mask: Path | None,
    segmenter: Path | None,
    asked: Asked,
    seed: int,
    noise: float,
    keep: Keep | None,
) -> list[dict[str, Any]]:
    """Repaint pictures and slides; picture i gets the noise of seed + i.

    Returns:
        What was written, an entry a picture.

    Raises:
        BadInput: a picture cannot be read or repainted; several pictures and one mask.
    """
    from sian.production.restyle import what_is_kept
    from sian.segmentation import load as load_segmenter

    keep = what_is_kept(keep, model)
    if mask is not None and len(paths) > 1:
        raise BadInput(f"{mask}: is one mask for {len(paths)} pictures; repaint its picture alone")
    found = None if mask is not None else load_segmenter(segmenter).to(str(model.device))
    whole = [mask is None and is_whole(path, asked, model.info.mpp or 1.0) for path in paths]
    for path in (path for path, large in zip(paths, whole, strict=True) if large):
        _check_slide(path, style, model, keep)  # before the minutes of segmenting it
    targets = [target_of(path, style, output, asked, large) for path, large in zip(paths, whole, strict=True)]
    check_outputs(
        [file for target in targets for file in _beside(target)], [*paths, *([mask] if mask else []), Path(style)]
    )
    written = []
    with console.progress("repainting") as report:
        for number, (path, target) in enumerate(zip(paths, targets, strict=True)):
            if whole[number]:
                written.append(_slide(path, style, target, model, found, asked, seed + number, noise, keep))
            else:
                written.append(_picture(path, style, target, model, mask, found, asked, seed + number, noise, keep))
            if len(paths) > 1:
                report(number + 1, len(paths))
    return written


def _check_slide(path: Path, style: str, model: Model, keep: Keep) -> None:
    """Refuse what a whole slide cannot be repainted with."""
    from sian.synthesis.model_classes import without_classes
    from sian.synthesis.model_tissue import without_tissue

    if style == "own":
        raise BadInput(f"{path}: a whole slide is repainted in a named style; give its file of `sian style {path}`")
    if keep == "tissue" and not model.takes_tissue:
        raise BadInput(f"--keep tissue: {without_tissue(model.info.name)}")
    if model.info.classes:
        raise BadInput(f"{path}: {without_classes(model.info.classes)}")


def target_of(path: Path, style: str, output: Path, asked: Asked, whole: bool) -> Path:
    """Where a picture's painting goes."""
    from sian.cli.verb_synthesize import file_name

    name = Path(style).stem if Path(style).is_file() else style
    return output / f"{path.stem}{place_name(asked)}_{file_name(name)}{WHOLE if whole else '.png'}"


def _beside(target: Path) -> list[Path]:
    """A painting and what is written with it."""
    return [target, target.with_name(f"{target.stem}_mask.png"), target.with_name(f"{target.stem}_sheet.png")]


def _slide(
    path: Path,
    style: str,
    target: Path,
    model: Model,
    segmenter: Segmenter | None,
    asked: Asked,
    seed: int,
    noise: float,
    keep: Keep,
) -> dict[str, Any]:
    """Segment a slide and paint its nuclei, both tile by tile."""
    from sian.production.slide_painting import paint_slide
    from sian.segmentation.slide_segmenting import LABELS

    assert segmenter is not None  # noqa: S101 - a slide has no mask here
    nuclei = target.with_name(f"{path.stem}{place_name(asked)}_nuclei")
    entry = predict_whole(path, nuclei, segmenter, asked)
    tissue = seen_picture(path, asked, segmenter) if keep == "tissue" else None
    with console.progress(f"painting {target.name}", "super-tiles") as report:
        paint_slide(nuclei / LABELS, style, target, model=model, seed=seed, noise=noise, tissue=tissue, report=report)
    return {"image": target, "mask": nuclei / LABELS, "source": path, "style": style, "seed": seed} | {
        key: entry[key] for key in ("nuclei", "mpp")
    }


def _picture(
    path: Path,
    style: str,
    target: Path,
    model: Model,
    mask: Path | None,
    segmenter: Segmenter | None,
    asked: Asked,
    seed: int,
    noise: float,
    keep: Keep,
) -> dict[str, Any]:
    from sian.data.class_file import classes_of
    from sian.files import write_png
    from sian.masks import nucleus_ids, read_mask, write_mask
    from sian.production.restyle import restyle as repaint
    from sian.production.restyle import restyled_text
    from sian.synthesis.sheet import contact_sheet, mask_picture, reduced

    picture, mpp = read_asked(path, asked, model.info.mpp)
    try:
        made = repaint(
            picture.pixels,
            style,
            model=model,
            mask=None if mask is None else read_mask(mask),
            segment=None if segmenter is None else segmenter.predict,
            mpp=mpp,
            seed=seed,
            noise=noise,
            classes=classes_of(mask) if mask is not None and model.info.classes else None,
            keep=keep,
        )
    except BadInput as error:
        raise BadInput(f"{mask or path}: {error}") from None
    text = restyled_text(model, made, seed, path.name)
    row = [reduced(part, SHEET_PIXELS) for part in (picture.pixels, mask_picture(made.mask), made.image)]
    _, mask_file, sheet_file = _beside(target)
    write_png(target, made.image, text, picture.mpp)
    mask_file = write_mask(mask_file, made.mask, mpp=picture.mpp)
    write_png(sheet_file, contact_sheet([row], ["source", "mask", made.style.name]), text)
    nuclei = len(nucleus_ids(made.mask))
    console.say(f"{path.name}: {nuclei} nuclei {'of the mask' if mask else 'found by the segmenter'}")
    if made.scaling:
        console.say(made.scaling)
    return {
        "image": target,
        "mask": mask_file,
        "sheet": sheet_file,
        "source": path,
        "style": made.style.name,
        "seed": seed,
        "nuclei": nuclei,
        "mpp": picture.mpp,
    }
