"""SegNet and the U-Net: published size, any image size, gradients everywhere, modes that agree."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sian.networks.segnet import SegNet
from sian.networks.unet import UNet
from sian.segmentation.networks import build

OUTPUTS = {SegNet: 3, UNet: 19}


def images(height, width, n=2):
    return torch.rand((n, 3, height, width), generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_segnet_is_vgg16_and_its_mirror():
    network = SegNet(64)
    convolutions = [part for part in network.modules() if isinstance(part, nn.Conv2d)]
    assert len(convolutions) == 13 + 13 + 1
    encoder = [part.out_channels for part in network.encoder.modules() if isinstance(part, nn.Conv2d)]
    assert encoder == [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    parameters = sum(p.numel() for p in network.parameters())
    assert 29.3e6 < parameters < 29.6e6  # the published 29.47 M, and a head that is a layer of its own


def test_unpooling_puts_values_where_pooling_took_them():
    class Identity(nn.Module):
        def forward(self, x):
            return x

    network = SegNet(2)
    network.encoder = nn.ModuleList([Identity()] * 5)
    network.decoder = nn.ModuleList([Identity()] * 5)
    network.head = Identity()
    image = torch.zeros((1, 3, 32, 32))
    image[0, 0, 11, 22] = 5.0
    torch.testing.assert_close(network(image), image)


@pytest.mark.parametrize("kind", [SegNet, UNet])
@pytest.mark.parametrize("levels", [3, 5])
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 96)])
def test_any_size(kind, levels, size):
    network = kind(width=2, levels=levels).eval()
    assert network(images(*size)).shape == (2, OUTPUTS[kind], *size)


@pytest.mark.parametrize("size", [(1, 1), (7, 90)])
def test_unet_takes_even_the_smallest(size):
    assert UNet(width=2).eval()(images(*size)).shape == (2, 19, *size)


@pytest.mark.parametrize("kind", [SegNet, UNet])
def test_gradients_reach_every_parameter(kind):
    torch.manual_seed(0)
    network = kind(width=4)
    network(images(64, 64)).square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in network.parameters())


@pytest.mark.parametrize("kind", ["segnet", "unet"])
def test_weights_are_a_function_of_the_seed_alone(kind):
    before = torch.random.get_rng_state()
    first, second, other = (build(kind, 2, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


@pytest.mark.parametrize("kind", ["segnet", "unet"])
def test_an_image_does_not_depend_on_its_batch(kind):
    network = build(kind, 4).eval()
    batch = images(64, 64, 3)
    torch.testing.assert_close(network(batch)[1:2], network(batch[1:2]), atol=1e-3, rtol=1e-3)
