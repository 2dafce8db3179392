"""What training and synthesis ask of every generator; `sian.networks.build` has the table of those that there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sian.networks.layouts import TISSUE_CHANNELS, Condition, channels_of

Between: TypeAlias = Callable[[Tensor, int, tuple[int, int, int, int]], NDArray[np.int8]]


class GeneratorInterface(nn.Module):
    """A network from layout, style and noise to an image.

    Attributes:
        style_dim: length D of the style vector; 0 is a network without styles.
        condition: which channels of the layout it is given.
        classes: nuclear classes that it is given beside them.
        tissue: whether it takes what lies between the nuclei.
        between: draws that where a layout says nothing: from a style (1, D), a seed, and a part of the image (absolute
            top and left, height, width) to (height, width, 5) int8. None leaves it unsaid.
        stride: px; sides of what it paints are multiples of it.
        smallest: px; the shortest side that it paints.
    """

    style_dim: int = 0
    condition: Condition
    classes: int = 0
    tissue: bool = False
    between: Between | None = None
    stride: int
    smallest: int

    @property
    def beside(self) -> int:
        """The layout's last channels that it is given beside the condition: tissue and classes."""
        return TISSUE_CHANNELS * self.tissue + self.classes

    @property
    def layout_channels(self) -> int:
        """Channels of the layout that it is called with: 19, or 21 with boundary or depth, and `beside`."""
        return channels_of([self.condition]) + self.beside

    def draw_noise(self, n: int, height: int, width: int, random: torch.Generator) -> list[Tensor | None]:
        """Fresh noise for a batch; an entry for each place that can take noise."""
        raise NotImplementedError

    def noise_of(self, seed: int, height: int, width: int) -> list[Tensor | None]:
        """The noise of one image, a function of the seed alone, on the CPU."""
        raise NotImplementedError

    def forward(
        self,
        layout: Tensor,
        style: Tensor,
        noise: Sequence[Tensor | None] | None = None,
        place: Tensor | None = None,
    ) -> Tensor:
        """The painted image.

        Args:
            layout: (n, 19 or 21, h, w), see `sian.networks.stack`.
            style: (n, D).
            noise: as `draw_noise` gives it, or None for none.
            place: (n, 2) integers, the first row and column in px of each image in the window of 256 px that its style
                is of; None for the upper left. Networks whose style has no places do without.

        Returns:
            (n, 3, h, w) in [-1, 1].
        """
        raise NotImplementedError
