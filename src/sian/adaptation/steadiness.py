"""A score without labels: how far a segmenter finds the same nuclei when colours, sharpness and directions change.

A steady segmenter may be wrong, and steadily so. So the score only says whether learning made things worse; where a few
tiles are annotated, PQ decides (`sian.adaptation.adapting`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from sian import seeds
from sian.evaluation.agreement import agreement
from sian.layout import turn_image
from sian.masks import median_area, nucleus_ids
from sian.segmentation.jitter import jitter
from sian.segmentation.segmenter_recipe import AugmentSection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from sian.segmentation.segmenter import Segmenter

    Image = NDArray[np.uint8]
    Mask = NDArray[np.int32]

CHANGES = AugmentSection(stain=0.3, light=0.15, blur=1.0, noise=0.02)
TURNS = ((1, False), (2, True), (3, False))  # one changed copy of an image for each


@dataclass(frozen=True)
class Seen:
    """What a segmenter finds in images without labels.

    Attributes:
        steadiness: mean PQ between the masks of an image and of its changed copies; nan without nuclei.
        accord: mean PQ between its masks and those of a second segmenter.
        nuclei: in all images.
        median_area: px; nan without nuclei.
    """

    steadiness: float
    accord: float
    nuclei: int
    median_area: float


def look(
    segmenter: Segmenter,
    images: Sequence[Image],
    others: Sequence[Mask],
    seed: int,
    report: Callable[[int, int], None] | None = None,
) -> Seen:
    """Segment images and changed copies of them.

    Args:
        segmenter: looks once at each image, whatever its `tta`.
        images: (H, W, 3) uint8.
        others: what a second segmenter found in each.
        seed: of the changes; the same for all segmenters that are compared.
        report: called with (images done, images in all).
    """
    masks, steady, alike = [], [], []
    for number, (image, other) in enumerate(zip(images, others, strict=True)):
        mask = segmenter.predict(image)
        for copy, (turns, flip) in enumerate(TURNS):
            random = seeds.torch_generator(seed, "steadiness", number, copy)
            found = segmenter.predict(turn_image(_changed(image, random), turns, flip))
            steady.append(agreement(turn_image(mask, turns, flip), found).panoptic.pq)
        alike.append(agreement(other, mask).panoptic.pq)
        masks.append(mask)
        if report:
            report(number + 1, len(images))
    nuclei = sum(len(nucleus_ids(mask)) for mask in masks)
    return Seen(_mean(steady), _mean(alike), nuclei, median_area(masks))


def _changed(image: Image, random: torch.Generator) -> Image:
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].float() / 255
    changed = (jitter(pixels, CHANGES, random)[0] * 255).round().byte()
    return np.ascontiguousarray(changed.numpy().transpose(1, 2, 0))


def _mean(values: Sequence[float]) -> float:
    """Of those that are numbers: PQ has no value where neither mask holds a nucleus."""
    known = [value for value in values if value == value]
    return float(np.mean(known)) if known else float("nan")
