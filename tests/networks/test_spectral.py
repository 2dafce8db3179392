"""Folded weights back into networks with spectral norm: the function stays the file's."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from sian.networks import add_factors, load_folded
from sian.training.average import folded


def network(spectral: bool, seed: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first, second = nn.Conv2d(3, 5, 3), nn.Conv2d(5, 2, 3)
        return nn.Sequential(spectral_norm(first) if spectral else first, nn.BatchNorm2d(5), second)


def started(weights: dict[str, torch.Tensor]) -> nn.Sequential:
    with_norm = network(True, seed=1)
    add_factors(with_norm)
    load_folded(with_norm, weights)
    return with_norm


@pytest.mark.parametrize("norm", [0.3, 1.0, 40.0])
def test_the_function_is_the_one_of_the_folded_weights(norm):
    plain = network(False, seed=2)
    with torch.no_grad():
        matrix = plain[0].weight.flatten(1)
        plain[0].weight.mul_(norm / torch.linalg.matrix_norm(matrix, 2))
        plain[1].running_mean.fill_(0.3)
        plain[1].running_var.fill_(2.0)
    ready = started(plain.state_dict())
    image = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(ready.eval()(image), plain.eval()(image), atol=1e-5)
    assert torch.allclose(ready.train()(image), plain.train()(image), atol=1e-4)  # one more power iteration
    for name, tensor in folded(started(plain.state_dict())).items():
        assert torch.allclose(tensor, plain.state_dict()[name], atol=1e-6), name


def test_the_norm_is_kept_while_the_weight_learns():
    plain = network(False, seed=2)
    before = torch.linalg.matrix_norm(plain[0].weight.detach().flatten(1), 2)
    ready = started(plain.state_dict())
    optimiser = torch.optim.SGD(ready.parameters(), lr=0.03)
    image = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    for _ in range(20):
        optimiser.zero_grad()
        (ready(image) - 1).square().mean().backward()
        optimiser.step()
    weight = folded(ready)["0.weight"]
    assert not torch.allclose(weight, plain[0].weight, atol=1e-3)
    assert torch.linalg.matrix_norm(weight.flatten(1), 2) == pytest.approx(float(before), rel=0.02)


@pytest.mark.parametrize("change", ["lacks", "more", "shape"])
def test_weights_of_another_network_are_refused(change):
    weights = dict(network(False, seed=2).state_dict())
    if change == "lacks":
        del weights["0.weight"]
    elif change == "more":
        weights["9.weight"] = torch.zeros(1)
    else:
        weights["0.weight"] = torch.zeros(4, 3, 3, 3)
    with pytest.raises(RuntimeError, match=r"[09]\.weight"):
        started(weights)
