"""Small paintings: a chip for every style, and what else is painted when there is nothing more urgent."""

from __future__ import annotations

import io
from concurrent.futures import Future
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from PIL import Image

from sian.layout import describe
from sian.masks import nucleus_ids
from sian.studio_app.document import check_size
from sian.studio_app.examples import bundled_mask
from sian.synthesis.painting import Noise, paint

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sian.layout import Layout
    from sian.studio_app.live import LivePainter
    from sian.studio_app.studio import Studio
    from sian.synthesis import Style

Result = TypeVar("Result")

SIDE = 96  # px of a thumbnail


def thumbnail(studio: Studio, name: str) -> Future[bytes]:
    """A style's thumbnail as WebP, when there is nothing more urgent to paint."""
    style = studio.shelf.style({name: 1.0})
    return asked(studio.painter, lambda: webp(painting(studio, _sample(tuple(studio.model.info.classes)), style, 0)))


def asked(painter: LivePainter, work: Callable[[], Result]) -> Future[Result]:
    """Have something painted when there is nothing more urgent."""
    future: Future[Result] = Future()

    def chore() -> None:
        try:
            future.set_result(work())
        except painter.dropped:
            raise
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
            future.set_exception(error)

    painter.chore(chore)
    return future


def painting(studio: Studio, layout: Layout, style: Style, seed: int, noise: float = 1.0) -> NDArray[np.uint8]:
    """A layout painted by the studio's model; for the painter's thread."""
    vector = torch.from_numpy(style.vector).to(studio.model.device)
    brush = studio.model.brush(vector[None])
    return paint(studio.model.painter.generator, layout, vector, Noise(seed, noise), brush=brush)


def webp(picture: NDArray[np.uint8]) -> bytes:
    """A picture as WebP, which says that it is synthetic."""
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "Synthetic H&E image; not for diagnosis"  # ImageDescription
    Image.fromarray(picture).save(stream, "WEBP", quality=88, exif=exif)
    return stream.getvalue()


@cache
def _sample(names: tuple[str, ...]) -> Layout:
    """A piece of the bundled mask with about eight nuclei, of all classes in turn."""
    mask = bundled_mask()
    check_size(mask.shape)
    ids = nucleus_ids(mask).tolist() if names else []
    classes = {nucleus: names[place % len(names)] for place, nucleus in enumerate(ids)}
    return describe(mask, classes or None, names).window(80, 80, SIDE, SIDE)
