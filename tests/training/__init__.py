"""Tests of recipes, losses, checkpoints and the training loop."""
