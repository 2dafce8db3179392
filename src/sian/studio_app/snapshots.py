"""The drawing at one moment: what is saved must belong together while one goes on drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sian.errors import SianError, of_system

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from sian.studio_app.below import Below
    from sian.studio_app.document import Box, Mask
    from sian.studio_app.live import Wanted


@dataclass(frozen=True)
class Drawn:
    """A drawing.

    Attributes:
        mask: (H, W) int32, a copy.
        stem: the drawing's name as the beginning of a file's.
        below: the real picture that it lies on.
        classes: names by id, of nuclei whose class is known.
        tissue: (h, w, 4) float32, what lies between the nuclei, as `sian.describe` takes it; None where nothing is
            said, or the model takes none.
    """

    mask: Mask
    stem: str
    below: Below | None
    classes: dict[int, str]
    tissue: NDArray[np.float32] | None


@dataclass(frozen=True)
class Still:
    """A drawing with its settled picture.

    Attributes:
        drawn: the drawing.
        picture: (H, W, 3) uint8, a copy.
        wanted: style, seed and noise that it was painted with.
    """

    drawn: Drawn
    picture: NDArray[np.uint8]
    wanted: Wanted


def middle_of(shape: tuple[int, ...], side: int) -> Box:
    """Top, left, bottom, right of the middle of a picture, at most `side` px a side.

    >>> middle_of((100, 300, 3), 256)
    (0, 22, 100, 278)
    """
    height, width = shape[:2]
    top, left = max(0, height - side) // 2, max(0, width - side) // 2
    return top, left, top + min(height, side), left + min(width, side)


def free_folder(folder: Path, name: str) -> Path:
    """The first of NAME-1, NAME-2 and so on in a folder that is not there yet."""
    number = 1
    while (folder / f"{name}-{number}").exists():
        number += 1
    return folder / f"{name}-{number}"


def in_words(error: Exception) -> str:
    """A sentence for the page of anything that went wrong.

    >>> in_words(KeyError("x"))
    "a bug in SIAN: KeyError: 'x'"
    """
    if isinstance(error, OSError):
        error = of_system(error)
    return str(error) if isinstance(error, SianError) else f"a bug in SIAN: {type(error).__name__}: {error}"
