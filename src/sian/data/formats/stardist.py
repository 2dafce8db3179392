"""StarDist's folders: SPLIT/images/ID.tif (RGB) and SPLIT/masks/ID.tif (16-bit ids, 32-bit beyond 65,535)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.formats.format import Format, Sample
from sian.data.provenance import item_origin
from sian.masks.files import MAX_PNG_ID

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sian.data.dataset import Dataset


def write(folder: Path, dataset: Dataset, samples: Iterable[Sample]) -> None:
    """Write a data set; see `Format.write`. `sian data import` reads it as it reads any images/ + masks/."""
    import tifffile

    for sample in samples:
        images, masks = (folder / sample.item.split / name for name in ("images", "masks"))
        images.mkdir(parents=True, exist_ok=True)
        masks.mkdir(exist_ok=True)
        origin = json.dumps(item_origin(sample.item, dataset.info))  # ASCII, as TIFF wants it
        name = f"{sample.item.id}.tif"
        options: dict[str, Any] = {"compression": "zlib", "metadata": None, "software": "sian", "description": origin}
        tifffile.imwrite(images / name, sample.image, photometric="rgb", **options)
        kind = np.uint16 if int(sample.mask.max()) <= MAX_PNG_ID else np.uint32
        tifffile.imwrite(masks / name, sample.mask.astype(kind), photometric="minisblack", **options)


FORMAT = Format(
    name="stardist",
    describes="StarDist: SPLIT/images/ID.tif and SPLIT/masks/ID.tif with 16-bit ids",
    losses="Holds pixels and ids whole (ids beyond 65,535 in 32 bits); classes and all else only in provenance.json.",
    write=write,
)
