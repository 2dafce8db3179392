"""Recipes of the other networks: typed sections with each method's own defaults, and which `network` is whose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sian.errors import BadInput, nearest
from sian.training.recipe import Recipe

RECIPES: dict[str, type[Recipe]] = {"sian": Recipe}


def recipe_class(values: Mapping[str, Any], name: str) -> type[Recipe]:
    """The class of recipe for these values' `network`; SIAN's where there is none, as in older files."""
    network = str(values.get("network", "sian"))
    if network not in RECIPES:
        raise BadInput(f"{name}: network: there is none called {network!r}{nearest(network, RECIPES)}")
    return RECIPES[network]
