"""How much is spent on a row: `tiny` runs on one CPU core, `small` overnight on one GPU, `paper` is as published.

A scale changes the size of networks and the length of training, by the recipe's keys; it never changes what a method
is. Numbers of different scales never share a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sian.errors import BadInput, nearest

Changes = Mapping[str, str]  # dotted keys of a recipe to YAML values, as `Recipe.load` takes them


@dataclass(frozen=True)
class Scale:
    """One choice of ``--scale``.

    Attributes:
        name: "tiny", "small" or "paper".
        width: what it does to the networks, in words.
        length: what it does to training, in words.
        a_tile: windows of each tile that are measured; None for all 16.
        common: changes of every row.
        by_network: changes of the rows with that network ("sian", "pix2pix", ...).
        warning: what must be said beside its numbers.
    """

    name: str
    width: str
    length: str
    a_tile: int | None
    common: Changes
    by_network: Mapping[str, Changes]
    warning: str = ""

    def changes(self, network: str) -> dict[str, str]:
        """All changes of a row with that network."""
        return {**self.common, **self.by_network.get(network, {})}


_TINY_COMMON = {
    "stages": "[{images: 320, size: 128, batch: 8}]",
    "average": "{half_life: 100, ramp: 0.1}",
    "every": "{journal: 80, samples: 320, checkpoint: 160, keep: 1}",
    "discriminator.width": "16",
}
_SMALL_COMMON = {
    "stages": "[{epochs: 20, size: 256, batch: 8}]",
    "average": "{half_life: 3000}",
    "discriminator.width": "32",
}

SCALES: dict[str, Scale] = {
    "tiny": Scale(
        "tiny",
        "a sixteenth of the published widths or less",
        "320 crops of 128 px",
        4,
        _TINY_COMMON,
        {
            "sian": {
                "generator.channels": "[64, 64, 64, 64, 32, 16, 16]",
                "generator.hidden": "[16, 16, 16, 16, 16, 16, 16]",
                "generator.style_dim": "32",
                "generator.padding": "reflect",
                "encoder.width": "8",
                "losses.perceptual_layers": "[relu1_1, relu2_1]",
                "losses.perceptual_every": "2",
            },
        },
        "Tiny numbers show that every row runs from data to metrics; they say nothing about the methods.",
    ),
    "small": Scale(
        "small",
        "half of the published widths",
        "20 epochs of the published windows",
        None,
        _SMALL_COMMON,
        {
            "sian": {
                "generator.channels": "[512, 512, 512, 256, 128, 64, 32]",
                "generator.hidden": "[64, 64, 64, 64, 64, 64, 64]",
                "encoder.width": "32",
            },
        },
        "Half-width networks and two fifths of the published epochs: compare rows with each other, not with the paper.",
    ),
    "paper": Scale("paper", "as published", "as published", None, {}, {}),
}


def scale_named(name: str) -> Scale:
    """The scale of that name.

    Raises:
        BadInput: there is none.

    >>> scale_named("tiny").a_tile
    4
    """
    if name not in SCALES:
        raise BadInput(f"--scale {name!r}: no such scale{nearest(name, SCALES)}")
    return SCALES[name]
