"""The SIAN block: style-guided instance-adaptive normalisation (paper, section 3.2, Figure 4 and Eq. 3).

The two branches, direction with P and distance with Q, have the same architecture. They are written here as one
grouped convolution with two groups, and the sum of the two branches' gamma and beta convolutions as one convolution
over the concatenated features: the same function, fewer and larger calls.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sian.networks.convolution import Padding, conv
from sian.networks.initial import draw
from sian.networks.layouts import DIRECTION_CLASSES, LAYOUT_CHANNELS


class SianBlock(nn.Module):
    """Modulate normalised features by semantics, style and instance layout.

    For branch b in {direction with P, distance with Q}::

        a = ReLU(conv3x3_b(M))                      semantization
        a = a * linear_b(S)                         stylization
        a = a * conv1x1_b(P or Q)                   instantiation
        a = ReLU(conv3x3_b(a))                      compensation
        gamma_b, beta_b = conv3x3_b(a)              modulation
        out = (1 + sum_b gamma_b) * normalised + sum_b beta_b

    "1 +" as in SPADE's code (the paper's Eq. 3 has it inside gamma). The style factor and the 1x1 factor start near
    1, so that the product of three passes signal at the first step.

    Args:
        channels: channels C of the features that are modulated.
        hidden: channels h of each branch.
        style_dim: length D of the style vector.
        padding: what the 3x3 convolutions see beyond the border.
        direction: whether the direction branch exists (ablation).
        distance: whether the distance branch exists (ablation).
        style: whether the style factor exists (ablation).
        beside: channels that M comes with, tissue and nuclear classes; the paper has none.

    Without either branch, one without instantiation is left: the style multiplies the features of M alone. Without
    branches and style nothing is multiplied, and there is nothing to compensate for: the block is SPADE's.
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        style_dim: int,
        *,
        padding: Padding = "zeros",
        direction: bool = True,
        distance: bool = True,
        style: bool = True,
        beside: int = 0,
    ) -> None:
        super().__init__()
        self.beside = beside
        self.branches = max(1, int(direction) + int(distance))
        features = self.branches * hidden
        self.semantics = conv(1 + beside, features, padding=padding)
        self.style = nn.Linear(style_dim, features) if style else None
        self.direction = conv(DIRECTION_CLASSES, hidden, 1) if direction else None
        self.distance = conv(1, hidden, 1) if distance else None
        multiplied = style or direction or distance
        self.compensation = conv(features, features, padding=padding, groups=self.branches) if multiplied else None
        self.modulation = conv(features, 2 * channels, padding=padding)
        for factor in (self.style, self.direction, self.distance):
            if factor is not None:
                draw(nn.init.normal_, factor.weight, std=0.1 / factor.weight[0].numel() ** 0.5)
                nn.init.ones_(factor.bias)  # type: ignore[arg-type]  # both layers are built with a bias
        draw(nn.init.normal_, self.modulation.weight, std=0.02)
        nn.init.zeros_(self.modulation.bias)  # type: ignore[arg-type]

    def forward(self, normalised: Tensor, layout: Tensor, style: Tensor) -> Tensor:
        """Modulated features.

        Args:
            normalised: (n, C, h, w), batch-normalised without affine.
            layout: (n, 19 + beside, h, w) of the same size: M, P, Q, tissue, classes.
            style: (n, D).
        """
        semantic, distance = layout[:, :1], layout[:, LAYOUT_CHANNELS - 1 : LAYOUT_CHANNELS]
        if self.beside:
            semantic = torch.cat([semantic, layout[:, -self.beside :]], 1)
        a = F.relu(self.semantics(semantic))  # (n, branches * hidden, h, w)
        if self.style is not None:
            a = a * self.style(style)[:, :, None, None]
        instances = [
            factor(maps)
            for factor, maps in ((self.direction, layout[:, 1 : LAYOUT_CHANNELS - 1]), (self.distance, distance))
            if factor is not None
        ]
        if instances:
            a = a * torch.cat(instances, 1)
        if self.compensation is not None:
            a = F.relu(self.compensation(a))
        gamma, beta = self.modulation(a).chunk(2, 1)  # each (n, C, h, w)
        return torch.addcmul(normalised + beta, normalised, gamma)
