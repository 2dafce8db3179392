"""The style encoder: a reference image to the mean and log-variance of its style vector (SPADE's; paper, section 3.1).

Instance norm hides the mean colour of an image, which is most of what a stain is. With `statistics` the encoder is
also given mean, deviation and covariance of the image's optical density, which the faithful one does not see.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from sian.networks.initial import draw

REFERENCE_SIZE = 256  # px; the encoder always sees windows of this size (docs/design.md, "Networks")
STATISTICS = 9  # 3 means, 3 deviations, 3 correlations of optical density
SLOPE = 0.2


def stain_statistics(image: Tensor) -> Tensor:
    """Mean, deviation and correlation of the three channels' optical density.

    Args:
        image: (n, 3, h, w) in [-1, 1].

    Returns:
        (n, 9): means, standard deviations, correlations of R-G, R-B, G-B.
    """
    density = -torch.log10(((image.float() + 1) / 2 * 255 + 1) / 256).flatten(2)  # (n, 3, pixels), 0 is white
    mean = density.mean(2)
    centred = density - mean[:, :, None]
    deviation = centred.square().mean(2).add(1e-6).sqrt()
    pairs = [
        (centred[:, i] * centred[:, j]).mean(1) / (deviation[:, i] * deviation[:, j])
        for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    return torch.cat([mean, deviation, torch.stack(pairs, 1)], 1)


class StyleEncoder(nn.Module):
    """SPADE's encoder: six strided convolutions with spectral and instance norm, two linear maps.

    Args:
        width: channels of the first convolution; SPADE's 64 gives 10.5 M parameters.
        style_dim: length D of the style vector.
        statistics: whether the linear maps also see the stain statistics.
        spectral: whether spectral norm is on, or folded into the weights.
    """

    def __init__(
        self, width: int = 64, style_dim: int = 256, *, statistics: bool = False, spectral: bool = True
    ) -> None:
        super().__init__()
        channels = [3, width, 2 * width, 4 * width, 8 * width, 8 * width, 8 * width]
        self.convs = nn.ModuleList()
        for inputs, outputs in pairwise(channels):
            layer = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
            self.convs.append(spectral_norm(layer) if spectral else layer)
        self.statistics = statistics
        features = channels[-1] * (REFERENCE_SIZE // 2**6) ** 2
        self.mean = nn.Linear(features + STATISTICS * statistics, style_dim)
        self.log_variance = nn.Linear(features + STATISTICS * statistics, style_dim)
        if statistics:  # so that colour is heard beside thousands of features
            draw(nn.init.normal_, self.mean.weight[:, -STATISTICS:], std=1.0)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, each (n, D).

        Args:
            image: (n, 3, 256, 256) in [-1, 1].
        """
        x = image
        for index, layer in enumerate(self.convs):
            x = F.instance_norm(layer(x if index == 0 else F.leaky_relu(x, SLOPE)))
        x = F.leaky_relu(x, SLOPE).flatten(1)  # (n, 8 * width * 16)
        if self.statistics:
            x = torch.cat([x, stain_statistics(image).to(x.dtype)], 1)
        return self.mean(x), self.log_variance(x)
