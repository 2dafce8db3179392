"""What each network is trained to minimise, by the network's kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from sian.networks.segnet import BORDER, INTERIOR
from sian.segmentation.targets import IGNORED

if TYPE_CHECKING:
    from collections.abc import Callable

    from sian.segmentation.segmenter_recipe import LossSection


@dataclass(frozen=True)
class Targets:
    """What is known of a batch of windows.

    Attributes:
        classes: (n, h, w) int64, background, interior, border, or ignored: of such pixels no loss is taken.
        direction: (n, h, w) int64, classes of P.
        distance: (n, h, w) float, Q.
        class_weights: (3,) float.
    """

    classes: Tensor
    direction: Tensor
    distance: Tensor
    class_weights: Tensor


def segnet_terms(output: Tensor, targets: Targets, settings: LossSection) -> dict[str, Tensor]:
    """Weighted cross-entropy of the three classes, and soft Dice of interior and border."""
    counted = _counted(targets, output)
    probabilities = output.softmax(1) * counted[:, None]
    known = F.one_hot(targets.classes, IGNORED + 1).movedim(-1, 1)[:, :IGNORED].to(output.dtype)
    entropy = F.cross_entropy(output, targets.classes, targets.class_weights, ignore_index=IGNORED)
    return {
        "cross_entropy": entropy if counted.any() else output.sum() * 0,  # nothing to learn of, and no division by it
        "dice": settings.dice * _soft_dice(probabilities[:, 1:], known[:, 1:]),
    }


def unet_terms(output: Tensor, targets: Targets, settings: LossSection) -> dict[str, Tensor]:
    """Cross-entropy and Dice of M (border pixels weigh more), cross-entropy of P, squared error of Q."""
    semantic, direction, distance = output[:, 0], output[:, 1:-1], output[:, -1]
    counted = _counted(targets, output)
    nuclear = ((targets.classes == INTERIOR) | (targets.classes == BORDER)).to(output.dtype)
    weight = 1 + (settings.border - 1) * (targets.classes == BORDER).to(output.dtype)
    directed = F.cross_entropy(direction, targets.direction, reduction="none")
    return {
        "semantic": _mean(F.binary_cross_entropy_with_logits(semantic, nuclear, weight, reduction="none"), counted),
        "dice": settings.dice * _soft_dice((semantic.sigmoid() * counted)[:, None], nuclear[:, None]),
        "direction": settings.direction * _mean(directed, counted),
        "distance": settings.distance * _mean((distance - targets.distance) ** 2, counted),
    }


TERMS: dict[str, Callable[[Tensor, Targets, LossSection], dict[str, Tensor]]] = {
    "segnet": segnet_terms,
    "unet": unet_terms,
}


def _counted(targets: Targets, output: Tensor) -> Tensor:
    """(n, h, w), 1 where a pixel counts and 0 where it is ignored."""
    return (targets.classes != IGNORED).to(output.dtype)


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    """The mean over pixels that count; 0 where none does."""
    return (values * counted).sum() / counted.sum().clamp(min=1)


def _soft_dice(probabilities: Tensor, known: Tensor) -> Tensor:
    """1 - Dice over the whole batch, averaged over classes: (n, c, h, w) each."""
    shared = (probabilities * known).sum((0, 2, 3))
    total = probabilities.sum((0, 2, 3)) + known.sum((0, 2, 3))
    return 1 - ((2 * shared + 1) / (total + 1)).mean()
