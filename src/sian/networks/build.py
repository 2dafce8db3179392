"""The table of networks: what a recipe's `network` names, and how its parts are built.

A baseline is a file with a generator (`GeneratorInterface`) and a discriminator, and a line in `NETWORKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from sian import seeds
from sian.errors import BadInput, nearest
from sian.networks.discriminator import Discriminator
from sian.networks.encoder import StyleEncoder
from sian.networks.generator import Generator
from sian.networks.interface import GeneratorInterface
from sian.networks.painter import NoEncoder, Painter
from sian.networks.pix2pix import PatchGan, UnetGenerator
from sian.networks.pix2pixhd import CoarseToFineGenerator, PlainDiscriminator
from sian.networks.sharpgan import SharpGenerator
from sian.networks.spade import SpadeGenerator
from sian.networks.xavier import Initialisation, xavier_weights


@dataclass(frozen=True)
class Network:
    """How a network's two sides are built.

    Attributes:
        generator: from the arguments of a recipe's `generator` section; `spectral` where `has_spectral`.
        discriminator: from those of its `discriminator` section.
        has_spectral: whether the generator has spectral norm, which a model file folds in.
    """

    generator: Callable[..., GeneratorInterface]
    discriminator: Callable[..., Discriminator]
    has_spectral: bool = False


NETWORKS: dict[str, Network] = {
    "sian": Network(Generator, Discriminator, has_spectral=True),
    "spade": Network(SpadeGenerator, Discriminator, has_spectral=True),
    "pix2pix": Network(UnetGenerator, PatchGan),
    "pix2pixhd": Network(CoarseToFineGenerator, PlainDiscriminator),
    "sharpgan": Network(SharpGenerator, PatchGan),
}


def build_painter(
    generator: Mapping[str, Any],
    encoder: Mapping[str, Any],
    *,
    network: str = "sian",
    seed: int = 0,
    spectral: bool = True,
    classes: int = 0,
    initialisation: Initialisation = "torch",
) -> Painter:
    """A painter with seeded weights.

    Args:
        generator: arguments of the network's generator.
        encoder: arguments of `StyleEncoder`, without `style_dim`, which is the generator's; nothing for a network
            without styles.
        network: a key of `NETWORKS`.
        seed: of the initial weights; torch's global state is left as it was.
        spectral: on for training, off for weights that have sigma folded in.
        classes: nuclear classes that the layouts come with; SIAN's alone takes any.
        initialisation: what the weights are drawn from: each layer's own default, or "xavier" as in SPADE's code.
    """
    parts = _network(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derive(seed, "painter weights"))
        folding: dict[str, Any] = {"spectral": spectral} if parts.has_spectral else {}
        painted = parts.generator(**generator, **folding, **_classes(classes))
        reader: nn.Module = NoEncoder()
        if painted.style_dim:
            reader = StyleEncoder(**encoder, style_dim=painted.style_dim, spectral=spectral)
        painter = Painter(painted, reader)
        return xavier_weights(painter) if initialisation == "xavier" else painter


def build_discriminator(
    arguments: Mapping[str, Any],
    *,
    network: str = "sian",
    seed: int = 0,
    classes: int = 0,
    initialisation: Initialisation = "torch",
) -> Discriminator:
    """A network's discriminator with seeded weights; `condition` is a key of `sian.networks.layouts.CONDITIONS`."""
    parts = _network(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derive(seed, "discriminator weights"))
        judge = parts.discriminator(**arguments, **_classes(classes))
        return xavier_weights(judge) if initialisation == "xavier" else judge


def _classes(count: int) -> dict[str, int]:
    """The argument `classes`, for networks that are to have some."""
    return {"classes": count} if count else {}


def _network(name: str) -> Network:
    if name not in NETWORKS:
        raise BadInput(f"network {name!r}: no network has that name{nearest(name, NETWORKS)}")
    return NETWORKS[name]
