"""Every network through the same tests."""

from __future__ import annotations

import pytest
import torch
from tests.networks.contract import NetworkContract, random
from tests.networks.vgg_state import small_vgg_state

from sian.networks import (
    LEVELS,
    Discriminator,
    Generator,
    Painter,
    SianBlock,
    StyleEncoder,
    VggFeatures,
    build_painter,
    stack,
)

SMALL = {"channels": (8, 8, 8, 8, 6, 4, 4), "hidden": (8, 8, 8, 8, 8, 6, 6), "style_dim": 3}
ABLATIONS = [
    {},
    {"direction": False},
    {"distance": False},
    {"direction": False, "distance": False},
    {"style": False},
]


def layout(n: int, height: int, width: int) -> torch.Tensor:
    """A random layout: (n, 19, h, w)."""
    direction = (random(n, height, width) * 8).clamp(0, 16).to(torch.uint8)
    distance = random(n, height, width, seed=1).sigmoid() * (direction > 0)
    return stack(direction, distance)


class TestSianBlock(NetworkContract):
    @pytest.fixture(autouse=True, params=ABLATIONS, ids=lambda switches: ",".join(switches) or "whole")
    def _switches(self, request):
        self.switches = request.param

    def network(self):
        return SianBlock(6, 4, 3, **self.switches)

    def inputs(self, n, height, width):
        return random(n, 6, height, width), layout(n, height, width), random(n, 3, seed=2)

    def check_shapes(self, outputs, size):
        n, height, width = size
        assert [tuple(t.shape) for t in outputs] == [(n, 6, height, width)]

    def test_gradients_reach_every_parameter(self):
        if not self.switches.get("style", True):
            self.inputs = lambda n, height, width: (random(n, 6, height, width), layout(n, height, width), None)
        super().test_gradients_reach_every_parameter()


class TestGenerator(NetworkContract):
    @pytest.fixture(
        autouse=True,
        params=[
            {"padding": "zeros", "downsampling": "nearest"},
            {"padding": "reflect", "plain_skips": 2},
            {"padding": "reflect", "spectral": False, "direction": False, "distance": False},
        ],
        ids=["faithful", "small", "plain"],
    )
    def _arguments(self, request):
        self.arguments = request.param

    def network(self):
        return Generator(**SMALL, **self.arguments)

    def inputs(self, n, height, width):
        return layout(n, height, width), random(n, 3)

    def check_shapes(self, outputs, size):
        n, height, width = size
        assert [tuple(t.shape) for t in outputs] == [(n, 3, height, width)]
        assert float(outputs[0].detach().abs().max()) <= 1


class WithNoise(torch.nn.Module):
    """The generator with its noise as plain inputs."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, maps, style, *noise):
        iterator = iter(noise)
        drawn = [next(iterator) if index in self.generator.noise_blocks else None for index in range(len(LEVELS))]
        return self.generator(maps, style, drawn)


class TestGeneratorWithNoise(NetworkContract):
    def network(self):
        return WithNoise(Generator(**SMALL, padding="reflect", noise_blocks=(4, 5, 6)))

    def inputs(self, n, height, width):
        noise = [random(n, 1, height >> level, width >> level, seed=level) for level in (2, 1, 0)]
        return layout(n, height, width), random(n, 3), *noise

    def check_shapes(self, outputs, size):
        n, height, width = size
        assert [tuple(t.shape) for t in outputs] == [(n, 3, height, width)]


class TestStyleEncoder(NetworkContract):
    sizes = ((256, 256),)

    @pytest.fixture(autouse=True, params=[False, True], ids=["faithful", "statistics"])
    def _statistics(self, request):
        self.statistics = request.param

    def network(self):
        return StyleEncoder(2, 3, statistics=self.statistics)

    def inputs(self, n, height, width):
        return (random(n, 3, height, width).tanh(),)

    def check_shapes(self, outputs, size):
        assert [tuple(t.shape) for t in outputs] == [(size[0], 3)] * 2


class TestDiscriminator(NetworkContract):
    def network(self):
        return Discriminator(4, 2, 4)

    def inputs(self, n, height, width):
        return (torch.cat([random(n, 3, height, width).tanh(), layout(n, height, width)], 1),)

    def check_shapes(self, outputs, size):
        n, height, width = size
        assert len(outputs) == 10
        assert tuple(outputs[0].shape) == (n, 4, height // 2 + 1, width // 2 + 1)
        assert outputs[4].shape[:2] == outputs[9].shape[:2] == (n, 1)


class TestVggFeatures(NetworkContract):
    def network(self):
        return VggFeatures(small_vgg_state(), "torchvision")

    def inputs(self, n, height, width):
        return (random(n, 3, height, width).tanh().requires_grad_(),)

    def check_shapes(self, outputs, size):
        _, height, width = size
        assert [tuple(t.shape[2:]) for t in outputs] == [(height >> k, width >> k) for k in range(5)]

    def test_gradients_reach_every_parameter(self):
        """It has none that learn; the image's gradient is what counts."""
        (image,) = self.inputs(1, 64, 64)
        network = self.network()
        sum(features.sum() for features in network(image).values()).backward()
        assert bool(image.grad.any())
        assert not any(parameter.requires_grad for parameter in network.parameters())


class TestPainter(NetworkContract):
    def network(self) -> Painter:
        return build_painter({**SMALL, "padding": "reflect"}, {"width": 2})

    def inputs(self, n, height, width):
        return layout(n, height, width), random(n, 3, 256, 256).tanh(), random(n, 3, seed=3)

    def check_shapes(self, outputs, size):
        n, height, width = size
        assert [tuple(t.shape) for t in outputs] == [(n, 3, height, width), (n, 3), (n, 3)]

    @pytest.fixture(autouse=True)
    def _no_noise(self, monkeypatch):
        forward = Painter.forward
        monkeypatch.setattr(Painter, "forward", lambda self, *inputs: forward(self, *inputs, [None] * 7))


def test_building_is_seeded_and_leaves_the_global_state_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, same, other = (build_painter(SMALL, {"width": 2}, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)
