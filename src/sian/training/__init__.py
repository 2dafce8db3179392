"""Training: recipes, losses, the loop, checkpoints. Needs VGG19's weights; knows no metrics.

Names are imported when they are first used: who reads a recipe need not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sian.training.baserecipe import bundled_recipes
    from sian.training.device import Hardware
    from sian.training.loop import train
    from sian.training.recipe import Recipe
    from sian.training.start import Start

_HOMES = {"Hardware": "device", "Recipe": "recipe", "Start": "start", "bundled_recipes": "baserecipe", "train": "loop"}

__all__ = ["Hardware", "Recipe", "Start", "bundled_recipes", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sian.training' has no attribute {name!r}")
    return getattr(import_module(f"sian.training.{_HOMES[name]}"), name)
