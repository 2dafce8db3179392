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
    """

    name: str
    title: str
    recipe: str
    network: str
    changes: Mapping[str, str] = field(default_factory=dict)

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
    Row("pix2pix", "pix2pix", "pix2pix", "pix2pix"),
    Row("sharpgan", "Sharp-GAN", "sharpgan", "sharpgan"),
    Row("pix2pixhd", "pix2pixHD", "pix2pixhd", "pix2pixhd"),
    Row("spade", "SPADE", "spade", "spade"),
    Row("spade-boundary", "SPADE + boundary", "spade-boundary", "spade"),
    Row("spade-layout", "SPADE + M, P, Q", "spade-layout", "spade"),
    Row("sian", "SIAN", "monuseg", "sian"),
    Row("baseline", "Baseline", "ablation-baseline", "sian"),
    Row("inst", "INST", "ablation-inst", "sian"),
    Row("style", "STYLE", "ablation-style", "sian"),
    Row("style-loss", "Style Loss", "ablation-styleloss", "sian"),
    Row("inst-style", "INST + STYLE", "ablation-inst-style", "sian"),
    Row("direction", "direction alone", "ablation-direction", "sian"),
    Row("distance", "distance alone", "ablation-distance", "sian"),
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
