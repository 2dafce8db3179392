"""Training: recipes, losses, the loop, checkpoints. Needs VGG19's weights; knows no metrics."""

from sian.training.device import Hardware
from sian.training.loop import train
from sian.training.recipe import Recipe, bundled_recipes

__all__ = ["Hardware", "Recipe", "bundled_recipes", "train"]
