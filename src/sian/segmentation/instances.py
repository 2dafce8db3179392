"""From a network's maps to instances: marker-controlled watershed, for each kind of network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sian.networks.layouts import DIRECTION_CLASSES
from sian.networks.segnet import BACKGROUND, INTERIOR

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sian.segmentation.segmenter_recipe import InstanceSection


@dataclass(frozen=True, eq=False)
class Seeded:
    """Instances by the markers that they were flooded from.

    Attributes:
        labels: (H, W) int32, 0 background; numbers with gaps, those of the seeds.
        seeds: (H, W) int32, the same numbers, on the markers alone.
    """

    labels: NDArray[np.int32]
    seeds: NDArray[np.int32]


MARKER_SHARE = 3  # a marker is at least this fraction (one third) of the smallest nucleus


def segnet_instances(output: NDArray[np.float32], settings: InstanceSection) -> Seeded:
    """Instances from SegNet's logits: markers are the interiors, parted by the border class.

    Args:
        output: (3, H, W) logits of background, interior, border.
        settings: thresholds and the smallest nucleus.

    Returns:
        The instances and the markers that they were flooded from.
    """
    probabilities = softmax(output)
    foreground = 1 - probabilities[BACKGROUND] > settings.foreground
    interior = probabilities[INTERIOR]
    return _flood(foreground, (interior > settings.marker) & foreground, -interior, settings.min_area)


def deciding_maps(kind: str, output: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of a network's output, what instances are made from: all that windows blend, that is kept of a slide.

    None of these maps changes its meaning when the image is turned, as P's directions do.

    Args:
        kind: of the network.
        output: SegNet's (3, H, W) logits of background, interior and border, or the U-Net's (19, H, W): logits of M and
            of P's classes, and Q.

    Returns:
        SegNet's output as it is; of the U-Net (3, H, W): the logit of M, the share of P's inner rings, and Q.
    """
    if kind == "segnet":
        return output
    rings = softmax(output[1 : 1 + DIRECTION_CLASSES])
    half = DIRECTION_CLASSES // 2
    inner, outer = rings[1 : 1 + half].sum(0), rings[1 + half :].sum(0)
    return np.stack([output[0], inner / np.maximum(inner + outer, 1e-6), output[-1]]).astype(np.float32)


def unet_instances(output: NDArray[np.float32], settings: InstanceSection) -> Seeded:
    """Instances from the U-Net's layout: markers are the inner rings of P where Q is not at an outline.

    Args:
        output: (3, H, W): the logit of M, the share of P's inner rings, and Q; see `deciding_maps`.
        settings: thresholds and the smallest nucleus.

    Returns:
        The instances and the markers that they were flooded from.
    """
    semantic, near, distance = output
    foreground = semantic > np.log(settings.foreground / (1 - settings.foreground))
    return _flood(foreground, (near > settings.marker) & foreground, -distance - near, settings.min_area)


SEEDED: dict[str, Callable[[NDArray[np.float32], InstanceSection], Seeded]] = {
    "segnet": segnet_instances,
    "unet": unet_instances,
}


def instances(kind: str, output: NDArray[np.float32], settings: InstanceSection) -> NDArray[np.int32]:
    """Instances from a network's output.

    Args:
        kind: of the network.
        output: (3, H, W), see `deciding_maps`.
        settings: thresholds and the smallest nucleus.

    Returns:
        (H, W) int32, 0 background, 1..n.
    """
    return _renumbered(SEEDED[kind](output, settings).labels)


def watershed(
    foreground: NDArray[np.bool_], markers: NDArray[np.bool_], height: NDArray[np.float32], min_area: int
) -> NDArray[np.int32]:
    """Flood the foreground from its markers; a piece of foreground without a marker is one instance.

    Args:
        foreground: (H, W); holes in it are filled.
        markers: (H, W), inside the foreground; those below a third of `min_area` are dropped.
        height: (H, W), what is flooded from its low parts.
        min_area: pixels; smaller instances are removed.

    Returns:
        (H, W) int32, 0 background, 1..n without gaps.
    """
    return _renumbered(_flood(foreground, markers, height, min_area).labels)


def _flood(
    foreground: NDArray[np.bool_], markers: NDArray[np.bool_], height: NDArray[np.float32], min_area: int
) -> Seeded:
    from scipy import ndimage
    from skimage.segmentation import watershed as flood

    filled = ndimage.binary_fill_holes(foreground)
    seeds, count = ndimage.label(markers)
    seeds = _without_small(seeds, -(-min_area // MARKER_SHARE))
    pieces, _ = ndimage.label(filled)
    unmarked = (pieces > 0) & ~np.isin(pieces, np.unique(pieces[seeds > 0]))
    seeds = np.where(unmarked, pieces + count, seeds)
    labels = flood(height, seeds, mask=filled)  # type: ignore[no-untyped-call]
    return Seeded(_without_small(labels, min_area), seeds)


def _without_small(labels: NDArray[np.int32], least: int) -> NDArray[np.int32]:
    small = np.bincount(labels.ravel()) < least
    small[0] = False
    kept: NDArray[np.int32] = np.where(small[labels], 0, labels).astype(np.int32)
    return kept


def _renumbered(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    ids, places = np.unique(labels, return_inverse=True)
    first = 0 if len(ids) and ids[0] == 0 else 1
    renumbered: NDArray[np.int32] = (places.reshape(labels.shape) + first).astype(np.int32)
    return renumbered


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of classes, (c, H, W)."""
    powers = np.exp(logits - logits.max(0))
    shares: NDArray[np.float32] = powers / powers.sum(0)
    return shares
