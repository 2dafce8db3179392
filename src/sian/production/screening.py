"""The screen for copies of training images over a finished data set (see `sian.evaluation.memorisation`)."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.formats.shard_items import read_items, read_picture
from sian.errors import BadInput
from sian.evaluation.collection import Collection, Entry
from sian.evaluation.memorisation import screen
from sian.evaluation.scenes import window_collection
from sian.files import read_image, write_json
from sian.production.manifest import Manifest, Records, ShardLine

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from sian.data import Dataset
    from sian.evaluation import InceptionFeatures
    from sian.files.tar import Member

    Report = Callable[[int, int], None]

COPIES = "copies.json"


def screen_copies(
    folder: str | Path,
    data: Dataset,
    extractor: InceptionFeatures,
    *,
    images: int | None = None,
    held_out: str = "test",
    report: Report | None = None,
) -> dict[str, Any]:
    """Look for images that repeat a training window, and write what was found to ``copies.json``.

    Args:
        folder: of `sian dataset`.
        data: what the model was trained on, with its splits: "train" is compared with, `held_out` sets the threshold.
        extractor: the FID Inception.
        images: look at so many, evenly spread over the plan; at all if None. An image costs eight passes of Inception.
        held_out: the split of real windows that the model has not seen.
        report: called with (images done, images in all), real windows included.

    Returns:
        What `sian.evaluation.memorisation.screen` returns.

    Raises:
        BadInput: no images there, or no such split.
    """
    folder = Path(folder)
    manifest = Manifest(folder)
    names = sorted(record["id"] for record in Records(manifest, "items"))
    if not names:
        raise BadInput(f"{folder}: found no images in its manifest, expected a folder of `sian dataset`")
    if images is not None and images < len(names):
        names = [names[i] for i in np.linspace(0, len(names) - 1, images).round().astype(int)]
    looked_at = set(names)
    entries = {
        record["id"]: _entry(folder, line, record)
        for line in manifest.lines()
        for record in line.items
        if record["id"] in looked_at
    }
    painted = Collection(str(folder), {name: entries[name] for name in names})
    training = window_collection(data.split("train"), dense=True)
    found = screen(painted, training, window_collection(data.split(held_out)), extractor, report=report)
    write_json(folder / COPIES, {"format": "sian.copies/1", "data": data.info.name, "held_out": held_out, **found})
    return found


def _entry(folder: Path, line: ShardLine, record: dict[str, Any]) -> Entry:
    if line.files and line.files[0].endswith(".tar"):
        return Entry(partial(_packed, folder / line.files[0], record["id"]), record["organ"])
    return Entry(partial(read_image, folder / record["image"]), record["organ"])


def _packed(path: Path, name: str) -> npt.NDArray[np.uint8]:
    return read_picture(_images(path)[name])


@cache
def _images(path: Path) -> dict[str, Member]:
    return {item.name: item.image for item in read_items(path) if item.image is not None}
