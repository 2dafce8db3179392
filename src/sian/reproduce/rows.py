"""The rows of Tables 1 to 3: each a recipe with its changes; a row trained once serves every table that names it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sian.errors import BadInput, nearest
from sian.reproduce.scales import Scale

if TYPE_CHECKING:
    from sian.training import Recipe


@dataclass(frozen=True)
class Row:
    """A trained painter of a table.

    Attributes:
        name: of its folder, and of ``--rows``.
        title: in tables and pictures.
        recipe: the bundled recipe, at the published scale.
        network: which changes of a scale apply.
        changes: of the recipe, at every scale.
        note: what a reader must know of it.
    """

    name: str
    title: str
    recipe: str
    network: str
    changes: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    def load(self, scale: Scale, seed: int = 0) -> Recipe:
        """The row's recipe at a scale.

        Raises:
            BadInput: the recipe does not know a key that the row or the scale changes.
        """
        from sian.training import Recipe

        name = {"name": f"{self.name}-{scale.name}", "seed": str(seed)}
        recipe = Recipe.load(self.recipe, {**scale.changes(self.network), **self.changes, **name})
        return recipe if scale.width is None else recipe.scaled(scale.width)


_ALL = (
    Row(
        "spade",
        "SPADE",
        "monuseg",
        "sian",
        {
            "generator.direction": "false",
            "generator.distance": "false",
            "generator.style": "false",
            "discriminator.condition": "semantic",
            "losses.regularisation": "0",
        },
        "semantic mask alone, as the paper reports it",
    ),
    Row("sian", "SIAN", "monuseg", "sian"),
    Row(
        "inst",
        "INST",
        "monuseg",
        "sian",
        {"generator.style": "false", "losses.regularisation": "0"},
        "direction and distance in the blocks, style at the start only",
    ),
    Row(
        "style",
        "STYLE",
        "monuseg",
        "sian",
        {
            "generator.direction": "false",
            "generator.distance": "false",
            "discriminator.condition": "semantic",
            "losses.regularisation": "0",
        },
        "style in the blocks, no instance layouts",
    ),
    Row(
        "style-loss",
        "Style Loss",
        "monuseg",
        "sian",
        {
            "generator.direction": "false",
            "generator.distance": "false",
            "generator.style": "false",
            "discriminator.condition": "semantic",
        },
        "the baseline with L_reg",
    ),
    Row("direction", "direction alone", "monuseg", "sian", {"generator.distance": "false"}, "SIAN without Q"),
    Row("distance", "distance alone", "monuseg", "sian", {"generator.direction": "false"}, "SIAN without P"),
)

ROWS: dict[str, Row] = {row.name: row for row in _ALL}


def rows_named(names: Iterable[str], known: Iterable[str]) -> list[Row]:
    """The rows of those names, each once, in the order given.

    Args:
        names: what was asked for.
        known: the rows of the table.

    Raises:
        BadInput: a name that the table does not have.
    """
    known = list(known)
    for name in names:
        if name not in known:
            raise BadInput(f"--rows {name!r}: no such row{nearest(name, known)}")
    return [ROWS[name] for name in dict.fromkeys(names)]
