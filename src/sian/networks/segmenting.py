"""A discriminator that segments: for each pixel background, interior or contour of a nucleus, or painted.

After Schönfeld et al. 2021 (OASIS), whose discriminator tells the classes of real pixels and one class more for painted
ones; one class for all nuclei would say nothing about where touching ones end, so the contour is a class. It sees the
image alone: with the layout beside it the classes would be given away.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from sian.networks.layouts import LAYOUT_CHANNELS

BACKGROUND, INTERIOR, CONTOUR, PAINTED = range(4)
CLASSES = 4
CONTOUR_BELOW = 0.3  # of Q: about the outer two pixels of a nucleus of 16 px
SLOPE = 0.2


def pixel_classes(layout: Tensor) -> Tensor:
    """What each real pixel is: (n, h, w) of BACKGROUND, INTERIOR, CONTOUR.

    Args:
        layout: (n, 19 or 21, h, w): M, one-hot P, Q, ...
    """
    nucleus, distance = layout[:, 0] > 0.5, layout[:, LAYOUT_CHANNELS - 1]
    classes = torch.where(distance < CONTOUR_BELOW, CONTOUR, INTERIOR)
    return torch.where(nucleus, classes, BACKGROUND)


class SegmentingDiscriminator(nn.Module):
    """A small U-Net from an image to logits of the four classes; spectral norm, and no other norm that hides colour.

    Args:
        width: channels at half of the image's size; twice and four times as many at a quarter and an eighth.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()

        def down(inputs: int, outputs: int) -> nn.Module:
            return spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, padding=1))

        def same(inputs: int, outputs: int) -> nn.Module:
            return spectral_norm(nn.Conv2d(inputs, outputs, 3, padding=1))

        self.to_half, self.to_quarter, self.to_eighth = (
            down(3, width),
            down(width, 2 * width),
            down(2 * width, 4 * width),
        )
        self.bottom = same(4 * width, 4 * width)
        self.up_quarter, self.up_half = same(6 * width, 2 * width), same(3 * width, width)
        self.classes = nn.Conv2d(width, CLASSES * 4, 3, padding=1)  # for each of the four pixels below

    def forward(self, image: Tensor) -> Tensor:
        """Logits (n, 4, h, w).

        Args:
            image: (n, 3, h, w) in [-1, 1], sides divisible by 8.
        """
        half = F.leaky_relu(self.to_half(image), SLOPE)
        quarter = F.leaky_relu(self.to_quarter(half), SLOPE)
        x = F.leaky_relu(self.to_eighth(quarter), SLOPE)
        x = F.leaky_relu(self.bottom(x), SLOPE)
        x = F.leaky_relu(self.up_quarter(torch.cat([_doubled(x), quarter], 1)), SLOPE)
        x = F.leaky_relu(self.up_half(torch.cat([_doubled(x), half], 1)), SLOPE)
        return F.pixel_shuffle(self.classes(x), 2)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")
