"""SegNet (Badrinarayanan et al. 2017): VGG16's thirteen convolutions, pooling indices, the mirrored decoder.

The judge of the paper's section 4: it labels each pixel background, interior or border. Batch norm follows each
convolution; the decoder puts values back where the encoder's max pooling took them from. `width` 64 is the
original's; all channels scale with it.
"""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

BACKGROUND, INTERIOR, BORDER = 0, 1, 2
CLASSES = 3
MULTIPLES = (1, 2, 4, 8, 8)  # of the width: VGG16's 64, 128, 256, 512, 512
CONVOLUTIONS = (2, 2, 3, 3, 3)  # of VGG16, for each resolution
STRIDE = 2 ** len(MULTIPLES)


class SegNet(nn.Module):
    """Labels for each pixel, at the image's own size.

    Args:
        width: channels of the first resolution; the paper's is 64 (29.47 M parameters).
        levels: how many of VGG16's five resolutions; the paper has all. Nothing passes by the coarsest one but
            pooling indices, and at 1/32 a nucleus is smaller than a cell: fewer levels learn faster.
        classes: of the output.
    """

    def __init__(self, width: int = 64, levels: int = 5, classes: int = CLASSES) -> None:
        super().__init__()
        channels = [width * multiple for multiple in MULTIPLES[:levels]]
        counts = CONVOLUTIONS[:levels]
        before = [3, *channels[:-1]]
        after = [width, *channels[:-1]]  # the decoder's outputs: what the next finer resolution expects
        self.encoder = nn.ModuleList(
            _chain([start, *[end] * count]) for start, end, count in zip(before, channels, counts, strict=True)
        )
        self.decoder = nn.ModuleList(
            _chain([*[start] * count, end]) for start, end, count in zip(channels, after, counts, strict=True)
        )
        self.head = nn.Conv2d(width, classes, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (n, classes, h, w).

        Args:
            image: (n, 3, h, w) in [-1, 1]; any h and w of at least 32.
        """
        x, pooled = image, []
        for block in self.encoder:
            x = block(x)
            size = x.shape[-2:]
            x, indices = F.max_pool2d(x, 2, return_indices=True)
            pooled.append((indices, size))
        for block, (indices, size) in zip(reversed(self.decoder), reversed(pooled), strict=True):
            x = block(F.max_unpool2d(x, indices, [2, 2], output_size=list(size)))
        logits: Tensor = self.head(x)
        return logits


def _chain(channels: list[int]) -> nn.Sequential:
    """Convolutions from each number of channels to the next, each with batch norm and ReLU."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers += [
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
