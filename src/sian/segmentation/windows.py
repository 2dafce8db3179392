"""Training windows of the segmenters: SIAN's sampler twice, once over images and once over their class maps.

A `WindowSampler` picks a place and a turn from its seed and the sample's number alone, so two samplers that
differ in nothing but their tiles' pictures cut the same windows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from sian import seeds
from sian.data.loading import batches
from sian.data.sampling import Tile, WindowSampler
from sian.errors import BadInput, nearest
from sian.layout import describe
from sian.segmentation.losses import Targets
from sian.segmentation.targets import class_weights, pixel_classes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sian.data.dataset import Dataset
    from sian.segmentation.recipe import SegmenterRecipe

REFERENCE = 32  # the least that the sampler cuts for a style, which no segmenter looks at


class TrainingTiles:
    """The tiles of a data set with what is to be learned of them.

    Args:
        data: e.g. ``sian.open_dataset(folder).split("train")``.
        recipe: says which tiles are repeated and how deep the border is.
        report: called with (tiles read, tiles in all).

    Raises:
        BadInput: no tiles, a tile that cannot be read, or `data.repeat` names a preparation that no tile has.
    """

    def __init__(
        self, data: Dataset, recipe: SegmenterRecipe, report: Callable[[int, int], None] | None = None
    ) -> None:
        if not len(data):
            raise BadInput(f"{data.folder}: expected tiles to train on, found none; check --data and --split")
        self.images: list[Tile] = []
        self.classes: list[Tile] = []
        for number, item in enumerate(data, 1):
            mask = data.mask(item)
            tile = Tile(item.id, item.organ, item.preparation, data.image(item), describe(mask))
            known = np.repeat(pixel_classes(mask, recipe.losses.border_px)[..., None], 3, 2)
            for _ in range(recipe.data.repeat.get(item.preparation, 1)):
                self.images.append(tile)
                self.classes.append(replace(tile, image=known))
            if report:
                report(number, len(data))
        self.unique = len(data)
        weights = class_weights((tile.image[..., 0] for tile in self.classes), recipe.losses.weighting)
        self.class_weights = torch.from_numpy(weights)
        _check_repeat(recipe)

    def batches(
        self, recipe: SegmenterRecipe, start_batch: int = 0, workers: int = 0
    ) -> Iterator[tuple[torch.Tensor, Targets]]:
        """Endless batches of images (n, 3, h, w) in [0, 1] and their targets, from batch `start_batch`."""
        both = [batches(each, recipe.data.batch, start_batch, workers) for each in self.samplers(recipe)]
        for images, classes in zip(*both, strict=True):
            yield (
                images["image"].float() / 255,
                Targets(
                    classes["image"][:, 0].long(),
                    images["direction"].long(),
                    images["distance"],
                    self.class_weights,
                ),
            )

    def samplers(self, recipe: SegmenterRecipe) -> tuple[WindowSampler, WindowSampler]:
        """Two samplers of the same windows: one cuts images and layouts, the other the classes.

        Raises:
            BadInput: a tile is smaller than a window.
        """
        seed, cut = seeds.derive(recipe.seed, "segmentation windows"), recipe.data
        images, classes = (
            WindowSampler(tiles, cut.size, REFERENCE, cut.positions, seed, cut.turn)
            for tiles in (self.images, self.classes)
        )
        return images, classes


def _check_repeat(recipe: SegmenterRecipe) -> None:
    preparations = ("ffpe", "frozen", "unknown")
    for name, count in recipe.data.repeat.items():
        if name not in preparations:
            raise BadInput(f"recipe {recipe.name}: data.repeat names {name!r}{nearest(name, preparations)}")
        if count < 1:
            raise BadInput(
                f"recipe {recipe.name}: data.repeat.{name} is {count}, expected at least 1; leave tiles out "
                "of the data set instead"
            )
