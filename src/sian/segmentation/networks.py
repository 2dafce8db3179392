"""The segmenters' networks by name: a new one is a line here, one in `losses.TERMS` and one in `instances`."""

from __future__ import annotations

import torch
from torch import nn

from sian import seeds
from sian.networks.initial import draw
from sian.networks.segnet import SegNet
from sian.networks.unet import UNet

HEAD_DEVIATION = 0.01  # of U-Net's last layer: Q is squared in its loss, and He's weights start it far above its 0 to 1

NETWORKS: dict[str, type[SegNet | UNet]] = {"segnet": SegNet, "unet": UNet}


def build(kind: str, width: int, levels: int = 5, seed: int = 0) -> nn.Module:
    """A network with He's initial weights, which depend on the seed alone; the global random state stays.

    Args:
        kind: a key of `NETWORKS`.
        width: channels of the first resolution.
        levels: how many resolutions.
        seed: the run's.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derive(seed, "segmenter"))
        network = NETWORKS[kind](width=width, levels=levels)
        for part in network.modules():
            if isinstance(part, nn.Conv2d):
                draw(nn.init.kaiming_normal_, part.weight, nonlinearity="relu")
        if isinstance(network, UNet):
            draw(nn.init.normal_, network.head.weight, std=HEAD_DEVIATION)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
