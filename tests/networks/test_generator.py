"""The generator: its size, its levels, its borders, and that it is local in eval mode."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from tests.networks.contract import random
from tests.networks.test_contract import SMALL, layout

from sian.networks import LEVELS, Generator, noise_at, pyramid, stack
from sian.training import Recipe

# px that a painted pixel can see: at 1/32 the start and block 0 (5 pixels), then 2 a block, then the last convolution.
REACH = 5 * 32 + 2 * (16 + 16 + 8 + 4 + 2 + 1) + 1 + 32

FAITHFUL_MILLIONS = 129.78  # SPADE: 92.06 without a style, 108.87 with one


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def faithful() -> Generator:
    arguments = Recipe.load("monuseg").generator.model_dump()
    with torch.device("meta"):
        return Generator(**arguments, spectral=False)


def sian_parameters(channels: int, hidden: int = 128, style: int = 256) -> int:
    """By hand: two branches of 1 -> h, D -> h, (17 or 1) -> h, h -> h, and one convolution 2 h -> 2 C."""
    semantics, linear, instance = 2 * (9 * hidden + hidden), 2 * (style + 1) * hidden, (18 + 1) * hidden + hidden
    return semantics + linear + instance + 2 * (9 * hidden + 1) * hidden + (9 * 2 * hidden + 1) * 2 * channels


def test_parameters_of_the_faithful_generator():
    widths = [1024, 1024, 1024, 1024, 512, 256, 128, 64]
    expected = (9 * 19 + 1) * 1024 + 257 * 1024 + (9 * 64 + 1) * 3
    for inputs, outputs in pairwise(widths):
        convolutions = (9 * inputs + 1) * outputs + (9 * outputs + 1) * outputs
        expected += convolutions + sian_parameters(inputs) + sian_parameters(outputs)
        if inputs != outputs:
            expected += (9 * inputs + 1) * outputs + sian_parameters(inputs)
    assert count(faithful()) == expected
    assert round(expected / 1e6, 2) == FAITHFUL_MILLIONS


def test_parameters_of_spades_convolutions():
    """SPADE's residual convolutions, which ours share: 3x3 twice, and in its code a 1x1 skip."""
    ours = sum(
        parameter.numel()
        for name, parameter in faithful().named_parameters()
        if ".conv_0." in name or ".conv_1." in name or name.startswith("to_rgb")
    )
    pairs = [(1024, 1024)] * 3 + [(1024, 512), (512, 256), (256, 128), (128, 64)]
    spade = sum((9 * i + 1) * min(i, o) + (9 * min(i, o) + 1) * o for i, o in pairs) + (9 * 64 + 1) * 3
    assert ours == spade


def test_parameters_of_the_small_recipe():
    arguments = Recipe.load("small").generator.model_dump()
    with torch.device("meta"):
        assert round(count(Generator(**arguments, spectral=False)) / 1e6, 1) == pytest.approx(9.0, abs=0.5)


@pytest.mark.parametrize("mode", ["area", "nearest"])
def test_level_sizes(mode):
    generator = Generator(**SMALL, downsampling=mode)
    sizes = [tuple(maps.shape[-2:]) for maps in generator.levels(layout(1, 128, 96))]
    assert sizes == [(128 >> level, 96 >> level) for level in (5, 4, 4, 3, 2, 1, 0)]


def test_features_double_where_the_level_does():
    generator, seen = Generator(**SMALL), []
    for block in generator.blocks:
        block.register_forward_hook(lambda _, given, out: seen.append((given[0].shape[-1], out.shape[1])))
    generator(layout(2, 64, 64), random(2, 3))
    assert seen == [(64 >> level, channels) for level, channels in zip(LEVELS, SMALL["channels"], strict=True)]


@pytest.fixture(scope="module")
def wide():
    """A generator in eval mode after some batch norm statistics, and a wide strip of layout."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(**SMALL, padding="reflect", downsampling="area", noise_blocks=(4, 5, 6), plain_skips=2)
        maps = layout(1, 64, 1088)
        with torch.no_grad():
            for _ in range(20):
                generator(maps, random(1, 3), noise(generator, 0, 64, 1088))
    return generator.eval(), maps


def noise(generator: Generator, x: int, height: int, width: int) -> list[torch.Tensor | None]:
    return [
        noise_at(3, level, 0, x >> level, height >> level, width >> level) if index in generator.noise_blocks else None
        for index, level in enumerate(LEVELS)
    ]


@torch.no_grad()
def test_local_in_eval_mode(wide):
    """A window painted alone equals, away from its edges, the same window of a larger painting."""
    generator, maps = wide
    whole = generator(maps, random(1, 3), noise(generator, 0, 64, 1088))
    left, right = 64, 1024
    alone = generator(maps[..., left:right], random(1, 3), noise(generator, left, 64, right - left))
    difference = (alone - whole[..., left:right]).abs().amax((0, 1, 2))
    assert float(difference[REACH:-REACH].max()) < 1e-5
    assert float(difference.max()) > 1e-3  # at the edges it may not


@torch.no_grad()
def test_noise_is_what_makes_windows_agree(wide):
    generator, maps = wide
    whole = generator(maps, random(1, 3), noise(generator, 0, 64, 1088))
    other = generator(maps, random(1, 3), noise(generator, 32, 64, 1088))
    assert float((whole - other).abs().mean()) > 1e-3


@torch.no_grad()
def test_no_border_cue():
    """Reflect padding: the middle of a large painting of nothing has its rim's local contrast; zeros show a rim."""
    torch.manual_seed(0)
    background = stack(torch.zeros(1, 512, 512, dtype=torch.uint8), torch.zeros(1, 512, 512))
    arguments = {**SMALL, "channels": (16, 16, 16, 16, 12, 8, 8)}
    for padding, low, high in (("reflect", 0.8, 1.25), ("zeros", None, None)):
        blocks = (4, 5, 6) if padding == "reflect" else ()
        generator = Generator(**arguments, padding=padding, noise_blocks=blocks)
        generator(background[..., :256, :256], random(1, 3), noise(generator, 0, 256, 256))
        image = generator.eval()(background, random(1, 3), noise(generator, 0, 512, 512))
        contrast = local_contrast(image[0].mean(0))
        rim = np.concatenate([contrast[0], contrast[-1], contrast[1:-1, 0], contrast[1:-1, -1]]).mean()
        middle = contrast[6:10, 6:10].mean()
        if padding == "reflect":
            assert low < middle / rim < high
        else:
            assert middle < 0.05 * rim  # the trap: nothing varies but what the border tells


def local_contrast(grey: torch.Tensor, size: int = 32) -> np.ndarray:
    """Deviation within each patch: (H / size, W / size)."""
    patches = grey.unfold(0, size, size).unfold(1, size, size)
    return patches.std((2, 3)).numpy()


@torch.no_grad()
@pytest.mark.parametrize("levels", [1, 4])
def test_pyramid_against_block_means(levels):
    maps = layout(2, 64, 96)
    for level, (mean, upper_left) in enumerate(
        zip(pyramid(maps, levels, "area"), pyramid(maps, levels, "nearest"), strict=True)
    ):
        size = 2**level
        blocks = maps.numpy().reshape(2, 19, 64 // size, size, 96 // size, size)
        np.testing.assert_allclose(mean.numpy(), blocks.mean((3, 5)), atol=1e-6)
        np.testing.assert_array_equal(upper_left.numpy(), blocks[:, :, :, 0, :, 0])


def test_stack_is_m_one_hot_p_and_q():
    direction = torch.tensor([[[0, 1], [16, 8]]], dtype=torch.uint8)
    distance = torch.tensor([[[0.0, 0.25], [0.5, 1.0]]])
    maps = stack(direction, distance)
    assert maps.shape == (1, 19, 2, 2)
    assert maps.dtype == torch.float32
    np.testing.assert_array_equal(maps[0, 0], [[0, 1], [1, 1]])
    np.testing.assert_array_equal(maps[0, 1:18], np.eye(17)[direction[0].numpy()].transpose(2, 0, 1))
    np.testing.assert_array_equal(maps[0, 18], distance[0])
    assert stack(direction, distance.half()).dtype == torch.float16
