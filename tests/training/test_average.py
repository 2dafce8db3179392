"""EMA: folding spectral norm, the decay, buffers; batch norm estimated anew."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from tests.training import toys
from torch import nn
from torch.nn.utils import parametrize

from sian.networks import build_painter, stack
from sian.training import average

SMALL = {"channels": (8, 8, 8, 8, 6, 4, 4), "hidden": (4,) * 7, "style_dim": 3, "padding": "reflect"}

MAPS = ("direction", "distance")


def used_painter():
    """A painter whose batch norm has seen something; torch cannot copy a parametrised layer, so it is built anew."""
    network = build_painter(SMALL, {"width": 2}, seed=1)
    for buffer in (b for name, b in network.named_buffers() if "running" in name):
        buffer.add_(0.25)
    return network


@pytest.fixture
def painter():
    return used_painter()


def test_folded_equals_torchs_removal_of_the_parametrisation(painter):
    plain = used_painter().eval()
    for part in [*plain.modules()]:
        if parametrize.is_parametrized(part):
            for name in [*part.parametrizations]:
                parametrize.remove_parametrizations(part, name, leave_parametrized=True)
    before = copy.deepcopy(painter.state_dict())
    folded = average.folded(painter)
    expected = plain.state_dict()
    assert folded.keys() == expected.keys() == build_painter(SMALL, {"width": 2}, spectral=False).state_dict().keys()
    assert all(torch.equal(folded[name], expected[name]) for name in expected)
    assert all(torch.equal(tensor, before[name]) for name, tensor in painter.state_dict().items())  # u and v too
    assert all(part.training for part in painter.modules())


@torch.no_grad()
def test_folded_paints_the_same(painter):
    plain = build_painter(SMALL, {"width": 2}, spectral=False)
    plain.load_state_dict(average.folded(painter))
    layout, style = torch.rand(1, 19, 64, 64), torch.rand(1, 3)
    torch.testing.assert_close(plain.eval().generator(layout, style), painter.eval().generator(layout, style))


def test_decay_halves_after_the_half_life():
    kept = 1.0
    for step in range(125):
        kept *= average.decay(10**9 + 8 * step, 8, half_life=1000, ramp=0.1)
    assert kept == pytest.approx(0.5)


def test_decay_ramps_with_the_images_seen():
    assert average.decay(800, 8, half_life=1e9, ramp=0.1) == pytest.approx(0.5 ** (8 / 80))
    assert average.decay(0, 8, half_life=1000, ramp=0.1) == 0  # the first average is the weights themselves


def test_update_averages_weights_and_copies_buffers(painter):
    averaged = build_painter(SMALL, {"width": 2}, seed=2, spectral=False)
    before, source = copy.deepcopy(averaged.state_dict()), average.folded(painter)
    average.update(averaged, painter, 0.75)
    parameters = dict(averaged.named_parameters())
    for name, tensor in averaged.state_dict().items():
        expected = 0.75 * before[name] + 0.25 * source[name] if name in parameters else source[name]
        torch.testing.assert_close(tensor, expected)
    assert any("running_mean" in name for name in source.keys() - parameters.keys())


def test_estimate_batch_norm_against_numpy():
    random = np.random.default_rng(0)
    batches = random.normal([[[[3.0]], [[-2.0]]]], 2.0, (5, 4, 2, 6, 6)).astype(np.float32)
    network = nn.Sequential(nn.BatchNorm2d(2, affine=False, momentum=0.1), nn.Dropout(0.5)).eval()
    network[0].running_mean.fill_(100)
    average.estimate_batch_norm(network, [lambda b=b: network(torch.from_numpy(b)) for b in batches])
    values = batches.transpose(0, 2, 1, 3, 4).reshape(5, 2, -1)
    np.testing.assert_allclose(network[0].running_mean, values.mean((0, 2)), rtol=1e-5)
    np.testing.assert_allclose(network[0].running_var, values.var(2, ddof=1).mean(0), rtol=1e-5)
    assert network[0].momentum == 0.1
    assert not any(part.training for part in network.modules())


def test_estimate_batch_norm_leaves_every_setting_when_it_fails():
    network = nn.Sequential(nn.BatchNorm2d(2), nn.Sequential(nn.Dropout(0.5)))
    network[1].eval()
    with pytest.raises(ZeroDivisionError):
        average.estimate_batch_norm(network, [lambda: 1 // 0])
    assert network[0].momentum == 0.1
    assert [part.training for part in network.modules()] == [True, True, False, False]


@torch.no_grad()
def test_eval_paints_what_train_paints(painter):
    """After estimating batch norm for the folded weights, the painting differs little from train mode's."""
    averaged = build_painter(SMALL, {"width": 2}, spectral=False)
    averaged.load_state_dict(average.folded(painter))
    generator = averaged.generator
    windows, random = [tile.layout for tile in toys.tiles()], np.random.default_rng(0)
    styles = torch.from_numpy(random.normal(size=(8, 3))).float()  # the same in each batch, or 8 draws' mean decides
    batches = []
    for _ in range(6):
        cut = [windows[i % 2].window(*random.integers(0, 144, 2), 128, 128) for i in range(8)]
        direction, distance = (torch.from_numpy(np.stack([getattr(w, name) for w in cut])) for name in MAPS)
        batches.append((stack(direction, distance.float()), styles))
    average.estimate_batch_norm(generator, [lambda pair=pair: generator(*pair) for pair in batches])
    painted = generator.eval()(*batches[0])
    trained = generator.train()(*batches[0])
    for part in generator.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
    otherwise = generator.eval()(*batches[0])
    assert float((painted - trained).abs().mean()) < 0.7 * float((otherwise - trained).abs().mean())
    assert float(torch.corrcoef(torch.stack([painted.flatten(), trained.flatten()]))[0, 1]) > 0.6
