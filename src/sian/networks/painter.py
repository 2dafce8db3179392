"""Generator and style encoder together: what is trained as one, averaged as one and kept in one model file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sian import seeds
from sian.networks.discriminator import Discriminator
from sian.networks.encoder import StyleEncoder
from sian.networks.generator import LEVELS, Generator
from sian.networks.layouts import LAYOUT_CHANNELS


class Painter(nn.Module):
    """Reference image to style vector, layout and style vector to image (paper, Figure 3)."""

    def __init__(self, generator: Generator, encoder: StyleEncoder) -> None:
        super().__init__()
        self.generator, self.encoder = generator, encoder

    def forward(
        self, layout: Tensor, reference: Tensor, epsilon: Tensor, noise: Sequence[Tensor | None]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A painting in the style drawn for each reference.

        Args:
            layout: (n, 19, h, w).
            reference: (n, 3, 256, 256) in [-1, 1].
            epsilon: (n, D) standard normal; the style is mean + epsilon * deviation.
            noise: per-pixel noise of each block, see `training_noise`.

        Returns:
            Image (n, 3, h, w) in [-1, 1], mean (n, D), log-variance (n, D).
        """
        mean, log_variance = self.encoder(reference)
        style = mean + epsilon * torch.exp(0.5 * log_variance)
        return self.generator(layout, style, noise), mean, log_variance


def build_painter(
    generator: Mapping[str, Any], encoder: Mapping[str, Any], *, seed: int = 0, spectral: bool = True
) -> Painter:
    """A painter with seeded weights.

    Args:
        generator: arguments of `Generator`.
        encoder: arguments of `StyleEncoder`, without `style_dim`, which is the generator's.
        seed: of the initial weights; torch's global state is left as it was.
        spectral: on for training, off for weights that have sigma folded in.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derive(seed, "painter weights"))
        painted = Generator(**generator, spectral=spectral)
        return Painter(painted, StyleEncoder(**encoder, style_dim=painted.style_dim, spectral=spectral))


def build_discriminator(arguments: Mapping[str, Any], *, seed: int = 0) -> Discriminator:
    """A discriminator with seeded weights; `condition` is "layout" (M, P, Q) or "semantic" (M alone)."""
    condition = LAYOUT_CHANNELS if arguments.get("condition", "layout") == "layout" else 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derive(seed, "discriminator weights"))
        return Discriminator(**{**arguments, "condition": condition})


def training_noise(
    blocks: Sequence[int], n: int, height: int, width: int, random: torch.Generator
) -> list[Tensor | None]:
    """Fresh noise for a batch: (n, 1, h_b, w_b) for the blocks that take it, None for the others."""
    return [
        torch.randn((n, 1, height >> level, width >> level), generator=random, device=random.device)
        if index in blocks
        else None
        for index, level in enumerate(LEVELS)
    ]
