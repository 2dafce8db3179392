"""`sian synthesize --form`: masks of any size into OME-Zarr or OME-TIFF; and what a PNG is too small for."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from sian.cli import console
from sian.errors import BadInput

WHOLE_SIDE, WHOLE_PIXELS = 16_384, 100_000_000  # px of a picture that is painted and written in one piece
OUTLINES = (".geojson", ".geojson.gz")
PNG_HEAD = 24  # bytes, of which the last eight are width and height

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sian.production.slide_painting import SlideForm
    from sian.production.tile_painting import Crew
    from sian.synthesis import Model, Style


def paint_slides(
    paths: Sequence[Path],
    styles: Sequence[Style],
    targets: Sequence[Path],
    *,
    model: Model,
    form: SlideForm,
    seed: int,
    noise: float,
    mpp: str | None,
    shape: tuple[int, int] | None = None,
    between: Mapping[Path, Path] | None = None,
    crew: Crew | None = None,
) -> list[dict[str, Any]]:
    """Paint every mask in every style; `targets` are in that order.

    Raises:
        BadInput: a mask cannot be read, or a target is there already; see `paint_slide`.
    """
    from sian.cli.slide_options import mpp_of
    from sian.data.class_file import classes_of
    from sian.production.slide_painting import paint_slide
    from sian.synthesis.magnification import say_difference

    asked = []
    for path in paths:
        said = mpp_said(path)
        asked.append(mpp_of(mpp, path, said))
        if mpp is None:
            say_difference(str(path), said, model.info.mpp)
    written: list[dict[str, Any]] = []
    for number, path in enumerate(paths):
        classes = classes_of(path) if model.info.classes else None
        for place, vector in enumerate(styles):
            target = targets[number * len(styles) + place]
            with console.progress(f"painting {target.name}", "super-tiles") as report:
                paint_slide(
                    path,
                    vector,
                    target,
                    model=model,
                    form=form,
                    seed=seed + number,
                    noise=noise,
                    mpp=asked[number],
                    classes=classes,
                    shape=shape,
                    tissue=(between or {}).get(path),
                    crew=crew,
                    report=report,
                )
            written.append({"image": target, "mask": path, "style": vector.name, "seed": seed + number})
    return written


def is_outlines(path: Path) -> bool:
    """Whether a mask is GeoJSON: it is parsed whole when it is opened, and says neither its size nor its pixel size."""
    return path.name.lower().endswith(OUTLINES)


def mpp_said(path: Path) -> float | None:
    """Micrometres a pixel that a mask's file says."""
    if path.suffix.lower() == ".png":
        from sian.files.images import png_pixel_size

        return png_pixel_size(path)
    if path.suffix.lower() == ".npy" or is_outlines(path):
        return None
    from sian.slides.mask_source import open_mask  # with all readers of slides, which a PNG does not need

    opened = open_mask(path)
    opened.close()
    return opened.mpp


def check_fits_png(path: Path) -> None:
    """Refuse a mask whose picture is too large for one PNG, and say what takes it.

    Raises:
        BadInput: as said.
    """
    height, width = _shape(path)
    if max(height, width) > WHOLE_SIDE or height * width > WHOLE_PIXELS:
        raise BadInput(
            f"{path}: {height} x {width} px are too many for a PNG (at most {WHOLE_SIDE:,} on a side and "
            f"{WHOLE_PIXELS:,} in all); write --form ome-zarr or --form ome-tiff, which take any size"
        )


def _shape(path: Path) -> tuple[int, int]:
    """Height and width by the file's head; (0, 0) for what is broken, which its reader will say."""
    if is_outlines(path):
        return 0, 0  # known once it is read
    if path.suffix.lower() != ".png":
        from sian.slides.mask_source import mask_shape  # with all readers of slides, which a PNG does not need

        return mask_shape(path)
    try:
        with path.open("rb") as stream:
            width, height = struct.unpack(">II", stream.read(PNG_HEAD)[-8:])
    except (OSError, struct.error):
        return 0, 0
    return height, width
