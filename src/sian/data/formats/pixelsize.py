"""Micrometres per pixel from what a file says of its pixels: a number and a unit along x and along y."""

from __future__ import annotations

from typing import Any

from sian.errors import BadInput, warn

# Units as OME-XML and OME-Zarr write them; the first two are the two ways to write micro.
MICROMETRES = {
    **dict.fromkeys(("µm", "μm", "um", "micrometer", "micron"), 1.0),
    **dict.fromkeys(("nm", "nanometer"), 1e-3),
    **dict.fromkeys(("mm", "millimeter"), 1e3),
    **dict.fromkeys(("cm", "centimeter"), 1e4),
    **dict.fromkeys(("m", "meter"), 1e6),
    **dict.fromkeys(("Å", "angstrom"), 1e-4),
}
LEAST, MOST = 0.01, 100  # micrometres; what lies outside says nothing of tissue
SQUARE = 1.05  # of two sides; scanners differ by some per mille


def microns(size: Any, unit: Any) -> float | None:
    """A length in micrometres; None without a known unit or outside of what a scan can have.

    >>> microns("250", "nm"), microns(0.25, "furlong")
    (0.25, None)
    """
    try:
        length = float(size) * MICROMETRES[unit]
    except (TypeError, ValueError, KeyError, OverflowError):
        return None
    return round(length, 9) if LEAST <= length <= MOST else None


def square_pixel(name: str, along_x: float | None, along_y: float | None) -> float | None:
    """Micrometres per pixel, of pixels that are square.

    Raises:
        BadInput: the two sides differ.
    """
    if along_x is not None and along_y is not None and max(along_x, along_y) > SQUARE * min(along_x, along_y):
        raise BadInput(
            f"{name}: found pixels of {along_x:g} x {along_y:g} micrometres, expected square ones; rescale the image "
            "and its mask first"
        )
    return along_x if along_x is not None else along_y


def agreed_size(name: str, picture: float | None, labels: float | None) -> float | None:
    """Micrometres per pixel of a picture and its labels: the picture's, where it says so.

    Warns:
        SianWarning: the labels say something else; they lie on the picture's pixels all the same.
    """
    if picture is not None and labels is not None and max(picture, labels) > SQUARE * min(picture, labels):
        warn(f"{name}: says {labels:g} micrometres a pixel, and its image {picture:g}; the image's are taken")
    return picture if picture is not None else labels
