"""The Inception network that FID and KID are defined by: images in, 2048 pooled features out.

It is the network of TensorFlow's 2015-12-05 graph (Szegedy et al. 2015, "Rethinking the Inception
Architecture"), which differs from torchvision's Inception v3 in three places: its average pools leave the
padding out of the mean, the pool branch of the last block is a max pool, and images are resized to 299 x 299
without antialiasing and scaled as (x - 128) / 128. Keys of the state dict are those of pytorch-fid. The
1008-way classifier is left out.

This file knows no weight files; `sian.evaluation.features` reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping

FEATURES = 2048
INPUT_SIZE = 299
BATCH_NORM_EPS = 0.001  # the TensorFlow graph's

Step = tuple[str, int, tuple[int, int], int]  # name, channels out, kernel, stride


class ConvBlock(nn.Module):
    """Convolution without bias, batch norm, ReLU; padded to keep the size unless it strides."""

    def __init__(
        self, channels_in: int, channels: int, kernel: tuple[int, int], stride: int = 1, pad: bool = True
    ) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if pad and stride == 1 else (0, 0)
        self.conv = nn.Conv2d(channels_in, channels, kernel, stride, padding, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(channels, eps=BATCH_NORM_EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features of the next layer."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Mixed(nn.Module):
    """One inception block: parallel branches, concatenated.

    Args:
        channels_in: channels that the block sees.
        branches: each a chain of steps; the names of a fork's two arms end in ``a`` and ``b``.
        pool: ``"average"`` or ``"max"``: what the pool branch does first.
        pool_channels: channels of the 1 x 1 convolution after the pool, or 0 for a plain pool with stride 2.
    """

    def __init__(
        self, channels_in: int, branches: list[list[Step]], pool: str = "average", pool_channels: int = 0
    ) -> None:
        super().__init__()
        self.chains = [[name for name, *_ in branch] for branch in branches]
        self.pool = pool
        self.channels = (pool_channels or channels_in) + sum(_channels_out(branch) for branch in branches)
        for branch in branches:
            channels = channels_in
            for name, out, kernel, stride in branch:
                self.add_module(name, ConvBlock(channels, out, kernel, stride))
                channels = channels if name.endswith("a") else out  # both arms of a fork see the same input
        if pool_channels:
            self.add_module("branch_pool", ConvBlock(channels_in, pool_channels, (1, 1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features of the next block."""
        return torch.cat([*(self._branch(chain, x) for chain in self.chains), self._pool(x)], dim=1)

    def _branch(self, chain: list[str], x: torch.Tensor) -> torch.Tensor:
        fork = [name for name in chain if name.endswith(("a", "b"))]
        for name in chain[: len(chain) - len(fork)]:
            x = self.get_submodule(name)(x)
        return torch.cat([self.get_submodule(name)(x) for name in fork], dim=1) if fork else x

    def _pool(self, x: torch.Tensor) -> torch.Tensor:
        if "branch_pool" not in self._modules:
            return F.max_pool2d(x, 3, stride=2)
        if self.pool == "max":
            x = F.max_pool2d(x, 3, stride=1, padding=1)
        else:
            x = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        pooled: torch.Tensor = self.get_submodule("branch_pool")(x)
        return pooled


def _channels_out(branch: list[Step]) -> int:
    arms = [step[1] for step in branch if step[0].endswith(("a", "b"))]
    return sum(arms) if arms else branch[-1][1]


class Inception(nn.Module):
    """The FID Inception up to its 2048-d global average pool.

    Input (n, 3, h, w) of any size, uint8 or float on 0..255, RGB; output (n, 2048) of the weights' dtype. In
    eval mode from the start: its batch norm is never trained here.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvBlock(3, 32, (3, 3), 2)
        self.Conv2d_2a_3x3 = ConvBlock(32, 32, (3, 3), pad=False)
        self.Conv2d_2b_3x3 = ConvBlock(32, 64, (3, 3))
        self.Conv2d_3b_1x1 = ConvBlock(64, 80, (1, 1))
        self.Conv2d_4a_3x3 = ConvBlock(80, 192, (3, 3), pad=False)
        self.Mixed_5b = _block_35(192, pool_channels=32)
        self.Mixed_5c = _block_35(256, pool_channels=64)
        self.Mixed_5d = _block_35(288, pool_channels=64)
        self.Mixed_6a = _reduction_35(288)
        self.Mixed_6b = _block_17(128)
        self.Mixed_6c = _block_17(160)
        self.Mixed_6d = _block_17(160)
        self.Mixed_6e = _block_17(192)
        self.Mixed_7a = _reduction_17(768)
        self.Mixed_7b = _block_8(1280, pool="average")
        self.Mixed_7c = _block_8(2048, pool="max")
        self.eval().requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (n, 2048) of images (n, 3, h, w) on 0..255."""
        x = self.prepare(images)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = F.max_pool2d(x, 3, stride=2)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
        x = F.max_pool2d(x, 3, stride=2)  # (n, 192, 35, 35)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6a(x)  # (n, 768, 17, 17)
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))  # (n, 2048, 8, 8)
        features: torch.Tensor = x.mean(dim=(2, 3))
        return features

    def prepare(self, images: torch.Tensor) -> torch.Tensor:
        """Resize to 299 x 299 (bilinear, half-pixel centres, no antialiasing) and scale to about [-1, 1]."""
        weight = self.Conv2d_1a_3x3.conv.weight
        x = images.to(weight.device, weight.dtype, memory_format=torch.channels_last)
        x = F.interpolate(x, (INPUT_SIZE, INPUT_SIZE), mode="bilinear", align_corners=False)
        return (x - 128) / 128

    def train(self, mode: bool = True) -> Inception:
        """Stay in eval mode: a feature extractor whose features depend on the batch measures nothing."""
        del mode
        return super().train(False)

    def fused(self) -> Inception:
        """The same network with batch norm folded into the convolutions and channels last, in place.

        A third faster on a CPU; features move by 1e-5.
        """
        for module in self.modules():
            if isinstance(module, ConvBlock) and isinstance(module.bn, nn.BatchNorm2d):
                module.conv = nn.utils.fusion.fuse_conv_bn_eval(module.conv, module.bn)
                module.bn = nn.Identity()
        for parameter in self.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return self


def inception_from(state: Mapping[str, torch.Tensor]) -> Inception:
    """The network with the weights of a pytorch-fid state dict, cast to float32.

    Args:
        state: keys as ``Mixed_5b.branch1x1.conv.weight``; ``fc.*`` and ``num_batches_tracked`` are ignored.

    Raises:
        RuntimeError: torch's own words on keys that are missing or do not belong.
    """
    wanted = {k: v.float() for k, v in state.items() if not k.startswith("fc.") and "num_batches" not in k}
    network = Inception()
    counters = {k: v for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")}
    network.load_state_dict({**wanted, **counters})
    return network


def _block_35(channels_in: int, pool_channels: int) -> Mixed:
    branches: list[list[Step]] = [
        [("branch1x1", 64, (1, 1), 1)],
        [("branch5x5_1", 48, (1, 1), 1), ("branch5x5_2", 64, (5, 5), 1)],
        [
            ("branch3x3dbl_1", 64, (1, 1), 1),
            ("branch3x3dbl_2", 96, (3, 3), 1),
            ("branch3x3dbl_3", 96, (3, 3), 1),
        ],
    ]
    return Mixed(channels_in, branches, pool_channels=pool_channels)


def _reduction_35(channels_in: int) -> Mixed:
    branches: list[list[Step]] = [
        [("branch3x3", 384, (3, 3), 2)],
        [
            ("branch3x3dbl_1", 64, (1, 1), 1),
            ("branch3x3dbl_2", 96, (3, 3), 1),
            ("branch3x3dbl_3", 96, (3, 3), 2),
        ],
    ]
    return Mixed(channels_in, branches)


def _block_17(width: int) -> Mixed:
    branches: list[list[Step]] = [
        [("branch1x1", 192, (1, 1), 1)],
        [
            ("branch7x7_1", width, (1, 1), 1),
            ("branch7x7_2", width, (1, 7), 1),
            ("branch7x7_3", 192, (7, 1), 1),
        ],
        [
            ("branch7x7dbl_1", width, (1, 1), 1),
            ("branch7x7dbl_2", width, (7, 1), 1),
            ("branch7x7dbl_3", width, (1, 7), 1),
            ("branch7x7dbl_4", width, (7, 1), 1),
            ("branch7x7dbl_5", 192, (1, 7), 1),
        ],
    ]
    return Mixed(768, branches, pool_channels=192)


def _reduction_17(channels_in: int) -> Mixed:
    branches: list[list[Step]] = [
        [("branch3x3_1", 192, (1, 1), 1), ("branch3x3_2", 320, (3, 3), 2)],
        [
            ("branch7x7x3_1", 192, (1, 1), 1),
            ("branch7x7x3_2", 192, (1, 7), 1),
            ("branch7x7x3_3", 192, (7, 1), 1),
            ("branch7x7x3_4", 192, (3, 3), 2),
        ],
    ]
    return Mixed(channels_in, branches)


def _block_8(channels_in: int, pool: str) -> Mixed:
    branches: list[list[Step]] = [
        [("branch1x1", 320, (1, 1), 1)],
        [
            ("branch3x3_1", 384, (1, 1), 1),
            ("branch3x3_2a", 384, (1, 3), 1),
            ("branch3x3_2b", 384, (3, 1), 1),
        ],
        [
            ("branch3x3dbl_1", 448, (1, 1), 1),
            ("branch3x3dbl_2", 384, (3, 3), 1),
            ("branch3x3dbl_3a", 384, (1, 3), 1),
            ("branch3x3dbl_3b", 384, (3, 1), 1),
        ],
    ]
    return Mixed(channels_in, branches, pool=pool, pool_channels=192)
