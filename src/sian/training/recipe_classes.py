"""What a recipe's network is given beside M, P and Q: tissue maps, and nuclear classes.

`data.classes: true` becomes the names that the data set gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sian.errors import BadInput, nearest

if TYPE_CHECKING:
    from sian.data.dataset import Dataset
    from sian.training.recipe import Recipe


def takes_tissue(recipe: Recipe) -> bool:
    """Whether the recipe's generator takes tissue maps; SIAN's alone can."""
    return bool(getattr(recipe.generator, "tissue", False))


def resolve(recipe: Recipe, data: Dataset) -> Recipe:
    """The recipe with its classes' names, checked against the tiles; as it was if it asks for none.

    Args:
        recipe: `data.classes` is False, True for all that ``dataset.json`` names, or names in an order of their own.
        data: the training tiles.

    Raises:
        BadInput: the data set names no classes, a tile has none or another one, or the network takes none.
    """
    wanted = recipe.data.classes
    if not wanted:
        return recipe
    if recipe.network != "sian":
        raise BadInput(f"recipe {recipe.name}: data.classes: the network {recipe.network!r} takes none; leave it out")
    names = wanted if isinstance(wanted, tuple) else tuple(data.info.classes)
    if not names:
        raise BadInput(
            f"{data.folder}: dataset.json names no nuclear classes, expected some for data.classes; import annotations "
            "that have classes, or leave data.classes out"
        )
    if len(set(names)) < len(names) or not all(name.strip() for name in names):
        raise BadInput(f"recipe {recipe.name}: data.classes: expected each name once, found {list(names)}")
    for item in data:
        strange = sorted(set(item.classes or {}) - set(names))
        if strange:
            raise BadInput(f"{data.folder}: item {item.id} has the class {strange[0]!r}{nearest(strange[0], names)}")
        if item.nuclei and not item.classes:
            raise BadInput(
                f"{data.folder}: item {item.id} has {item.nuclei} nuclei and no classes, expected some for "
                "data.classes; put it into another split, or leave data.classes out"
            )
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"classes": names})})
