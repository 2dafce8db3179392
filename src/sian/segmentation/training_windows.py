"""Training windows of the segmenters: cut, mixed from real and synthetic data sets, augmented (paper, section 4.5).

Window number n is a function of the tiles, the recipe and n alone. `mixing` says of which kind it is, a
`WindowSampler` of that kind where it lies, `pasting` and `traditional` what is done to it. Colour is jittered later, on
the device (`sian.segmentation.jitter`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from sian import seeds
from sian.data.loading import load
from sian.data.sampling import Tile, WindowSampler
from sian.errors import BadInput, nearest
from sian.layout import describe
from sian.segmentation.mixing import source
from sian.segmentation.objectives import Targets
from sian.segmentation.pasting import Donor, Window, donor, paste
from sian.segmentation.targets import class_weights, pixel_classes
from sian.segmentation.traditional import draw, median_blur

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from sian.data.dataset import Dataset
    from sian.segmentation.segmenter_recipe import SegmenterRecipe

REFERENCE = 32  # the least that the sampler cuts for a style, which no segmenter looks at
STREAMS = ("segmentation windows", "synthetic windows")  # of random places: the first kind's, the second's


@dataclass(frozen=True, eq=False)
class KnownTile:
    """An annotated image in memory with what is to be learned of it: 11 bytes a pixel, 15 of a real one.

    Attributes:
        tile: image and layout.
        classes: (H, W) uint8, background, interior, border.
        mask: (H, W) int32 instance mask; None of a synthetic tile, from which no nuclei are taken.
        dataset: the name of its data set.
        licence: of its data set.
        synthetic: whether it was painted.
    """

    tile: Tile
    classes: NDArray[np.uint8]
    mask: NDArray[np.int32] | None
    dataset: str
    licence: str
    synthetic: bool

    @property
    def window(self) -> Window:
        """The whole tile as a window."""
        return Window(self.tile.image, self.classes, self.tile.layout)


def read_known(
    data: Dataset, border_px: int, report: Callable[[int, int], None] | None = None
) -> list[KnownTile]:  # fmt: skip
    """Read a data set's tiles for training.

    Args:
        data: e.g. ``sian.open_dataset(folder).split("train")``.
        border_px: depth of the border class.
        report: called with (tiles read, tiles in all).

    Raises:
        BadInput: no tiles, or a tile that cannot be read.
    """
    if not len(data):
        raise BadInput(f"{data.folder}: expected tiles to train on, found none; check --data and --split")
    known = []
    for number, item in enumerate(data, 1):
        mask, info = data.mask(item), data.info
        tile = Tile(item.id, item.organ, item.preparation, data.image(item), describe(mask))
        classes, kept = pixel_classes(mask, border_px), None if info.synthetic else mask
        known.append(KnownTile(tile, classes, kept, info.name, info.licence, info.synthetic))
        if report:
            report(number, len(data))
    return known


class TrainingTiles:
    """Tiles to learn from, real, synthetic or both.

    Args:
        tiles: of one data set or of several; see `read_known`.
        recipe: says which tiles are repeated, the share of synthetic windows, and what is pasted.

    Raises:
        BadInput: no tiles, `data.repeat` names a preparation that no tile can have, or real and synthetic tiles are to
            be mixed with nothing of one of them.
    """

    def __init__(self, tiles: Sequence[KnownTile], recipe: SegmenterRecipe) -> None:
        _check_repeat(recipe)
        if not tiles:
            raise BadInput("expected tiles to train on, found none; check the data sets' split")
        self.real = _repeated([tile for tile in tiles if not tile.synthetic], recipe)
        self.synthetic = _repeated([tile for tile in tiles if tile.synthetic], recipe)
        if self.real and self.synthetic:
            _check_share(recipe)
        self.facts = _facts(tiles)
        weights = class_weights((tile.classes for tile in self.real + self.synthetic), recipe.losses.weighting)
        self.class_weights = torch.from_numpy(weights)

    def batches(
        self, recipe: SegmenterRecipe, start_batch: int = 0, workers: int = 0
    ) -> Iterator[tuple[torch.Tensor, Targets]]:
        """Endless batches of images (n, 3, h, w) in [0, 1] and their targets, from batch `start_batch`."""
        for batch in load(self.windows(recipe), recipe.data.batch, start_batch, workers):
            yield (
                batch["image"].float() / 255,
                Targets(batch["classes"].long(), batch["direction"].long(), batch["distance"], self.class_weights),
            )

    def windows(self, recipe: SegmenterRecipe) -> Windows:
        """The windows by number.

        Raises:
            BadInput: a tile is smaller than a window.
        """
        return Windows(self.real, self.synthetic, recipe)


class Windows(TorchDataset[dict[str, torch.Tensor]]):
    """Every training window by its number, from 0 and without end.

    Args:
        real: tiles; windows of both kinds come from these when there are no synthetic ones.
        synthetic: tiles.
        recipe: how windows are cut, mixed and augmented.

    Raises:
        BadInput: a tile is smaller than a window.
    """

    def __init__(self, real: list[KnownTile], synthetic: list[KnownTile], recipe: SegmenterRecipe) -> None:
        self.kinds = [kind for kind in (real, synthetic) if kind]
        self.share = recipe.data.synthetic if len(self.kinds) > 1 else 0.0
        self.recipe = recipe
        cut = recipe.data
        self.samplers = [
            WindowSampler(
                [known.tile for known in kind],
                cut.size,
                REFERENCE,
                cut.positions,
                seeds.derive(recipe.seed, stream),
                cut.turn,
            )
            for kind, stream in zip(self.kinds, STREAMS, strict=False)
        ]
        self.donors: list[Donor] = []
        if recipe.augment.paste:
            once = {id(known): known for known in real}.values()  # however often a tile is repeated
            self.donors = [donor(known.window, known.mask) for known in once if known.mask is not None]

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        window = self.window(index)
        return {
            "image": torch.from_numpy(np.ascontiguousarray(window.image.transpose(2, 0, 1))),
            "classes": torch.from_numpy(window.classes),
            "direction": torch.from_numpy(window.layout.direction),
            "distance": torch.from_numpy(window.layout.distance),
        }

    def window(self, index: int) -> Window:
        """Window number `index`, as the network is to see it before its colours are jittered."""
        kind, number = source(index, self.share)
        place, size, augment = self.samplers[kind].place(number), self.recipe.data.size, self.recipe.augment
        known = self.kinds[kind][place.tile]
        window = known.window.cut(place.y, place.x, size, size)
        if self.donors and not known.synthetic:
            random = seeds.generator(self.recipe.seed, "paste", index)
            window = paste(window, self.donors, augment.paste, random)
        change = draw(self.recipe.seed, index, augment.traditional, augment.median)
        window = window.turned(place.turns, place.flip).turned(change.turns, change.flip)
        return Window(median_blur(window.image, change.median), window.classes, window.layout)


def _repeated(tiles: list[KnownTile], recipe: SegmenterRecipe) -> list[KnownTile]:
    """Each tile as often as its preparation is to count."""
    return [known for known in tiles for _ in range(recipe.data.repeat.get(known.tile.preparation, 1))]


def _facts(tiles: Sequence[KnownTile]) -> dict[str, Any]:
    """What a model file says of what was learned from."""
    names, licences = (
        list(dict.fromkeys(getattr(tile, key) for tile in tiles)) for key in ("dataset", "licence")
    )  # fmt: skip
    facts: dict[str, Any] = {"dataset": " + ".join(names), "tiles": len(tiles), "licence": "; ".join(licences)}
    synthetic = sum(tile.synthetic for tile in tiles)
    return facts | {"synthetic_tiles": synthetic} if synthetic else facts


def _check_share(recipe: SegmenterRecipe) -> None:
    share = recipe.data.synthetic
    if not 0 < share < 1:
        unused = "synthetic" if share == 0 else "real"
        raise BadInput(
            f"recipe {recipe.name}: data.synthetic is {share:g}, which leaves no window to the {unused} data that were "
            f"given; expected a share between 0 and 1, e.g. 0.5, or leave the {unused} data set out"
        )


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
