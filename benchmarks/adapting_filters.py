"""What a segmenter that has seen real tissue says of paintings: which pixels and which paintings to trust.

After FreeMask (Yang et al. 2023), which filters pixels by the loss of such a network and draws hard scenes more often.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sian.networks.segnet import BACKGROUND, CLASSES
from sian.segmentation.instances import softmax
from sian.segmentation.targets import IGNORED

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sian.segmentation.segmenter import Segmenter
    from sian.segmentation.training_windows import KnownTile

TOLERANCE = 1.25  # a pixel counts if its loss is below so many times the mean of its class (FreeMask, section 3.3)
OFTEN = 3  # how often the hardest third of the paintings is taken; the next twice, the easiest once
APART = 0.1  # a found nucleus of which less lies on the mask is an invention of the painter


def filtered(segmenter: Segmenter, tiles: list[KnownTile]) -> list[KnownTile]:
    """Without pixels whose loss is high for their class."""
    losses = [_losses(segmenter, tile) for tile in tiles]
    means = _class_means(tiles, losses)
    return [_without(tile, loss > TOLERANCE * means[tile.classes]) for tile, loss in zip(tiles, losses, strict=True)]


def hard(segmenter: Segmenter, tiles: list[KnownTile]) -> list[KnownTile]:
    """Paintings with much loss (each class weighs alike) several times."""
    losses = [_losses(segmenter, tile) for tile in tiles]
    hardness = [
        np.mean([loss[tile.classes == c].mean() for c in range(CLASSES) if (tile.classes == c).any()])
        for tile, loss in zip(tiles, losses, strict=True)
    ]
    order = np.argsort(hardness)
    return [tiles[n] for rank, n in enumerate(order) for _ in range(1 + rank * OFTEN // len(order))]


def clean(segmenter: Segmenter, tiles: list[KnownTile]) -> list[KnownTile]:
    """Without nuclei that the segmenter finds where the mask has none."""
    found = []
    for tile in tiles:
        nuclei = segmenter.predict(tile.tile.image)
        on_mask = np.bincount(nuclei.ravel(), (tile.classes != BACKGROUND).ravel())
        invented = on_mask < APART * np.bincount(nuclei.ravel())
        invented[0] = False
        found.append(_without(tile, invented[nuclei] & (tile.classes == BACKGROUND)))
    return found


FILTERS: dict[str, Callable[[Segmenter, list[KnownTile]], list[KnownTile]]] = {
    "filtered": filtered,
    "hard": hard,
    "clean": clean,
}


def _losses(segmenter: Segmenter, tile: KnownTile) -> NDArray[np.float32]:
    """(h, w): cross-entropy of SegNet's three classes."""
    if segmenter.recipe.network.kind != "segnet":
        raise SystemExit("filters need a SegNet's three classes")
    shares = softmax(segmenter.maps(tile.tile.image))
    loss: NDArray[np.float32] = -np.log(np.take_along_axis(shares, tile.classes[None].astype(np.int64), 0)[0] + 1e-6)
    return loss


def _class_means(tiles: list[KnownTile], losses: list[NDArray[np.float32]]) -> NDArray[np.float64]:
    sums, counts = np.zeros(CLASSES), np.zeros(CLASSES)
    for tile, loss in zip(tiles, losses, strict=True):
        sums += np.bincount(tile.classes.ravel(), loss.ravel(), CLASSES)
        counts += np.bincount(tile.classes.ravel(), minlength=CLASSES)
    return sums / counts


def _without(tile: KnownTile, pixels: NDArray[np.bool_]) -> KnownTile:
    return replace(tile, classes=np.where(pixels, IGNORED, tile.classes).astype(np.uint8))
