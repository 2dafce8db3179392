"""QuPath's GeoJSON: SPLIT/ID.geojson (or .geojson.gz) beside SPLIT/ID.png.

One FeatureCollection an image; each nucleus is a detection with closed rings on pixel corners, which are QuPath's own
coordinates, its class as QuPath's classification and its id as name. `sian.data.formats.geojson` reads it.
"""

from __future__ import annotations

import gzip
import json
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

from sian.data.formats.format import Format, Sample, class_names, write_picture
from sian.data.formats.geojson import read
from sian.data.formats.typeinfo import class_colour
from sian.data.provenance import item_origin
from sian.masks.contours import trace_nuclei

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sian.data.dataset import Dataset
    from sian.masks.contours import Polygon

NAMESPACE = uuid.UUID(
    "8a2f3c54-6f43-5d0a-9f0e-5149a4e0c0de"
)  # of our objects' ids, so that the same export has the same


def write(folder: Path, dataset: Dataset, samples: Iterable[Sample], *, packed: bool = False) -> None:
    """Write a data set; see `Format.write`."""
    names = class_names(dataset)
    for sample in samples:
        part = folder / sample.item.split
        write_picture(part / f"{sample.item.id}.png", sample, dataset.info)
        content = json.dumps(_collection(sample, dataset, names)).encode()
        if packed:
            (part / f"{sample.item.id}.geojson.gz").write_bytes(gzip.compress(content, mtime=0))
        else:
            (part / f"{sample.item.id}.geojson").write_bytes(content)


def _collection(sample: Sample, dataset: Dataset, names: list[str]) -> dict[str, Any]:
    classes = sample.item.class_by_id
    features = []
    for nucleus, polygons in trace_nuclei(sample.mask):
        properties: dict[str, Any] = {"objectType": "detection", "name": str(nucleus)}
        if nucleus in classes:
            properties["classification"] = classification(classes[nucleus], names)
        features.append(
            {
                "type": "Feature",
                "id": str(uuid.uuid5(NAMESPACE, f"{dataset.info.name}/{sample.item.id}/{nucleus}")),
                "geometry": geometry(polygons),
                "properties": properties,
            }
        )
    origin = item_origin(sample.item, dataset.info) | {"nuclei": len(features)}
    return {"type": "FeatureCollection", "provenance": origin, "features": features}


def classification(name: str, names: list[str]) -> dict[str, Any]:
    """A class as QuPath has it, with a colour of its own among all names."""
    return {"name": name, "color": class_colour(names.index(name), len(names))}


def geometry(polygons: list[Polygon]) -> dict[str, Any]:
    """Polygons as GeoJSON, with closed rings."""
    closed = [[[list(corner) for corner in (*ring, ring[0])] for ring in polygon] for polygon in polygons]
    if len(closed) == 1:
        return {"type": "Polygon", "coordinates": closed[0]}
    return {"type": "MultiPolygon", "coordinates": closed}


LOSSES = (
    "Holds pixels, ids (as names) and classes whole; split, organ, mpp, patient and the like only in provenance.json."
)

FORMAT = Format(
    name="qupath",
    describes="QuPath: SPLIT/ID.geojson (FeatureCollection, rings on pixel corners, classes) beside SPLIT/ID.png",
    losses=LOSSES,
    write=write,
    annotations={".geojson": read},
)

PACKED = Format(
    name="qupath-gz",
    describes="the same, with SPLIT/ID.geojson.gz",
    losses=LOSSES,
    write=partial(write, packed=True),
    annotations={".geojson.gz": read},
)
