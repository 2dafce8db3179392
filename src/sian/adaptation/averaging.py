"""Several segmenters that began with the same weights, as one: the mean of their weights (Wortsman et al. 2022).

Runs that differ only in their seed differ by more than most ways of learning do (docs/results/adapting.md). Their mean
is at least as good as the better one, as far as was measured, and costs nothing when it is used.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from sian.segmentation.segmenter_export import training_passes
from sian.training.average import estimate_batch_norm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sian.segmentation.segmenter import Segmenter
    from sian.segmentation.training_windows import TrainingTiles


def averaged(segmenters: Sequence[Segmenter], tiles: TrainingTiles) -> Segmenter:
    """The mean of their weights, batch norm's statistics estimated anew.

    Args:
        segmenters: of one network, which went on from the same weights; the first's recipe and facts are taken.
        tiles: whose windows batch norm is estimated from.
    """
    first = segmenters[0]
    states = [segmenter.network.state_dict() for segmenter in segmenters]
    mean = {
        name: torch.stack([state[name] for state in states]).mean(0) if tensor.is_floating_point() else tensor
        for name, tensor in states[0].items()
    }
    network = deepcopy(first.network)
    network.load_state_dict(mean)
    estimate_batch_norm(network, training_passes(network, tiles, first.recipe))
    return replace(first, network=network.eval(), sha256="")
