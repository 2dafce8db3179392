"""The multi-scale patch discriminator that sees image and layout (SPADE's; paper, section 3.1)."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from sian.networks.feature_heads import FeatureHeads, Features
from sian.networks.layouts import CONDITIONS, Condition
from sian.networks.segmenting import SegmentingDiscriminator

SLOPE = 0.2


class PatchDiscriminator(nn.Module):
    """One scale: 4x4 convolutions to a map of scores, each score seeing 70 px for four layers.

    Args:
        inputs: channels in.
        width: channels of the first layer.
        layers: convolutions before the scores; the last has stride 1.
        spectral: spectral norm on all but the first layer and the scores (SPADE).
        padding: of every convolution.
        affine: whether instance norm has an affine map.
    """

    def __init__(
        self,
        inputs: int,
        width: int = 64,
        layers: int = 4,
        *,
        spectral: bool = True,
        padding: int = 2,
        affine: bool = False,
    ) -> None:
        super().__init__()
        channels = [inputs, *(width * min(2**i, 8) for i in range(layers))]
        self.layers = nn.ModuleList()
        for index, (before, after) in enumerate(pairwise(channels)):
            stride = 1 if index == layers - 1 else 2
            if index == 0:
                self.layers.append(nn.Conv2d(before, after, 4, stride, padding=padding))
            else:
                plain: nn.Module = nn.Conv2d(before, after, 4, stride, padding=padding, bias=False)
                plain = spectral_norm(plain) if spectral else plain
                self.layers.append(nn.Sequential(plain, nn.InstanceNorm2d(after, affine=affine)))
        self.score = nn.Conv2d(channels[-1], 1, 4, 1, padding=padding)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of each layer, then the scores (n, 1, h', w')."""
        outputs = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
            outputs.append(x)
        return [*outputs, self.score(x)]


class Discriminator(nn.Module):
    """Patch discriminators on the image and on its halves.

    Args:
        width: channels of the first layer (SPADE: 64).
        scales: how many sizes look at the image.
        layers: convolutions before the scores.
        condition: what it sees of the layout beside the image: M, P and Q, or less (ablation).
        classes: nuclear classes that it sees beside that.
        segmenting: width of a `SegmentingDiscriminator` beside the patches; 0 for none.
        features: width of `FeatureHeads` beside the patches; 0 for none.
    """

    def __init__(
        self,
        width: int = 64,
        scales: int = 2,
        layers: int = 4,
        condition: Condition = "layout",
        segmenting: int = 0,
        features: int = 0,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.condition: Condition = condition
        self.classes = classes
        self.segmenting = SegmentingDiscriminator(segmenting) if segmenting else None
        seen = len(CONDITIONS[condition]) + classes
        self.heads = FeatureHeads(features, seen) if features else None
        self.scales = nn.ModuleList(self.patch(3 + seen, width, layers) for _ in range(scales))

    def patch(self, inputs: int, width: int, layers: int) -> nn.Module:
        """The discriminator of one scale."""
        return PatchDiscriminator(inputs, width, layers)

    def forward(self, pair: Tensor, features: Features | None = None) -> list[list[Tensor]]:
        """For each scale the features of its layers and, last, its scores.

        Args:
            pair: (n, 3 + c, h, w): image in [-1, 1], then what `condition` names of the layout, and
                classes.
            features: the image's, for a network with feature heads; see `feature_pyramid`.

        Returns:
            One list a scale; with feature heads one more for each, which holds its scores alone; with a segmenting
            part one list more, which holds its logits (n, 4, h, w).
        """
        outputs = []
        image, layout = pair[:, :3], pair[:, 3:]
        for index, scale in enumerate(self.scales):
            if index:
                pair = F.avg_pool2d(pair, 3, stride=2, padding=1, count_include_pad=False)
            outputs.append(scale(pair))
        if self.heads is not None:
            if features is None:
                raise ValueError("the feature heads were given no features")
            outputs += self.heads(features, layout)
        return outputs if self.segmenting is None else [*outputs, [self.segmenting(image)]]
