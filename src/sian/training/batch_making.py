"""What a step works on, from what was read: stains changed, layout stacked, this step's random numbers drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sian import seeds
from sian.data.stains import restain
from sian.networks import signed, stack
from sian.training import augmentation
from sian.training.step import Batch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from sian.networks import Painter
    from sian.training.recipe import Recipe


def make_batch(
    raw: Mapping[str, Tensor],
    painter: Painter,
    recipe: Recipe,
    size: int,
    random: torch.Generator,
    device: torch.device,
) -> Batch:
    """A batch on its device.

    Args:
        raw: of `sian.data.loading.batches`.
        painter: what will paint it.
        recipe: the run's.
        size: px of the windows.
        random: of this step, on the device.
        device: where to.
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
        on_device["tissue"] = on_device["tissue"] * told[:, None, None, None]
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


def _uniform(shape: tuple[int, ...], random: torch.Generator, device: torch.device) -> Tensor:
    """From -1 to 1."""
    return torch.rand(shape, generator=random, device=device) * 2 - 1
