"""`torch_dataset`: images with their instance masks for any training loop that takes a torch data set.

Sample i is a pure function of (seed, i): neither the number of workers nor the order in which samples are asked for
changes it, and a run that was stopped goes on anywhere.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset as TorchBase

from sian import seeds
from sian.data.dataset import Dataset
from sian.data.loading import Loader
from sian.errors import BadInput
from sian.layout import Layout, describe, turn_image
from sian.networks import stack_layouts
from sian.synthesis import Model
from sian.torchdata.example import Example, Source
from sian.torchdata.on_the_fly import Brush
from sian.torchdata.places import Places, Windows
from sian.torchdata.tile_sources import MaskMaker, open_source

if TYPE_CHECKING:
    from sian.synthesis.model import StyleLike

Paths = str | Path | Iterable[str | Path]


def torch_dataset(
    source: Paths | Dataset | MaskMaker,
    *,
    split: str | None = None,
    size: int | None = None,
    windows: Windows = "cover",
    turn: bool = False,
    layout: bool = False,
    styles: StyleLike | Iterable[StyleLike] | None = None,
    model: str | Path | Model | None = None,
    vary: bool = True,
    noise: float = 1.0,
    length: int | None = None,
    transform: Callable[..., Any] | None = None,
    seed: int = 0,
    device: str = "cpu",
    keep: int = 32,
) -> TorchDataset:
    """Images with their instance masks, from disk, from shards, or painted on the fly.

    Sample i depends on the arguments and on i alone. One pass over ``length=steps * batch`` samples is a whole training
    with fresh windows, turns, styles and noise for every sample; no shuffling is needed.

    Args:
        source: a data set (folder or opened), shards (.tar files or a folder of them), masks (files or a folder), or a
            function of a seed that makes a mask, e.g. ``functools.partial(sian.nuclei.generate, 256, 256, "kidney")``.
        split: of a data set, e.g. "train".
        size: side in px of the windows that are cut from each item; None takes items whole.
        windows: "cover" as few as cover an item, "grid" the training's (a third of a window apart), "random" anywhere.
        turn: draw one of the eight flips and quarter turns for each sample.
        layout: yield the layout as well.
        styles: paint the masks on the fly in these styles (one is drawn for each sample): whatever `Model.style` takes,
            or "organ" for the organ of the mask's item. None yields the images that are there.
        model: that paints: a file, a loaded model, or None for the bundled one.
        vary: an organ's name draws a fresh style from that part of the bank; False paints its mean style.
        noise: strength of the painting's noise, at least 0.
        length: how many samples. None: each item or window once, in order. Else passes follow one another, each in an
            order of its own.
        transform: called with the tensors (image, mask) or (image, mask, layout); what it returns is the sample. While
            it runs, torch's random numbers are those of (seed, i).
        seed: of everything that is drawn, at least 0.
        device: where the model paints; with workers "cpu".
        keep: how many whole items each process keeps decoded and described.

    Returns:
        A map-style data set of (image, mask) or (image, mask, layout): (3, h, w) uint8, (h, w) int32 ids, (19, h, w)
        float32 (M, one-hot P, Q).

    Raises:
        BadInput: nothing to read there, no images and no styles, an argument out of range, an unknown style.
        MissingResource: no bundled model, or no such device.

    >>> from functools import partial
    >>> import sian
    >>> data = torch_dataset(partial(sian.nuclei.generate, 64, 64, "kidney"), styles="kidney", length=10)
    >>> image, mask = data[3]
    >>> image.shape, mask.shape
    (torch.Size([3, 64, 64]), torch.Size([64, 64]))
    """
    _check(source, size, length, seed, keep)
    opened = open_source(source, split, seed, length)
    if not len(opened):
        raise BadInput(f"{opened.name}: holds no items, expected at least one; check the path and the split")
    brush = None if styles is None else Brush(styles, model, noise, vary, seed, device)
    if brush is None and opened.read(0).image is None:
        raise BadInput(
            f"{opened.name}: holds masks without images, and no style to paint them in was given; add e.g. "
            "styles='kidney'"
        )
    places = Places(opened, size, windows, turn, length, seed)
    return TorchDataset(opened, places, brush, layout, transform, seed, keep)


class TorchDataset(TorchBase[Any]):
    """A map-style data set; made by `torch_dataset`, which says what its samples are.

    It may be sent to worker processes however these are started. What it keeps in memory is each process' own.
    """

    def __init__(
        self,
        source: Source,
        places: Places,
        brush: Brush | None,
        layout: bool,
        transform: Callable[..., Any] | None,
        seed: int,
        keep: int,
    ) -> None:
        self.source, self.places, self.brush = source, places, brush
        self.layout, self.transform, self.seed, self.keep = layout, transform, seed, keep
        self._kept: OrderedDict[int, tuple[Example, Layout | None]] = OrderedDict()

    def __len__(self) -> int:
        return self.places.length

    def __getstate__(self) -> dict[str, Any]:
        """What is sent to another process: names and settings, no pixels."""
        return {**self.__dict__, "_kept": OrderedDict()}

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        index = int(index) % len(self)
        image, mask, layout = self._sample(index)
        tensors = [torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), torch.from_numpy(mask)]
        if self.layout and layout is not None:
            tensors.append(stack_layouts([layout], extras=False)[0].contiguous())
        if self.transform is None:
            return tuple(tensors)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seeds.derive(self.seed, "transform", index))
            return self.transform(*tensors)

    def loader(self, batch_size: int, num_workers: int = 0, **options: Any) -> Loader:
        """A torch `DataLoader` over it that says in one sentence what goes wrong in a worker.

        Args:
            batch_size: samples a batch.
            num_workers: processes beside this one.
            options: whatever else `torch.utils.data.DataLoader` takes.
        """
        return Loader(self, batch_size=batch_size, num_workers=num_workers, **options)

    def _sample(self, index: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], Layout | None]:
        """Image, mask and, where it is needed, layout."""
        place = self.places(index)
        example, layout = self._whole(place.number)
        mask, image = example.mask, example.image
        if place.window is not None:
            y, x, height, width = place.window
            cut = slice(y, y + height), slice(x, x + width)
            mask = mask[cut]
            image = image[cut] if image is not None else None
            layout = layout.window(*place.window) if layout is not None else None
        mask = turn_image(mask, *place.turn).copy()
        layout = layout.turned(*place.turn) if layout is not None else None
        if self.brush is not None and layout is not None:
            return self.brush.paint(layout, example.organ, index), mask, layout
        if image is None:
            raise BadInput(f"{self.source.name}: item {place.number} has no image; add styles= to paint it")
        return turn_image(image, *place.turn).copy(), mask, layout

    def _whole(self, number: int) -> tuple[Example, Layout | None]:
        """A whole item, from memory if it was read lately."""
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        example = self.source.read(number)
        described = self.layout or self.brush is not None
        found = example, describe(example.mask, example.classes or None) if described else None
        if self.keep:
            self._kept[number] = found
        while len(self._kept) > self.keep:
            self._kept.popitem(last=False)
        return found


def _check(source: Any, size: int | None, length: int | None, seed: int, keep: int) -> None:
    """Refuse numbers out of range."""
    for name, value, least in (("size", size, 1), ("length", length, 1), ("seed", seed, 0), ("keep", keep, 0)):
        if value is not None and value < least:
            raise BadInput(f"{name}: expected at least {least}, found {value}")
    if callable(source) and size is not None:
        raise BadInput("size: a function makes masks of its own size; leave size= out, or make larger masks first")
