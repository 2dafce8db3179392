"""The folded generator paints what the plain one paints: every option, in both forms of its convolutions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from sian.networks import LEVELS, FoldedGenerator, Generator, PlainBrush, folded, within
from sian.networks.brush import FINE
from sian.networks.generator import doubled


@pytest.fixture
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        yield


def trained_like(**options: object) -> Generator:
    """A small generator whose weights and statistics are far from their initial values, in eval mode."""
    random = torch.Generator().manual_seed(5)
    generator = Generator(
        (12, 12, 8, 8, 6, 6, 4),
        (4,) * 7,
        5,
        padding="reflect",
        spectral=False,
        **options,  # type: ignore[arg-type]
    )
    for part in generator.parameters():
        part.data += 0.1 * torch.randn(part.shape, generator=random)
    for norm in generator.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean = torch.randn(norm.num_features, generator=random)
            norm.running_var = 0.5 + torch.rand(norm.num_features, generator=random)
    generator.to_rgb.weight.data *= 0.1  # so that tanh does not hide what differs
    return generator.eval()


def painted(brush: folded.FoldedBrush | PlainBrush, generator: Generator, size: int = 96) -> Tensor:
    random = torch.Generator().manual_seed(6)
    layout = torch.rand(1, 19 + generator.beside, size, size, generator=random)
    noise = generator.noise_of(3, size, size)
    maps = dict(enumerate(generator.pyramid(layout, 6)))
    return brush.fine(brush.coarse(maps, noise[:FINE]), maps, noise[FINE:])


OPTIONS = [
    {},
    {"upsampling": "bilinear"},
    {"plain_skips": 2, "noise_blocks": (2, 3, 4, 5, 6)},
    {"classes": 3},
    {"tissue": True},
    {"tissue": True, "classes": 2, "noise_blocks": (0, 2, 3, 4, 5, 6)},
    *({"direction": a, "distance": b, "style": c} for a, b, c in product((True, False), repeat=3)),
]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.usefixtures("seeded")
@torch.inference_mode()
def test_folding_changes_rounding_only(
    options: dict[str, object], fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = trained_like(**options)
    if fused and not folded._fuses():
        pytest.skip("this torch has no fused convolutions")
    monkeypatch.setattr(folded, "_fuses", lambda: fused)
    style = torch.linspace(-2, 2, 5)[None]
    plain = painted(PlainBrush(generator, style), generator)
    quick = painted(FoldedGenerator(generator).brush(style), generator)
    assert plain.std() > 0.005
    assert torch.allclose(plain, quick, atol=5e-6)
    assert torch.allclose(plain, generator(torch_layout(generator), style, generator.noise_of(3, 96, 96)), atol=2e-5)


@pytest.mark.parametrize("options", OPTIONS[:4], ids=str)
@pytest.mark.parametrize("margins", [(32, 32, 32, 32), (0, 32, 32, 0), (16, 0, 0, 24)], ids=str)
@pytest.mark.usefixtures("seeded")
@torch.inference_mode()
def test_margins_that_are_left_out_early_were_not_needed(
    options: dict[str, object], margins: tuple[int, int, int, int]
) -> None:
    generator, style, side = trained_like(**options), torch.linspace(-2, 2, 5)[None], 160
    layout = torch.rand(1, 19 + generator.classes, side, side, generator=torch.Generator().manual_seed(6))
    maps, noise = dict(enumerate(generator.pyramid(layout, 6))), generator.noise_of(3, side, side)
    coarse = PlainBrush(generator, style).coarse(maps, noise[:FINE])
    top, left, bottom, right = margins
    window = (0 if top < 32 else 32, 0 if left < 32 else 32, side - bottom, side - right)  # what it is cut to

    def cut(x: Tensor, level: int) -> Tensor:
        return x[..., window[0] >> level : window[2] >> level, window[1] >> level : window[3] >> level]

    given = {level: cut(maps[level], level) for level in (0, 1, 2)}
    drawn = [None if n is None else cut(n, level) for n, level in zip(noise[FINE:], LEVELS[FINE:], strict=True)]
    whole = PlainBrush(generator, style).fine(cut(coarse, 3), given, drawn)
    quick = FoldedGenerator(generator).brush(style).fine(cut(coarse, 3), given, drawn, margins)
    assert torch.allclose(within(whole, margins), quick, atol=5e-6)


def torch_layout(generator: Generator) -> Tensor:
    return torch.rand(1, 19 + generator.beside, 96, 96, generator=torch.Generator().manual_seed(6))


@pytest.mark.usefixtures("seeded")
@torch.inference_mode()
def test_zero_padding_is_folded_too() -> None:
    generator = Generator((8,) * 7, (4,) * 7, 5, padding="zeros", spectral=False).eval()
    style = torch.ones(1, 5)
    assert torch.allclose(
        painted(PlainBrush(generator, style), generator),
        painted(FoldedGenerator(generator).brush(style), generator),
        atol=2e-5,
    )


def test_what_cannot_be_folded_is_said() -> None:
    small = ((8,) * 7, (4,) * 7, 5)
    assert FoldedGenerator.fits(Generator(*small, spectral=False).eval())
    assert not FoldedGenerator.fits(Generator(*small, spectral=True).eval())
    assert not FoldedGenerator.fits(Generator(*small, spectral=False))  # in training mode
    assert not FoldedGenerator.fits(Generator(*small, spectral=False).eval().half())
    assert not FoldedGenerator.fits(nn.Conv2d(1, 1, 1))


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
@pytest.mark.usefixtures("seeded")
@torch.inference_mode()
def test_what_the_coarse_blocks_leave_out_early_was_not_needed(upsampling: str) -> None:
    generator, style = trained_like(upsampling=upsampling), torch.linspace(-2, 2, 5)[None]
    layout = torch.rand(1, 19, 704, 704, generator=torch.Generator().manual_seed(6))
    maps, noise = dict(enumerate(generator.pyramid(layout, 6))), generator.noise_of(3, 704, 704)
    margins = (320, 320, 320, 320)
    whole = PlainBrush(generator, style).coarse(maps, noise[:FINE], margins)
    quick = FoldedGenerator(generator).brush(style).coarse(maps, noise[:FINE], margins)
    assert whole.shape == (1, 8, 8, 8)
    assert torch.allclose(whole, quick, atol=5e-6)


def test_bilinear_doubling_by_hand() -> None:
    x = torch.tensor([[[[0.0, 4.0]]]])
    assert doubled(x, "bilinear").tolist() == [[[[0, 1, 3, 4]] * 2]]
    assert doubled(x, "nearest").tolist() == [[[[0, 0, 4, 4]] * 2]]


def test_the_two_parts_are_all_blocks() -> None:
    assert LEVELS[FINE - 1] == 3
    assert LEVELS[FINE] == 2
