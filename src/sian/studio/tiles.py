"""Correcting the masks of real tiles: the picture below, its mask above, and back through the data set's own rules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.dataset import Dataset, Item, open_dataset, read_info
from sian.data.writing import DatasetWriter
from sian.errors import BadInput
from sian.evaluation.panoptic import panoptic
from sian.files.images import read_png_text
from sian.masks import nucleus_ids

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sian.studio.document import Document, Mask, Patch
    from sian.studio.jobs import Report
    from sian.studio.studio import Studio

    Picture = NDArray[np.uint8]

COMPUTED = {"id", "image", "mask", "width", "height", "nuclei", "sha256_image", "sha256_mask", "classes"}


@dataclass(frozen=True)
class Below:
    """A real picture that the drawing lies on.

    Attributes:
        picture: (H, W, 3) uint8, of the drawing's size.
        opened: the step that opened its mask; when that is undone, or another mask was opened, it is the drawing's no
            more.
        item: of the data set; None for a picture that was dropped.
    """

    picture: Picture
    opened: Patch
    item: Item | None = None

    def belongs(self, document: Document) -> bool:
        """Whether the drawing is still that of this picture."""
        last = next((patch for patch in reversed(document.done) if patch.whole), None)
        return last is self.opened


class Tiles:
    """The tiles of a data set, one after another.

    Args:
        folder: the data set's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dataset: Dataset = open_dataset(folder)
        self.place = 0
        if not len(self.dataset):
            raise BadInput(f"{folder}: holds no items, expected tiles to correct; import some first")

    def show(self, studio: Studio, step: int) -> None:
        """Open the tile `step` places on; 0 opens the present one again."""
        place = (self.place + step) % len(self.dataset)
        item = self.dataset.items[place]
        picture, mask = self.dataset.image(item), self.dataset.mask(item)
        studio.open(mask, item.id, picture, item)
        self.place = place

    def keep(self, studio: Studio, item: Item) -> str:
        """Write the drawing as an item's mask; what else is known of the item stays. Returns what was done."""
        mask = studio.document.mask
        facts: dict[str, Any] = {key: value for key, value in item.model_dump().items() if key not in COMPUTED}
        facts["classes"] = _classes_left(item, mask)
        writer = DatasetWriter(self.folder, read_info(self.folder))
        image = self.dataset.path(item.image)
        text = read_png_text(image) if image.suffix.lower() == ".png" else {}
        written = writer.add(item.id, self.dataset.image(item), mask, text=text, **facts)
        self.dataset = open_dataset(self.folder)
        return f"{item.id}: saved with {written.nuclei} nuclei"

    def state(self) -> dict[str, Any]:
        """What a page shows."""
        return {"folder": self.folder.name, "place": self.place + 1, "count": len(self.dataset)}


def agreement(studio: Studio, picture: Picture) -> None:
    """Have the segmenter look at a picture, and say how far its nuclei and the drawing's agree."""
    from sian.segmentation import load

    def work(report: Report) -> str:
        report(0, 0)
        found = load().predict(picture)
        if found.shape != studio.document.shape:
            return "another drawing was opened meanwhile; compare again"
        score = panoptic(studio.document.mask, found)
        if not np.isfinite(score.pq):
            return "neither the drawing nor the segmenter has a nucleus here"
        return (
            f"the segmenter finds {score.tp} of your {score.tp + score.fn} nuclei and {score.fp} more: "
            f"DQ {score.dq:.2f}, SQ {score.sq:.2f}, PQ {score.pq:.2f}"
        )

    studio.jobs.add("comparing with the segmenter", work)


def _classes_left(item: Item, mask: Mask) -> dict[str, list[int]] | None:
    """The classes of the nuclei that are still there."""
    if item.classes is None:
        return None
    ids = set(nucleus_ids(mask).tolist())
    left = {name: [number for number in numbers if number in ids] for name, numbers in item.classes.items()}
    return {name: numbers for name, numbers in left.items() if numbers}
