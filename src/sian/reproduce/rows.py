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
        noise: its strength where the row is measured: 1 where the original keeps its dropout on.
    """

    name: str
    title: str
    recipe: str
    network: str
    changes: Mapping[str, str] = field(default_factory=dict)
    noise: float = 0.0

    def load(self, scale: Scale, seed: int = 0) -> Recipe:
        """The row's recipe at a scale.

        Raises:
            BadInput: the recipe does not know a key that the row or the scale changes.
        """
        from sian.training import Recipe

        name = {"name": f"{self.name}-{scale.name}", "seed": str(seed)}
        recipe = Recipe.load(self.recipe, {**scale.changes(self.network), **self.changes, **name})
        return recipe if scale.width is None else recipe.scaled(scale.width)


SEEN = {(True, True): "layout", (True, False): "direction", (False, True): "distance", (False, False): "semantic"}


def _ablation(
    name: str,
    title: str,
    description: str,
    *,
    direction: bool = False,
    distance: bool = False,
    style: bool = False,
    loss: bool = False,
) -> Row:
    """SIAN's recipe with the parts named only (section 4.4); the discriminator sees what the generator sees."""
    parts = {"direction": direction, "distance": distance, "style": style}
    changes = {f"generator.{part}": str(present).lower() for part, present in parts.items()}
    changes["discriminator.condition"] = SEEN[direction, distance]
    if not loss:
        changes["losses.regularisation"] = "0"
    return Row(name, title, "monuseg", "sian", {"description": description, **changes})


_ALL = (
    Row("pix2pix", "pix2pix", "pix2pix", "pix2pix", noise=1.0),
    Row("sharpgan", "Sharp-GAN", "sharpgan", "sharpgan", noise=1.0),
    Row("pix2pixhd", "pix2pixHD", "pix2pixhd", "pix2pixhd"),
    Row("spade", "SPADE", "spade", "spade"),
    Row("spade-boundary", "SPADE + boundary", "spade-boundary", "spade"),
    Row("spade-layout", "SPADE + M, P, Q", "spade-layout", "spade"),
    Row("sian", "SIAN", "monuseg", "sian"),
    _ablation("baseline", "Baseline", "SIAN's generator with SPADE's blocks"),
    _ablation("inst", "INST", "baseline + direction and distance", direction=True, distance=True),
    _ablation("style", "STYLE", "baseline + style in the blocks", style=True),
    _ablation("style-loss", "Style Loss", "baseline + L_reg", loss=True),
    _ablation("inst-style", "INST + STYLE", "SIAN without L_reg", direction=True, distance=True, style=True),
    _ablation(
        "direction", "direction alone", "SIAN with the direction branch alone", direction=True, style=True, loss=True
    ),
    _ablation(
        "distance", "distance alone", "SIAN with the distance branch alone", distance=True, style=True, loss=True
    ),
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
