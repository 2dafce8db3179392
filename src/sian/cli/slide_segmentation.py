"""`sian segment predict` of whole slides: which pictures are slides, and what is said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sian.cli import console
from sian.cli.slide_options import Asked, level_asked, read_asked

if TYPE_CHECKING:
    from pathlib import Path

    from sian.segmentation import Segmenter
    from sian.slides.between_nuclei import OnPicture

LARGEST_PICTURE = 4096 * 4096  # px that are segmented in one piece and written as a PNG


def is_whole(path: Path, asked: Asked, model_mpp: float) -> bool:
    """Whether a picture is segmented tile by tile: no region was asked for, and it is larger than 4096 x 4096 px."""
    if asked.region is not None:
        return False
    from sian.slides import open_slide

    with open_slide(path) as slide:
        level, mpp = level_asked(slide, asked, model_mpp, quiet=True)
        factor = 1.0 if asked.mpp is None or mpp is None else mpp / model_mpp
        height, width = slide.sizes[level]
    return height * width * factor**2 > LARGEST_PICTURE


def predict_picture(path: Path, target: Path, segmenter: Segmenter, asked: Asked, *, geojson: bool) -> dict[str, Any]:
    """Segment a picture or a region in one piece; the entry of what was written.

    Args:
        path: of the picture or slide.
        target: the mask's PNG.
        segmenter: finds the nuclei.
        asked: region, level and pixel size.
        geojson: whether to write outlines for QuPath beside the mask.
    """
    from sian.masks import nucleus_ids, write_mask
    from sian.segmentation.magnified import predict_at
    from sian.segmentation.slide_tables import write_outlines

    picture, given = read_asked(path, asked, segmenter.mpp)
    mask = predict_at(segmenter, picture.pixels, given, name=str(path))
    placed = write_mask(target, mask, mpp=picture.mpp)
    written = {"mask": placed, "image": path, "nuclei": len(nucleus_ids(mask)), "mpp": picture.mpp}
    if geojson:
        outlines, size = target.with_suffix(".geojson"), (mask.shape[0], mask.shape[1])
        write_outlines(outlines, mask, path.name, area=picture.area, size=size, mpp=picture.mpp)
        written["geojson"] = outlines
    return written


def seen_picture(path: Path, asked: Asked, segmenter: Segmenter) -> OnPicture:
    """A slide as `predict_whole` sees it, of the size of its labels."""
    from sian.slides import open_slide
    from sian.slides.between_nuclei import OnPicture
    from sian.synthesis.magnification import scaling

    with open_slide(path) as slide:
        level, mpp = level_asked(slide, asked, segmenter.mpp, quiet=True)
    if asked.mpp is None or mpp is None:
        return OnPicture(path, level)
    return OnPicture(path, level, scaling(mpp, segmenter.mpp).factor)


def predict_whole(path: Path, target: Path, segmenter: Segmenter, asked: Asked) -> dict[str, Any]:
    """Segment a slide into a folder, see `segment_slide`; the entry of what was written."""
    from dataclasses import asdict

    from sian.segmentation.slide_segmenting import segment_slide
    from sian.slides import open_slide

    with open_slide(path) as slide:
        level, mpp = level_asked(slide, asked, segmenter.mpp)
    with console.progress(f"segmenting {path.name}", "windows and tiles") as report:
        result = segment_slide(
            path,
            target,
            segmenter=segmenter,
            level=level,
            mpp=mpp if asked.mpp is not None else None,
            report=report,
        )
    density = "" if result.nuclei_per_mm2 is None else f", {result.nuclei_per_mm2:.0f} per mm2 of tissue"
    console.say(f"{target}: {result.nuclei} nuclei{density}")
    return {"slide": target, "image": path, **asdict(result)}
