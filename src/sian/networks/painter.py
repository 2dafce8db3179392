"""Generator and style encoder together: what is trained as one, averaged as one and kept in one model file."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sian.networks.interface import GeneratorInterface


class NoEncoder(nn.Module):
    """Stands where a network without styles has no encoder: every image's style is the empty vector."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, each (n, 0)."""
        empty = image.new_zeros(len(image), 0)
        return empty, empty


class Painter(nn.Module):
    """Reference image to style vector, layout and style vector to image (paper, Figure 3)."""

    def __init__(self, generator: GeneratorInterface, encoder: nn.Module) -> None:
        super().__init__()
        self.generator, self.encoder = generator, encoder

    def forward(
        self,
        layout: Tensor,
        reference: Tensor,
        epsilon: Tensor,
        noise: Sequence[Tensor | None],
        place: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A painting in the style drawn for each reference.

        Args:
            layout: (n, 19 or 21, h, w).
            reference: (n, 3, 256, 256) in [-1, 1].
            epsilon: (n, D) standard normal; the style is mean + epsilon * deviation.
            noise: as the generator's `draw_noise` gives it.
            place: (n, 2) px; where each image lies in its reference.

        Returns:
            Image (n, 3, h, w) in [-1, 1], mean (n, D), log-variance (n, D); D is 0 for a network without styles.
        """
        mean, log_variance = self.encoder(reference)
        style = mean + epsilon * torch.exp(0.5 * log_variance)
        return self.generator(layout, style, noise, place), mean, log_variance
