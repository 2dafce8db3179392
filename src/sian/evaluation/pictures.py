"""Pictures of a report: outlines on images, masks in colours, thumbnails as data URIs. No file is touched."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sian.evaluation.arrays import Image, Mask

TRUE_COLOUR = (30, 160, 30)  # green: what the mask says
SEEN_COLOUR = (250, 200, 0)  # yellow: what the segmenter saw
JPEG_QUALITY = 88


def outlined(image: Image, mask: Mask, colour: tuple[int, int, int] = TRUE_COLOUR) -> Image:
    """The image with the inner outline of every nucleus drawn on it."""
    drawn = image.copy()
    drawn[_outline(mask)] = colour
    return drawn


def coloured(mask: Mask) -> Image:
    """A mask as an (H, W, 3) picture: each nucleus in a colour of its own on black, neighbours unlike."""
    ids = np.asarray(mask, np.uint64)
    mixed = (ids * np.uint64(2654435761)) & np.uint64(0xFFFFFFFF)  # Knuth's multiplicative hash
    channels = [(mixed >> np.uint64(shift)).astype(np.uint8) // 2 + 110 for shift in (8, 16, 24)]
    picture = np.stack(channels, axis=-1).astype(np.uint8)
    picture[ids == 0] = 0
    return picture


def data_uri(image: Image, side: int = 256) -> str:
    """The image as a JPEG data URI, made smaller if it is larger than `side`."""
    from PIL import Image as Pillow

    picture = Pillow.fromarray(image)
    picture.thumbnail((side, side), Pillow.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def _outline(mask: Mask) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Nuclear pixels with a neighbour (above, below, left, right) of another id."""
    edge = np.zeros(mask.shape, bool)
    down, right = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    outline: np.ndarray[tuple[int, int], np.dtype[np.bool_]] = edge & (mask > 0)
    return outline
