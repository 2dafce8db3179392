"""What a step works on, from what was read: stains changed, layout stacked, this step's random numbers drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sian import seeds
from sian.data.stains import restain
from sian.layout.tissue_map import TISSUE_LAYERS
from sian.networks import signed, stack
from sian.networks.drawn_tissue import TileTissue
from sian.training import augmentation
from sian.training.step import Batch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from sian.data.sampling import Tile
    from sian.networks import Painter
    from sian.training.recipe import Recipe


def make_batch(
    raw: Mapping[str, Tensor],
    painter: Painter,
    recipe: Recipe,
    size: int,
    random: torch.Generator,
    device: torch.device,
    between: TileTissue | None = None,
) -> Batch:
    """A batch on its device.

    Args:
        raw: of `sian.data.loading.batches`.
        painter: what will paint it.
        recipe: the run's.
        size: px of the windows.
        random: of this step, on the device.
        device: where to.
        between: draws tissue for windows that are not told theirs; None leaves it unsaid.
    """
    on_device = {key: tensor.to(device, non_blocking=True) for key, tensor in raw.items() if key != "tile"}
    image, reference, place = (on_device.pop(name) for name in ("image", "reference", "place"))
    ignored = on_device.pop("ignored", None)
    n, generator = len(image), painter.generator
    image, reference = (signed(pixels) for pixels in (image, reference))
    if recipe.data.stain or recipe.data.hue:
        more, shift = recipe.data.stain * _uniform((2, n, 3), random, device)
        hue = recipe.data.hue * _uniform((n, 3, 3), random, device) if recipe.data.hue else None
        image, reference = (2 * restain((pixels + 1) / 2, more, shift, hue) - 1 for pixels in (image, reference))
    cpu, of_tissue = (  # streams of their own
        torch.Generator().manual_seed(seeds.derive(random.initial_seed(), purpose))
        for purpose in ("augmentation", "tissue")
    )
    told = None
    if generator.tissue:
        told = (torch.rand(n, generator=of_tissue) < recipe.data.tissue).to(device)
        unsaid = unsaid_tissue(raw["tile"], size, between, of_tissue).to(device)
        on_device["tissue"] = torch.where(told[:, None, None, None], on_device["tissue"], unsaid)
    last = torch.channels_last
    return Batch(
        image=image.contiguous(memory_format=last),
        layout=stack(**on_device, class_count=generator.classes).contiguous(memory_format=last),
        reference=reference.contiguous(memory_format=last),
        epsilon=torch.randn((n, generator.style_dim), generator=random, device=device),
        noise=generator.draw_noise(n, size, size, random),
        augmentation=augmentation.draw(n, size, recipe.augment.translation, recipe.augment.cutout, cpu),
        place=place,
        ignored=None if ignored is None else ignored[:, None],
        told=told,
    )


def drawn_between(tiles: Sequence[Tile]) -> TileTissue:
    """Draws tissue for windows of these tiles, which know their own."""
    layers = [tile.layout.tissue for tile in tiles if tile.layout.tissue is not None]
    return TileTissue(layers, [f"{tile.organ}/{tile.preparation}" for tile in tiles])


def unsaid_tissue(tiles: Tensor, size: int, between: TileTissue | None, random: torch.Generator) -> Tensor:
    """What stands in the place of a map that is not given.

    Args:
        tiles: (n,) int64, the tile of each window.
        size: px of the windows.
        between: draws it; None leaves it unsaid.
        random: which of the many.

    Returns:
        (n, size, size, 5) int8, drawn, or zeros.
    """
    if between is None:
        return torch.zeros((len(tiles), size, size, TISSUE_LAYERS), dtype=torch.int8)
    drawn = torch.randint(2**62, (len(tiles),), generator=random)
    return torch.stack(
        [torch.from_numpy(between(int(tile), int(seed), size)) for tile, seed in zip(tiles, drawn, strict=True)]
    )


def _uniform(shape: tuple[int, ...], random: torch.Generator, device: torch.device) -> Tensor:
    """From -1 to 1."""
    return torch.rand(shape, generator=random, device=device) * 2 - 1
