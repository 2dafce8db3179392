"""What needs no training: the paintings' colours fitted to tiles, and batch norm's statistics of averaged weights.

For the colours, one affine map of the three is found with which the paintings' optical density has the moments of the
real windows' (mean, deviation, correlation; after Reinhard et al. 2001, in optical density as Macenko et al. 2009). It
is a part of the last convolution afterwards: the model file, and what paints with it, are what they were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sian.data.loading import batches
from sian.data.sampling import Tile, WindowSampler
from sian.networks import LAYOUT_CHANNELS, REFERENCE_SIZE, Painter, channels_of, signed, stack
from sian.networks.encoder import stain_statistics
from sian.seeds import derive, torch_generator
from sian.training.average import estimate_batch_norm
from sian.training.batch_making import drawn_between, unsaid_tissue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sian.networks.drawn_tissue import TileTissue

NORM_BATCHES, NORM_BATCH = 16, 8  # windows that batch norm is estimated from: 128
COLOUR_BATCHES = 4  # of NORM_BATCH windows each, that colours are fitted to: 32
SPARSE = 4  # every fourth pixel of every fourth row is looked at
STEPS = 60  # of L-BFGS over twelve numbers
CORRELATION = 0.05  # weight of a correlation beside means and deviations, which are smaller numbers
NEARNESS = 0.001  # of the squared way from the identity


def estimate_norms(
    painter: Painter,
    tiles: Sequence[Tile],
    seed: int,
    report: Callable[[int], None] | None = None,
    count: int | None = None,
) -> None:
    """Estimate batch norm's statistics anew, in place.

    Args:
        painter: without spectral norm.
        tiles: whose windows are painted.
        seed: which windows.
        report: called with the batches done.
        count: batches; 16 if not given.
    """
    stream, between = _windows(painter, tiles, seed), _between(painter, tiles)

    def run(index: int) -> Callable[[], object]:
        def once() -> None:
            _paint(painter, next(stream), torch_generator(seed, "batch norm", index), between)
            if report:
                report(index + 1)

        return once

    estimate_batch_norm(painter, [run(index) for index in range(NORM_BATCHES if count is None else count)])


def match_colours(painter: Painter, tiles: Sequence[Tile], seed: int) -> None:
    """Give paintings of the tiles' windows the colours of these, in place; what has no last convolution stays.

    Args:
        painter: in eval mode, without spectral norm; each window is painted in the style of its reference.
        tiles: whose windows are painted.
        seed: which windows.
    """
    last = getattr(painter.generator, "to_rgb", None)
    if not isinstance(last, nn.Conv2d) or last.bias is None:
        return
    before: list[Tensor] = []
    real: list[Tensor] = []
    hook = last.register_forward_hook(
        lambda _module, _inputs, output: before.append(output.detach()[:, :, ::SPARSE, ::SPARSE].float())
    )
    try:
        stream, between = _windows(painter, tiles, seed + 1), _between(painter, tiles)
        for index in range(COLOUR_BATCHES):
            raw = next(stream)
            _paint(painter, raw, torch_generator(seed, "colours", index), between)
            real.append(stain_statistics(signed(raw["image"])))
    finally:
        hook.remove()
    turn, shift = colour_map(torch.cat(before), torch.cat(real))
    with torch.no_grad():
        last.weight.copy_(torch.einsum("ij,jkhw->ikhw", turn, last.weight))
        last.bias.copy_(turn @ last.bias + shift)


def colour_map(values: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The affine map of three colours after which images have the stain statistics that are wanted, in the mean.

    Args:
        values: (n, 3, h, w), what tanh makes images in [-1, 1] of.
        wanted: (n, 9), see `sian.networks.encoder.stain_statistics`.

    Returns:
        (3, 3) and (3,): ``tanh(turn @ values + shift)`` is the image.
    """
    same = torch.eye(3)
    weights = torch.tensor([1.0] * 6 + [CORRELATION] * 3)
    turn, shift = same.clone().requires_grad_(), torch.zeros(3, requires_grad=True)
    optimiser = torch.optim.LBFGS([turn, shift], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        image = torch.tanh(torch.einsum("ij,njhw->nihw", turn, values) + shift[:, None, None])
        off = ((stain_statistics(image) - wanted).square() * weights).sum(1).mean()
        total = off + NEARNESS * (turn - same).square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    with torch.enable_grad():
        optimiser.step(loss)  # type: ignore[no-untyped-call]
    found = turn.detach(), shift.detach()
    return found if all(bool(part.isfinite().all()) for part in found) else (same, torch.zeros(3))


def _windows(painter: Painter, tiles: Sequence[Tile], seed: int) -> Iterator[dict[str, Tensor]]:
    generator = painter.generator
    sampler = WindowSampler(tiles, REFERENCE_SIZE, REFERENCE_SIZE, "random", seed)
    extras = channels_of([generator.condition]) > LAYOUT_CHANNELS
    return batches(sampler, NORM_BATCH, extras=extras, classes=generator.classes > 0, tissue=generator.tissue)


def _between(painter: Painter, tiles: Sequence[Tile]) -> TileTissue | None:
    known = all(tile.layout.tissue is not None for tile in tiles)
    return drawn_between(tiles) if painter.generator.tissue and known else None


@torch.no_grad()
def _paint(painter: Painter, raw: dict[str, Any], random: torch.Generator, between: TileTissue | None) -> None:
    """One batch of windows, each in the style of its reference."""
    generator, device = painter.generator, next(painter.parameters()).device
    on_device = {key: tensor.to(device) for key, tensor in raw.items()}
    style, _ = painter.encoder(signed(on_device["reference"]))
    noise = [
        None if n is None else n.to(device)
        for n in generator.draw_noise(NORM_BATCH, REFERENCE_SIZE, REFERENCE_SIZE, random)
    ]
    maps = stack(
        on_device["direction"],
        on_device["distance"],
        on_device.get("boundary"),
        on_device.get("depth"),
        on_device.get("classes"),
        generator.classes,
        _half_drawn(raw, between, random).to(device) if generator.tissue else None,
    )
    generator(maps, style, noise)


def _half_drawn(raw: dict[str, Any], between: TileTissue | None, random: torch.Generator) -> Tensor:
    """Every other window's tissue map, and drawn ones: what is fitted serves paintings with a map and without."""
    tissue: Tensor = raw["tissue"]
    of_tissue = torch.Generator().manual_seed(derive(random.initial_seed(), "tissue"))
    drawn = unsaid_tissue(raw["tile"], tissue.shape[1], between, of_tissue)
    told = torch.arange(len(tissue)) % 2 == 1
    return torch.where(told[:, None, None, None], tissue, drawn)
