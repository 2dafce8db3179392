"""Test-time augmentation: what a network says of the eight flips and quarter turns of an image, averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from sian.layout import turn_image
from sian.segmentation.instances import softmax

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Maps = NDArray[np.float32]  # (3, H, W)

VIEWS = tuple((turns, flip) for flip in (False, True) for turns in range(4))
LEAST = 1e-6  # probability; keeps logarithms finite


def averaged(kind: str, maps: Callable[[NDArray[np.uint8]], Maps], image: NDArray[np.uint8]) -> Maps:
    """A network's output, averaged over the views of an image as probabilities.

    Args:
        kind: of the network, "segnet" or "unet".
        maps: what the network says of an image of any size, (3, H, W), see `deciding_maps`.
        image: (H, W, 3) uint8.

    Returns:
        (3, H, W) float32, as of one view.
    """
    total: Maps | None = None
    for view in _views(kind, maps, image):
        total = view if total is None else total + view
    assert total is not None  # noqa: S101 - there are eight
    return _logits(kind, total / np.float32(len(VIEWS)))


def _views(kind: str, maps: Callable[[NDArray[np.uint8]], Maps], image: NDArray[np.uint8]) -> Iterator[Maps]:
    for turns, flip in VIEWS:
        likely = _likely(kind, maps(turn_image(image, turns, flip)))
        back = turns if flip else -turns  # a mirror image that was turned is its own way back
        yield np.stack([turn_image(channel, back, flip) for channel in likely])


def _likely(kind: str, output: Maps) -> Maps:
    """Probabilities of SegNet's three classes, or of M; the U-Net's other maps as they are."""
    if kind == "unet":
        joined: Maps = np.concatenate([expit(output[:1]), output[1:]])
        return joined
    return softmax(output)


def _logits(kind: str, likely: Maps) -> Maps:
    if kind == "unet":
        inside = likely[:1].clip(LEAST, 1 - LEAST)
        joined: Maps = np.concatenate([np.log(inside / (1 - inside)), likely[1:]])
        return joined
    logits: Maps = np.log(likely.clip(LEAST))
    return logits
