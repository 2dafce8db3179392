"""Discriminator heads on features of a frozen, pre-trained network, which see the layout beside them.

After Sauer et al. 2021 (Projected GAN) and Berrada et al. 2024 (DP-SIMS): what tells painted from real tissue need not
be learned anew from thirty tiles. The features are VGG19's, of the image and of its half, so that the deepest ones see
fibres and glands; FID is measured with another network. VGG itself is not a part of the heads and in no checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from sian.networks.vgg import VggFeatures

FULL = ("relu2_1", "relu3_1")  # of the image
HALF = ("relu3_1", "relu4_1")  # of the image at half of its size
CHANNELS = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu5_1": 512}  # of VGG19
SLOPE = 0.2

Features = Mapping[str, Tensor]


def feature_pyramid(vgg: VggFeatures, image: Tensor) -> dict[str, Tensor]:
    """Features of an image and of its half, by names such as "relu3_1" and "half.relu3_1".

    Args:
        vgg: holds at least the layers of `FULL` and `HALF`; of the image itself all but relu4_1 and relu5_1 are given.
        image: (n, 3, h, w) in [-1, 1], sides divisible by 16.
    """
    of_image = vgg(image, tuple(name for name in vgg.wanted if name <= FULL[-1]))
    of_half = vgg(F.avg_pool2d(image, 2), HALF)
    return {**of_image, **{f"half.{name}": features for name, features in of_half.items()}}


class FeatureHeads(nn.Module):
    """One small network a feature map, from features and layout to a map of scores; spectral norm but for the scores.

    Args:
        width: channels between.
        condition: channels of what it sees of the layout.
    """

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        inputs = {name: CHANNELS[name] for name in FULL}
        inputs |= {f"half.{name}": CHANNELS[name] for name in HALF}
        self.names = tuple(inputs)
        self.squeeze = nn.ModuleList(spectral_norm(nn.Conv2d(c, width, 1)) for c in inputs.values())
        self.look = nn.ModuleList(spectral_norm(nn.Conv2d(width + condition, width, 3, padding=1)) for _ in inputs)
        self.score = nn.ModuleList(nn.Conv2d(width, 1, 1) for _ in inputs)

    def forward(self, features: Features, layout: Tensor) -> list[list[Tensor]]:
        """For each feature map a list that holds its scores alone, as a scale without features.

        Args:
            features: see `feature_pyramid`.
            layout: (n, c, h, w), at the image's size.
        """
        outputs = []
        pooled: dict[int, Tensor] = {}  # the layout by how many pixels one stands for; two of the four are alike
        for name, squeeze, look, score in zip(self.names, self.squeeze, self.look, self.score, strict=True):
            x = F.leaky_relu(squeeze(features[name]), SLOPE)
            factor = layout.shape[-1] // x.shape[-1]
            if factor not in pooled:
                pooled[factor] = F.avg_pool2d(layout, factor).to(x.dtype)
            x = F.leaky_relu(look(torch.cat([x, pooled[factor]], 1)), SLOPE)
            outputs.append([score(x)])
        return outputs
