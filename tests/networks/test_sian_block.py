"""The SIAN block against two plain branches, written line by line from the paper's section 3.2."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from tests.networks.contract import random
from tests.networks.test_contract import layout
from torch import Tensor

from sian.networks import SianBlock

CHANNELS, HIDDEN, STYLE = 6, 5, 4


def conv3(x: Tensor, weight: Tensor, bias: Tensor, padding: str) -> Tensor:
    """A 3x3 convolution with what lies beyond the border."""
    mode = "constant" if padding == "zeros" else padding
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode=mode), weight, bias)


def branch(
    block: SianBlock, index: int, maps: Tensor, factor: torch.nn.Conv2d | None, layout: Tensor, style: Tensor, pad: str
) -> tuple[Tensor, Tensor]:
    """gamma_b and beta_b of one branch, with its share of the block's weights."""
    own = slice(index * HIDDEN, (index + 1) * HIDDEN)
    a = F.relu(conv3(layout[:, :1], block.semantics.weight[own], block.semantics.bias[own], pad))
    if block.style is not None:
        a = a * (style @ block.style.weight[own].T + block.style.bias[own])[:, :, None, None]
    if factor is not None:
        a = a * (torch.einsum("ncyx,hc->nhyx", maps, factor.weight[:, :, 0, 0]) + factor.bias[:, None, None])
    if block.compensation is not None:
        a = F.relu(conv3(a, block.compensation.weight[own], block.compensation.bias[own], pad))
    gamma = conv3(a, block.modulation.weight[:CHANNELS, own], torch.zeros(CHANNELS, dtype=a.dtype), pad)
    beta = conv3(a, block.modulation.weight[CHANNELS:, own], torch.zeros(CHANNELS, dtype=a.dtype), pad)
    return gamma, beta


def reference(block: SianBlock, x: Tensor, layout: Tensor, style: Tensor, padding: str) -> Tensor:
    """(1 + gamma_dir + gamma_dis) * x + beta_dir + beta_dis; each branch's bias is a part of the sum's."""
    p, q = layout[:, 1:18], layout[:, 18:]
    branches = [(p, block.direction), (q, block.distance)]
    branches = [(maps, factor) for maps, factor in branches if factor is not None] or [(p, None)]
    parts = [branch(block, i, maps, factor, layout, style, padding) for i, (maps, factor) in enumerate(branches)]
    bias = block.modulation.bias[:, None, None]
    gamma = sum(gamma for gamma, _ in parts) + bias[:CHANNELS]
    beta = sum(beta for _, beta in parts) + bias[CHANNELS:]
    return (1 + gamma) * x + beta


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("direction", [True, False])
@pytest.mark.parametrize("distance", [True, False])
@pytest.mark.parametrize("style", [True, False])
def test_equals_two_plain_branches(padding, direction, distance, style):
    torch.manual_seed(0)
    block = SianBlock(
        CHANNELS, HIDDEN, STYLE, padding=padding, direction=direction, distance=distance, style=style
    ).double()
    for parameter in block.parameters():  # away from the start, where gamma is small
        parameter.data += 0.3 * torch.randn_like(parameter)
    x, maps, vector = random(2, CHANNELS, 8, 12).double(), layout(2, 8, 12).double(), random(2, STYLE).double()
    block.requires_grad_(False)
    expected = reference(block, x, maps, vector, padding)
    torch.testing.assert_close(block(x, maps, vector), expected, atol=1e-5, rtol=1e-5)
    assert float((expected - x).abs().mean()) > 0.1


def test_switches_leave_out_what_they_name():
    x, maps, vector = random(1, CHANNELS, 8, 8), layout(1, 8, 8), random(1, STYLE)
    turned, moved = maps.clone(), maps.clone()
    turned[:, 1:18] = maps[:, 1:18].roll(1, 1)  # another P
    moved[:, 18:] = 1 - maps[:, 18:]  # another Q

    def reacts(other_maps: Tensor, other_vector: Tensor, **switches: bool) -> bool:
        block = SianBlock(CHANNELS, HIDDEN, STYLE, **switches)
        return not torch.equal(block(x, maps, vector), block(x, other_maps, other_vector))

    torch.manual_seed(0)
    assert reacts(turned, vector)
    assert reacts(moved, vector)
    assert reacts(maps, vector + 1)
    assert not reacts(turned, vector, direction=False)
    assert reacts(moved, vector, direction=False)
    assert not reacts(moved, vector, distance=False)
    assert reacts(turned, vector, distance=False)
    assert not reacts(maps, vector + 1, style=False)
    assert not reacts(turned, vector, direction=False, distance=False)


@torch.no_grad()
def test_product_of_factors_passes_signal_at_the_start():
    torch.manual_seed(0)
    block = SianBlock(64, 48, 64)
    maps, vector = layout(4, 32, 32), random(4, 64)
    semantics = F.relu(block.semantics(maps[:, :1]))
    factors = block.style(vector)[:, :, None, None] * torch.cat(
        [block.direction(maps[:, 1:18]), block.distance(maps[:, 18:])], 1
    )
    assert 0.9 < float(factors.mean()) < 1.1
    assert float(factors.std()) < 0.3
    product = semantics * factors
    assert 0.8 < float(product.square().mean() / semantics.square().mean()) < 1.25
    x = random(4, 64, 32, 32, seed=5)
    assert 0.001 < float((block(x, maps, vector) - x).std()) < 1


def test_modulation_is_that_of_normalised_features():
    """With no modulation at all the block hands its input on: "1 +" as in SPADE's code."""
    block = SianBlock(CHANNELS, HIDDEN, STYLE)
    torch.nn.init.zeros_(block.modulation.weight)
    x = random(2, CHANNELS, 8, 8)
    assert torch.equal(block(x, layout(2, 8, 8), random(2, STYLE)), x)
