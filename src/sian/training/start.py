"""Where a run starts when not from random weights: the networks of a model that was trained before.

A start is tensors and facts; `sian.synthesis.finetuning` makes one of a model file. The facts are written into the
run's folder as ``start.json``, so that the model made of the run can tell the whole story.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sian.errors import BadInput, first_line
from sian.files import write_json
from sian.files.jsonfiles import read_json
from sian.networks import add_factors, load_folded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from sian.training.recipe import Recipe

START = "start.json"  # in the run's folder


@dataclass(frozen=True)
class Start:
    """What a run starts from.

    Attributes:
        painter: weights of generator and encoder, spectral norm folded in.
        discriminator: its weights, folded as well; empty when it starts anew.
        facts: about the model, plain JSON; "sha256" among them.
        styles: (n, D) of its bank, the mean of each tile that it saw; None where it has none.
    """

    painter: Mapping[str, Tensor]
    discriminator: Mapping[str, Tensor]
    facts: Mapping[str, Any]
    styles: Tensor | None = None


def check_start(run: Path, recipe: Recipe, start: Start | None, saved: bool) -> None:
    """Refuse a run whose recipe starts from a model without one, or with another one than it began with.

    Args:
        run: the run's folder.
        recipe: what to do.
        start: what it shall start from.
        saved: whether the run has a checkpoint, which then holds the networks.

    Raises:
        BadInput: either.
    """
    if recipe.start == "scratch":
        return
    if start is None:
        if not saved:
            raise BadInput(
                f"recipe {recipe.name}: starts from a model file, found none; add --init MODEL, e.g. --init bundled"
            )
        return
    path = run / START
    before = read_json(path).get("sha256") if path.is_file() else None
    if before not in (None, start.facts.get("sha256")):
        raise BadInput(
            f"{path}: the run began with the model {str(before)[:12]}, found {str(start.facts.get('sha256'))[:12]}; "
            "resume without --init, or start a new run"
        )


def begin(recipe: Recipe, start: Start | None, painter: nn.Module, discriminator: nn.Module) -> None:
    """Put a start's weights into networks that were built for training; without a start, make room for a checkpoint's.

    Raises:
        BadInput: the weights do not fit the networks.
    """
    if recipe.start == "scratch":
        return
    for name, network, weights in (
        ("painter", painter, start.painter if start else {}),
        ("discriminator", discriminator, start.discriminator if start else {}),
    ):
        add_factors(network)
        try:
            if weights:
                load_folded(network, weights)
        except RuntimeError as error:
            raise BadInput(
                f"recipe {recipe.name}: the {name} of the model to start from does not fit ({first_line(error)}); "
                "leave the networks' sections out of the recipe"
            ) from None


def write_start(run: Path, start: Start | None) -> None:
    """Keep a start's facts in the run's folder."""
    if start is not None:
        write_json(run / START, dict(start.facts))


def read_start(run: Path) -> dict[str, Any]:
    """The facts of what a run began with; empty for a run from scratch.

    Raises:
        BadInput: the file is broken.
    """
    path = run / START
    return dict(read_json(path)) if path.is_file() else {}
