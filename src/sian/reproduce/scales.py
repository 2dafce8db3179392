"""How much is spent on a row: minutes or hours of a CPU core, a night of a GPU, or what was published.

A scale changes the size of networks and the length of training, by the recipe's keys; it never changes what a method
is. Numbers of different scales never share a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sian.errors import BadInput, nearest

Changes = Mapping[str, str]  # dotted keys of a recipe to YAML values, as `Recipe.load` takes them


@dataclass(frozen=True)
class Scale:
    """One choice of ``--scale``.

    Attributes:
        name: "tiny", "core", "small" or "paper".
        width: channels of the generators' widest resolution, as `Recipe.scaled` takes it; None for the published ones.
        length: what it does to training, in words.
        a_tile: windows of each tile that are measured; None for all 16.
        common: changes of every row.
        by_network: changes of the rows with that network ("sian", "pix2pix", ...).
        warning: what must be said beside its numbers.
    """

    name: str
    width: int | None
    length: str
    a_tile: int | None
    common: Changes = field(default_factory=dict)
    by_network: Mapping[str, Changes] = field(default_factory=dict)
    warning: str = ""

    def changes(self, network: str) -> dict[str, str]:
        """All changes of a row with that network."""
        return {**self.common, **self.by_network.get(network, {})}

    @property
    def widths(self) -> str:
        """Its widths in words."""
        if self.width is None:
            return "of the published widths"
        return f"of width {self.width} where the published ones have {PUBLISHED_WIDTH}"


PUBLISHED_WIDTH = 64  # of all faithful recipes
_CROPS = {  # zeros show a crop's border; SPADE's style has places, and all rows see the same references
    "generator.padding": "reflect",
    "data.placing": "anywhere",
}
_UNET_TINY = "[{images: 40, size: 256, batch: 2}]"  # as many pixels and steps; eight halvings need 256 px

SCALES: dict[str, Scale] = {
    "tiny": Scale(
        "tiny",
        4,
        "on 160 crops of 128 px, or as many pixels",
        4,
        {
            "stages": "[{images: 160, size: 128, batch: 8}]",
            "average": "{half_life: 50, ramp: 0.1}",
            "every": "{journal: 40, samples: 160, checkpoint: 80, keep: 1}",
            "losses.perceptual_layers": "[relu1_1, relu2_1]",
            "losses.perceptual_every": "2",
        },
        {
            "sian": _CROPS,
            "spade": _CROPS,
            "pix2pix": {"stages": _UNET_TINY},
            "sharpgan": {"stages": _UNET_TINY},
        },
        "Tiny numbers show that every row runs from data to metrics; they say nothing about the methods.",
    ),
    "core": Scale(
        "core",
        16,
        "on 3,200 crops of 128 px and 100 windows of 256 px in batches of 4, or as many pixels",
        None,
        {
            "stages": "[{images: 3200, size: 128, batch: 4}, {images: 100, size: 256, batch: 4}]",
            "every": "{journal: 400, samples: 1600, checkpoint: 400}",
        },
        {
            **{name: {"stages": "[{images: 900, size: 256, batch: 1}]"} for name in ("pix2pix", "sharpgan")},
            **dict.fromkeys(("sian", "spade"), _CROPS),
        },
        "Networks of a quarter of the published widths, which saw 0.6 % of SIAN's published pixels, most of them as "
        "crops (so padding is reflected: zeros show their border): compare rows with each other, not with the paper.",
    ),
    "small": Scale(
        "small",
        24,
        "for 20 epochs of the published windows",
        None,
        {"stages": "[{epochs: 20, size: 256, batch: 8}]", "average": "{half_life: 3000}"},
        {name: {"stages": "[{epochs: 20, size: 256, batch: 1}]"} for name in ("pix2pix", "sharpgan", "pix2pixhd")},
        "Networks of three eighths of the published widths; every row sees the same images, two fifths of SIAN's "
        "published epochs and a tenth of pix2pix' and pix2pixHD's: compare rows with each other, not with the paper.",
    ),
    "paper": Scale("paper", None, "as published", None),
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
