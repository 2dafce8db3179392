"""Correcting the masks of real tiles: the picture below, its mask above, and back through the data set's own rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.dataset import open_dataset, read_info
from sian.data.importing import ids_by_class
from sian.data.writing import DatasetWriter
from sian.errors import BadInput
from sian.evaluation.panoptic import panoptic
from sian.files.images import read_png_text
from sian.files.locks import only_writer
from sian.studio_app.below import Below, Tiles
from sian.studio_app.document import Patch, Setting
from sian.studio_app.own_style import look_alike

if TYPE_CHECKING:
    from pathlib import Path

    from sian.studio_app.jobs import Report
    from sian.studio_app.studio import Studio

COMPUTED = {"id", "image", "mask", "width", "height", "nuclei", "sha256_image", "sha256_mask", "classes"}


def open_tiles(studio: Studio, folder: Path) -> None:
    """Open a data set at the tile that was drawn on last in this folder, as it is now, or at its first."""
    tiles = Tiles(folder, open_dataset(folder))
    if not len(tiles.dataset):
        raise BadInput(f"{folder}: holds no items, expected tiles to correct; import some first")
    studio.tiles = tiles
    if not _went_on(studio, tiles):
        show(studio, tiles, 0)


def _went_on(studio: Studio, tiles: Tiles) -> bool:
    """Whether the autosave's drawing is one of these tiles; then it goes on, and strokes that a page kept fit it."""
    known = studio.document.item
    if known is None or known["id"] not in tiles.dataset:
        return False
    item = tiles.dataset[known["id"]]
    if item.sha256_image != known["image"]:
        return False
    done = studio.document.done
    at = max(at for at, step in enumerate(done) if step.whole)
    opened, later = done[at], done[at + 1 :]
    assert isinstance(opened, Patch)  # noqa: S101 - no setting is whole
    tiles.place = next(place for place, other in enumerate(tiles.dataset) if other.id == item.id)
    tiles.opened[item.id] = tiles.place
    studio.belows.append(Below(tiles.dataset.image(item), opened, item))
    if not any(isinstance(step, Setting) or step.of_tissue for step in later):
        look_alike(studio)  # the studio was ended before it was
    return True


def show(studio: Studio, tiles: Tiles, step: int) -> None:
    """Open the tile `step` places on; one that cannot be opened is passed with a remark.

    Raises:
        BadInput: no tile can be opened.
    """
    way, count, shown = (-1 if step < 0 else 1), len(tiles.dataset), tiles.shown(studio.below)
    for further in range(count):
        place = (shown + step + way * further) % count
        try:
            _open(studio, tiles, place)
        except BadInput as error:
            studio.remark(f"{tiles.dataset.items[place].id} was passed over: {error}", bad=True)
        else:
            return
    raise BadInput(f"{tiles.folder}: none of its {count} tiles can be opened; see `sian data inspect`")


def _open(studio: Studio, tiles: Tiles, place: int) -> None:
    item = tiles.dataset.items[place]
    picture, mask = tiles.dataset.image(item), tiles.dataset.mask(item)
    before, tiles.place, tiles.opened[item.id] = tiles.place, place, place
    try:
        studio.open(mask, item.id, picture, item, item.class_by_id)
        look_alike(studio)
    except BadInput:
        tiles.place = before
        raise


def keep(studio: Studio, tiles: Tiles) -> str:
    """Write the drawing as its item's mask; what else is known of the item stays. Returns what was done."""
    drawn = studio.drawn()
    if drawn.below is None or drawn.below.item is None:
        raise BadInput("the drawing is no tile of the data set any more; open the tile again")
    item, mask = drawn.below.item, drawn.mask
    facts: dict[str, Any] = {key: value for key, value in item.model_dump().items() if key not in COMPUTED}
    facts["classes"] = ids_by_class(drawn.classes)
    with studio.keeping, only_writer(tiles.folder):
        info = read_info(tiles.folder)
        known = list(dict.fromkeys([*info.classes, *drawn.classes.values()]))
        writer = DatasetWriter(tiles.folder, info.model_copy(update={"classes": known}))
        image = tiles.dataset.path(item.image)
        text = read_png_text(image) if image.suffix.lower() == ".png" else {}
        written = writer.add(item.id, tiles.dataset.image(item), mask, text=text, **facts)
        tiles.dataset = open_dataset(tiles.folder)
    return f"{item.id}: saved with {written.nuclei} {'nucleus' if written.nuclei == 1 else 'nuclei'}"


def compare(studio: Studio) -> None:
    """Have the segmenter look at the real picture, and say how far its nuclei and the drawing's agree."""
    from sian.segmentation import load

    below = studio.below
    if below is None:
        raise BadInput("the drawing lies on no real picture that a segmenter could look at")

    def work(report: Report) -> str:
        report(0, 0)
        found = load(studio.segmenter).predict(below.picture)
        drawn = studio.drawn()
        if drawn.below is not below:
            return "another drawing was opened meanwhile; compare again"
        score = panoptic(drawn.mask, found)
        if not np.isfinite(score.pq):
            return "neither the drawing nor the segmenter has a nucleus here"
        return (
            f"the segmenter finds {score.tp} of your {score.tp + score.fn} nuclei and {score.fp} more: "
            f"DQ {score.dq:.2f}, SQ {score.sq:.2f}, PQ {score.pq:.2f}"
        )

    studio.jobs.add("comparing with the segmenter", work)
