"""VGG19 up to relu5_1 for the perceptual loss (paper, section 3.1); weights come as a state dict, never from a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONVOLUTIONS = (
    *("conv1_1", "conv1_2", "pool", "conv2_1", "conv2_2", "pool"),
    *("conv3_1", "conv3_2", "conv3_3", "conv3_4", "pool"),
    *("conv4_1", "conv4_2", "conv4_3", "conv4_4", "pool", "conv5_1"),
)
MEAN = (0.48502, 0.457957, 0.407604)  # of ImageNet in RGB, range 0 to 1

# SPADE's layer weights 1/32 ... 1, and what they become for weights whose filters are normalised to a mean activation
# of 1: times the measured ratio of the two networks' distances on H&E windows.
LAYER_WEIGHTS: dict[str, tuple[float, ...]] = {
    "torchvision": (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0),
    "normalised": (0.004, 0.046, 0.11, 0.21, 0.48),
}

ActivationScale = Literal["torchvision", "normalised"]


class VggFeatures(nn.Module):
    """Frozen VGG19 features.

    Args:
        state: `conv1_1.weight` (OIHW), `conv1_1.bias`, ... of any float dtype.
        scale: whose activations these are: torchvision's, fed raw [-1, 1] images as SPADE's code does, or
            normalised ones, fed images minus the ImageNet mean.
        layers: which of `LAYERS` to return; nothing deeper is computed.
    """

    def __init__(self, state: Mapping[str, Tensor], scale: ActivationScale, layers: Sequence[str] = LAYERS) -> None:
        super().__init__()
        self.wanted, self.scale = tuple(layers), scale
        deepest = max(CONVOLUTIONS.index(name.replace("relu", "conv")) for name in layers)
        self.steps = CONVOLUTIONS[: deepest + 1]
        self.convs = nn.ModuleDict()
        for name in self.steps:
            if name != "pool":
                weight = state[f"{name}.weight"].float()
                layer = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
                layer.weight.data.copy_(weight)
                layer.bias.data.copy_(state[f"{name}.bias"].float())  # type: ignore[union-attr]
                self.convs[name] = layer
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.requires_grad_(False)
        self.eval()

    @property
    def raw(self) -> bool:
        """Whether its activations are torchvision's."""
        return self.scale == "torchvision"

    @property
    def layer_weights(self) -> dict[str, float]:
        """The weight of each returned layer in the perceptual loss, for this network's scale."""
        weights = dict(zip(LAYERS, LAYER_WEIGHTS[self.scale], strict=True))
        return {name: weights[name] for name in self.wanted}

    def size(self, name: str) -> float:
        """How large a layer's activations are beside those of the normalised network, as measured for the weights.

        Args:
            name: one of `LAYERS`, or "half." and one of them.
        """
        place = LAYERS.index(name.removeprefix("half."))
        return LAYER_WEIGHTS["normalised"][place] / LAYER_WEIGHTS["torchvision"][place] if self.raw else 1.0

    def forward(self, image: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Features by layer name.

        Args:
            image: (n, 3, h, w) in [-1, 1].
            layers: fewer than the network was built for; nothing deeper is computed.
        """
        wanted = self.wanted if layers is None else tuple(layers)
        deepest = max(self.steps.index(name.replace("relu", "conv")) for name in wanted)
        x = image if self.raw else (image + 1) / 2 - self.mean
        features = {}
        for name in self.steps[: deepest + 1]:
            if name == "pool":
                x = F.max_pool2d(x, 2)
                continue
            x = F.relu(self.convs[name](x))
            if (relu := name.replace("conv", "relu")) in wanted:
                features[relu] = x
        return features
