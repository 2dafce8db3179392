"""A residual U-Net that predicts a nucleus mask's layout: M, P and Q (paper, section 3.2, as targets).

The modern baseline beside SegNet. What it learns of a pixel is what the generator is told of it: whether it is
nuclear, in which of the sixteen directions and rings the centroid lies, and how far from the outline it is.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sian.networks.layouts import DIRECTION_CLASSES

OUTPUTS = 1 + DIRECTION_CLASSES + 1  # M, the seventeen classes of P, Q
MULTIPLES = (1, 2, 4, 8, 8)  # of the width, for each resolution
STRIDE = 2 ** (len(MULTIPLES) - 1)


class UNet(nn.Module):
    """Layout of each pixel, at the image's own size.

    Args:
        width: channels of the first resolution.
        levels: how many resolutions, each half the one before.
    """

    def __init__(self, width: int = 32, levels: int = 5) -> None:
        super().__init__()
        channels = [width * multiple for multiple in MULTIPLES[:levels]]
        self.stem = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.down = nn.ModuleList(
            ResidualBlock(start, end) for start, end in zip([width, *channels[:-1]], channels, strict=True)
        )
        self.up = nn.ModuleList(ResidualBlock(coarse + fine, fine) for fine, coarse in pairwise(channels))
        self.head = nn.Conv2d(width, OUTPUTS, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of M, logits of P's classes, and Q: (n, 19, h, w).

        Args:
            image: (n, 3, h, w) in [-1, 1]; any h and w: it is padded by its last rows and columns to multiples
                of 16, and the output is cut back.
        """
        height, width = image.shape[-2:]
        x = self.stem(F.pad(image, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate"))
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for block in reversed(self.up):
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skips.pop()], 1))
        out: Tensor = self.head(x)
        return out[..., :height, :width]


class ResidualBlock(nn.Module):
    """Two convolutions with batch norm beside a straight path (He et al. 2016), ReLU after the sum."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.straight = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h, w)."""
        return F.relu(self.straight(x) + self.body(x), inplace=True)
