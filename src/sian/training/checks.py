"""What every training loop checks: that a run's folder is its own, and that its losses are numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sian.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from sian.training.baserecipe import BaseRecipe


MAY_CHANGE = ("stages", "images", "every")  # keys of a recipe that a resumed run may have otherwise


def holds_run(run: Path) -> bool:
    """Whether a run was begun in that folder."""
    return (run / "recipe.yaml").exists() or (run / "checkpoints").exists()


def check_run(run: Path, recipe: BaseRecipe, resume: bool) -> None:
    """Refuse to start where a run is already, and to go on where none is or with another recipe.

    A run may be made longer or shorter, and may be written down more or less often: `MAY_CHANGE`.

    Raises:
        BadInput: any of these.
    """
    path = run / "recipe.yaml"
    if not holds_run(run):
        if resume:
            raise BadInput(f"{run}: holds no run to go on with; check the path, or leave --resume out to begin one")
        return
    if not resume:
        raise BadInput(f"{run}: holds a run already; go on with --resume, or name another folder")
    before = type(recipe).load(path)
    for key in type(recipe).model_fields:
        if key in MAY_CHANGE or getattr(before, key) == getattr(recipe, key):
            continue
        raise BadInput(
            f"{path}: the run was started with another recipe ({key!r} differs); resume with the same recipe "
            "and settings, or start a new run"
        )


def check_finite(terms: Mapping[str, Tensor], total: Tensor, run: Path, images: int, rates: str) -> None:
    """Stop before a loss that is not a number reaches the weights.

    Args:
        terms: what `total` is the sum of.
        total: the loss.
        run: the run's folder, for the sentence.
        images: images seen.
        rates: the recipe's keys of the learning rates, for the sentence.

    Raises:
        BadInput: the loss is nan or infinite.
    """
    if not bool(torch.isfinite(total)):
        name = next((name for name, term in terms.items() if not bool(torch.isfinite(term))), "total")
        raise BadInput(
            f"{run}: the loss '{name}' is {float(terms.get(name, total).detach())} after {images} images; the last "
            f"good checkpoint is kept; lower the learning rates ({rates}) or that loss' weight"
        )


def check_weights(networks: Mapping[str, nn.Module], run: Path, images: int, rates: str) -> None:
    """Refuse to save weights that are no longer numbers: a finite loss may have had a gradient that is not.

    Args:
        networks: by name.
        run: the run's folder, for the sentence.
        images: images seen.
        rates: the recipe's keys of the learning rates, for the sentence.

    Raises:
        BadInput: a weight or a buffer is nan or infinite.
    """
    for name, network in networks.items():
        for key, tensor in network.state_dict().items():
            if not bool(torch.isfinite(tensor).all()):
                raise BadInput(
                    f"{run}: the {name}'s {key} is no longer finite after {images} images; the last good checkpoint "
                    f"is kept; lower the learning rates ({rates})"
                )
