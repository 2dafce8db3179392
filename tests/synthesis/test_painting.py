"""Painting in windows is painting in one pass; noise belongs to places; borders do not show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sian.layout import describe
from sian.networks import stack
from sian.synthesis import painting
from sian.synthesis.painting import Noise, encode_windows, paint

from .toys import STYLE_DIM, grid_mask, toy_painter

ONE_PASS = 1 << 14
SEEN = 256  # px: no pixel of the toy, or of any generator of these seven levels, sees further (255)


def style(seed: int = 0) -> torch.Tensor:
    return torch.randn(STYLE_DIM, generator=torch.Generator().manual_seed(seed))


def difference(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.fixture(scope="module")
def generator():
    return toy_painter().generator


SIZES = [(1, 1), (1, 150), (40, 63), (131, 129), (33, 300), (290, 20), (224, 160)]


@pytest.mark.parametrize("size", SIZES)
def test_windows_equal_one_pass_for_any_size(generator, size):
    layout = describe(grid_mask(*size, first=5, step=3))
    whole = paint(generator, layout, style(), Noise(3), ONE_PASS)
    parts = paint(generator, layout, style(), Noise(3), 64)
    assert whole.shape == parts.shape == (*size, 3)
    assert whole.dtype == np.uint8
    assert whole.flags.c_contiguous
    assert difference(whole, parts) <= 1


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("plain_skips", [0, 2])
@pytest.mark.parametrize(("downsampling", "upsampling"), [("area", "nearest"), ("nearest", "bilinear")])
def test_windows_equal_one_pass_for_any_generator(padding, plain_skips, downsampling, upsampling):
    changes = {"plain_skips": plain_skips, "downsampling": downsampling, "upsampling": upsampling}
    generator = toy_painter(padding=padding, **changes).generator
    layout = describe(grid_mask(150, 230))
    whole = paint(generator, layout, style(), Noise(), ONE_PASS)
    assert difference(whole, paint(generator, layout, style(), Noise(), 96)) <= 1
    assert whole.std() > 10  # something is painted


def test_the_margin_is_needed(generator, monkeypatch):
    layout = describe(grid_mask(192, 192))
    whole = paint(generator, layout, style(), Noise(), ONE_PASS)
    monkeypatch.setattr(painting, "MARGIN", 8)
    assert difference(whole, paint(generator, layout, style(), Noise(), 64)) > 1


def test_strips_of_the_coarse_layout_and_the_default_window(generator):
    layout = describe(grid_mask(1100, 40))
    assert (
        difference(paint(generator, layout, style(), Noise()), paint(generator, layout, style(), Noise(), ONE_PASS))
        <= 1
    )


def test_one_pass_is_the_generator_itself(generator):
    layout = describe(grid_mask(96, 64))
    maps = stack(torch.from_numpy(layout.direction)[None], torch.from_numpy(layout.distance)[None])
    with torch.inference_mode():
        bare = generator(maps, style()[None])[0].permute(1, 2, 0).numpy()
    expected = np.clip(np.round((bare + 1) * 127.5), 0, 255)
    assert difference(paint(generator, layout, style(), Noise(strength=0)), expected) <= 1


def test_the_stacked_layout_is_one_hot(generator):
    layout = describe(grid_mask(64, 96))
    one_hot = np.eye(17, dtype=np.float32)[layout.direction].transpose(2, 0, 1)
    plain = torch.from_numpy(np.concatenate([layout.semantic[None] > 0, one_hot, layout.distance[None]]))[None].float()
    ours = painting.layout_tensor(layout, style(), generator)
    assert torch.equal(ours, plain)
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_a_window_painted_alone_equals_the_larger_painting_away_from_its_edges(generator):
    layout = describe(grid_mask(640, 672))
    top, left, side = 32, 64, 2 * SEEN + 64
    larger = paint(generator, layout, style(), Noise(7), ONE_PASS)[top : top + side, left : left + side]
    alone = paint(generator, layout.window(top, left, side, side), style(), Noise(7, 1, (top, left)), ONE_PASS)
    middle = slice(SEEN, -SEEN)
    assert difference(larger[middle, middle], alone[middle, middle]) <= 1
    elsewhere = paint(generator, layout.window(top, left, side, side), style(), Noise(7), ONE_PASS)
    assert difference(larger[middle, middle], elsewhere[middle, middle]) > 10  # the noise of another place


def test_seeds_give_other_noise_and_strength_zero_gives_none(generator):
    layout = describe(np.zeros((192, 192), np.int32))
    first, second, again = (paint(generator, layout, style(), Noise(seed)) for seed in (0, 1, 0))
    assert np.array_equal(first, again)
    assert difference(first, second) > 10
    flat = paint(generator, layout, style(), Noise(0, 0.0))
    assert np.array_equal(flat, paint(generator, layout, style(), Noise(9, 0.0)))
    assert flat.reshape(-1, 3).std(0).max() < first.reshape(-1, 3).std(0).min() / 4


def local_contrast(image: np.ndarray, side: int = 16) -> np.ndarray:
    """Standard deviation of grey within squares, as a map of squares."""
    grey = image.mean(2)
    height, width = (length // side * side for length in grey.shape)
    return grey[:height, :width].reshape(height // side, side, width // side, side).std((1, 3))


def test_the_middle_of_a_large_painting_looks_like_its_rim(generator):
    contrast = local_contrast(paint(generator, describe(np.zeros((640, 640), np.int32)), style(), Noise()))
    rim = np.concatenate(
        [contrast[:4].ravel(), contrast[-4:].ravel(), contrast[:, :4].ravel(), contrast[:, -4:].ravel()]
    )
    middle = contrast[12:-12, 12:-12]
    assert 0.9 < middle.mean() / rim.mean() < 1.1
    assert middle.mean() > 2


class LargestTensor(TorchDispatchMode):
    """Remembers how many elements the largest tensor made under it has."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.elements = max(self.elements, result.numel())
        return result


def test_memory_is_bounded_by_windows_not_by_the_image():
    side = 2048
    tiny = {"channels": (2,) * 7, "hidden": (2,) * 7, "noise_blocks": (6,)}
    generator = toy_painter(**tiny).generator
    layout = describe(grid_mask(side, side, pitch=64))
    with LargestTensor() as largest:
        paint(generator, layout, style(), Noise())
    strip = 19 * painting.WINDOW * side
    assert 0 < largest.elements <= strip  # one pass: 4 times as many for the layout alone


def test_reference_windows_cover_the_image_and_small_ones_are_mirrored():
    image = np.random.default_rng(0).integers(0, 256, (300, 700, 3), dtype=np.uint8)
    windows = encode_windows(image, 256, 64)
    assert windows.shape == (2 * 3, 3, 256, 256)
    expected = image[44:, -256:].transpose(2, 0, 1) / np.float32(127.5) - 1
    assert np.allclose(windows[-1].numpy(), expected, atol=1e-6)
    small = image[:40, :100]
    mirrored = np.pad(small, ((0, 216), (0, 156), (0, 0)), "symmetric")
    window = encode_windows(small, 256, 64)
    assert np.allclose(window[0].numpy(), mirrored.transpose(2, 0, 1) / np.float32(127.5) - 1, atol=1e-6)
    assert len(encode_windows(np.zeros((2600, 2600, 3), np.uint8), 256, 64)) == 64
