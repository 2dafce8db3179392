"""What an import works on: images and their annotations, found but not read yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sian.data.dataset import Preparation

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Annotated:
    """An annotation that was read.

    Attributes:
        mask: (H, W) int32, checked.
        classes: class name by id, of the nuclei that have one.
        facts: fields of `Item` that the annotation tells: mpp, overlaps, lost_pixels, dropped_regions.
        vanished: outlines that own no pixel.
        drawn: how many things of each kind were drawn, e.g. {"detection": 12}; None where the annotation is a
            picture of ids.
        left_out: how many things of each kind the annotation holds besides; see `sian.data.leftovers`.
    """

    mask: npt.NDArray[np.int32]
    classes: Mapping[int, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    vanished: int = 0
    drawn: Mapping[str, int] | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)


PictureReader = Callable[[], "npt.NDArray[np.uint8]"]
AnnotationReader = Callable[[Path, int, int], Annotated]  # path, height, width of the picture


@dataclass(frozen=True)
class Pair:
    """One image, its annotation, and what is known of it before either is read.

    Attributes:
        image: the file that holds the picture; of many pictures if `read_picture` is given.
        annotation: the file that holds the annotation, likewise.
        sha256_pixels: what a table says the pixels are.
        read_picture: how, if the picture is not a file of its own.
        read_annotation: how, if the annotation's name does not tell.
        part: which part of the two files it is, if they hold many.
        facts: further fields of `Item`, from a ``provenance.json``.
    """

    id: str
    image: Path
    annotation: Path
    organ: str = "unknown"
    split: str = "train"
    preparation: Preparation = "unknown"
    patient: str | None = None
    mpp: float | None = None
    source: str = ""
    sha256_pixels: str | None = None
    read_picture: PictureReader | None = None
    read_annotation: AnnotationReader | None = None
    part: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Collection:
    """What a source holds."""

    name: str
    pairs: tuple[Pair, ...]
    licence: str = "unknown"
    source: str = ""
    synthetic: bool = False
    classes: tuple[str, ...] = ()
    mpp: float | None = None
