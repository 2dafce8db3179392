"""VGG19 for a run: which layers its losses and its discriminator's heads need, and where the weights come from."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from sian.errors import BadInput
from sian.files.weights import activation_scale, find_weights
from sian.networks import VggFeatures
from sian.networks.feature_heads import FULL, HALF
from sian.training.recipe import Recipe


def vgg_layers(recipe: Recipe) -> tuple[str, ...]:
    """The layers of VGG19 that a recipe needs, shallow to deep; none where neither losses nor heads use any."""
    if not recipe.stages:
        return ()
    wanted: set[str] = set(recipe.losses.perceptual_layers if recipe.losses.perceptual or recipe.losses.texture else ())
    heads = getattr(recipe.discriminator, "features", 0)
    if heads and recipe.judged:
        wanted |= {*FULL, *HALF}
    return tuple(sorted(wanted))


def perceptual_network(recipe: Recipe, folder: Path | None, trust: bool) -> VggFeatures | None:
    """VGG19 with the layers that a recipe needs; None where it needs none.

    Args:
        recipe: says which.
        folder: holds `vgg19.safetensors`, searched first.
        trust: accept weights of an unknown SHA-256.

    Raises:
        BadInput: the file is not VGG19.
        MissingResource: it is not on this machine.
    """
    layers = vgg_layers(recipe)
    if not layers:
        return None
    path = find_weights("vgg19", folder, trust)
    scale = activation_scale(path)
    try:
        return VggFeatures(load_file(path), scale, layers)
    except (KeyError, RuntimeError, SafetensorError) as error:
        raise BadInput(
            f"{path}: expected VGG19's convolutions conv1_1 to conv5_1, found {str(error).splitlines()[0]}; make it "
            "with `sian weights get` or `sian weights import FILE`"
        ) from None
