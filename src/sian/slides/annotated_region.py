"""One annotated region of a slide as what `sian data import` works on: its pixels, and the nuclei that lie in it.

The annotation lies beside the slide under its name and counts px of the slide's full size: QuPath's GeoJSON,
ImageScope's XML, or a mask as large as the slide.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from sian.data import imagescope
from sian.data.formats import geojson
from sian.data.pairs import Annotated, Collection, Pair
from sian.data.sources import annotation_beside
from sian.errors import BadInput
from sian.slides.levels import Area
from sian.slides.mask_source import open_mask
from sian.slides.slide import open_slide, read_picture

OUTLINES = {".geojson": geojson.read, ".geojson.gz": geojson.read, ".xml": imagescope.read, ".xml.gz": imagescope.read}


def annotated_region(path: str | Path, area: Area) -> Collection:
    """A region of a slide and its annotation, not read yet.

    Args:
        path: the slide.
        area: in px of its full size.

    Raises:
        BadInput: no annotation beside it, or several; a region beyond the slide, or of too many px; a mask of another
            size; an annotation of another format.
    """
    path = Path(path)
    with open_slide(path) as slide:
        shape, mpp = slide.shape, slide.mpp
    if area.bottom > shape[0] or area.right > shape[1]:
        raise BadInput(f"{path}: a region of {area}: expected it inside the slide's {shape[0]} x {shape[1]} px")
    annotation = annotation_beside(path)
    name = annotation.name.lower()
    origin = (area.top, area.left)
    reader = next((partial(read, origin=origin) for ending, read in OUTLINES.items() if name.endswith(ending)), None)
    place = f"{area.left}-{area.top}-{area.width}-{area.height}"
    pair = Pair(
        f"{path.stem}_{place}",
        path,
        annotation,
        patient=path.stem,
        mpp=mpp,
        source=path.name,
        read_picture=lambda: read_picture(path, area).pixels,
        read_annotation=reader or partial(_labels, area=area, shape=shape),
        part=place,
    )
    return Collection(path.stem, (pair,))


def _labels(path: Path, height: int, width: int, *, area: Area, shape: tuple[int, int]) -> Annotated:
    """The nuclei of a mask as large as the slide, in a region; see `AnnotationReader`."""
    del height, width  # the area's
    source = open_mask(path)
    try:
        if source.shape != shape:
            raise BadInput(
                f"{path}: found {source.shape[0]} x {source.shape[1]} px, expected {shape[0]} x {shape[1]} as the "
                "slide; check that they belong together"
            )
        return Annotated(source.read(area))
    finally:
        source.close()
