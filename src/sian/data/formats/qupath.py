"""QuPath's GeoJSON: SPLIT/ID.geojson (or .geojson.gz) beside SPLIT/ID.png.

One FeatureCollection an image; each nucleus is a detection with closed rings on pixel corners, which are QuPath's own
coordinates, its class as QuPath's classification and its id as name. Cells are read by their nucleus.
"""

from __future__ import annotations

import gzip
import json
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

from sian.data.formats.format import Format, Sample, class_names, write_picture
from sian.data.formats.regions import annotated, own_ids, polygon_region
from sian.data.formats.typeinfo import class_colour
from sian.data.provenance import item_origin
from sian.errors import BadInput
from sian.files.jsonfiles import read_json
from sian.masks.contours import trace_nuclei

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sian.data.dataset import Dataset
    from sian.data.formats.regions import Region
    from sian.data.pairs import Annotated
    from sian.masks.contours import Polygon

NAMESPACE = uuid.UUID(
    "8a2f3c54-6f43-5d0a-9f0e-5149a4e0c0de"
)  # of our objects' ids, so that the same export has the same
EXPECTED = "expected a GeoJSON FeatureCollection as QuPath exports it"


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
            colour = class_colour(names.index(classes[nucleus]), len(names))
            properties["classification"] = {"name": classes[nucleus], "color": colour}
        features.append(
            {
                "type": "Feature",
                "id": str(uuid.uuid5(NAMESPACE, f"{dataset.info.name}/{sample.item.id}/{nucleus}")),
                "geometry": _geometry(polygons),
                "properties": properties,
            }
        )
    origin = item_origin(sample.item, dataset.info)
    return {"type": "FeatureCollection", "provenance": origin, "features": features}


def _geometry(polygons: list[Polygon]) -> dict[str, Any]:
    closed = [[[list(corner) for corner in (*ring, ring[0])] for ring in polygon] for polygon in polygons]
    if len(closed) == 1:
        return {"type": "Polygon", "coordinates": closed[0]}
    return {"type": "MultiPolygon", "coordinates": closed}


def read(path: Path, height: int, width: int) -> Annotated:
    """Read one FeatureCollection; see `Format.annotations`."""
    content = read_json(path)
    features = content.get("features") if isinstance(content, dict) else content  # QuPath also writes plain lists
    if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
        raise BadInput(f"{path}: found no list of features, {EXPECTED}; export it again")
    kept = [feature for feature in features if _kind(feature) not in ("root", "tile", "tmaCore")]
    ids = own_ids([_number(_properties(feature).get("name")) for feature in kept])
    regions = (
        (nucleus, _class(feature), _region(f"{path}, feature {place}", feature, height, width))
        for place, (nucleus, feature) in enumerate(zip(ids, kept, strict=True), start=1)
    )
    return annotated(str(path), regions, height, width)


def _properties(feature: dict[str, Any]) -> dict[str, Any]:
    properties = feature.get("properties")
    return properties if isinstance(properties, dict) else {}


def _kind(feature: dict[str, Any]) -> Any:
    return _properties(feature).get("objectType")


def _number(name: Any) -> int | None:
    return int(name) if isinstance(name, str) and name.isdecimal() and len(name) <= 10 else None


def _class(feature: dict[str, Any]) -> str | None:
    """QuPath's classification: {"name": ...}, or {"names": [...]} for derived classes since 0.5."""
    classification = _properties(feature).get("classification")
    if not isinstance(classification, dict):
        return None
    names = classification.get("names")
    name = ": ".join(map(str, names)) if isinstance(names, list) else classification.get("name")
    return name.strip() or None if isinstance(name, str) else None


def _region(where: str, feature: dict[str, Any], height: int, width: int) -> Region | None:
    geometry = feature.get("nucleusGeometry") or feature.get("geometry")
    if not isinstance(geometry, dict):
        return None
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind not in ("Polygon", "MultiPolygon"):
        return None  # points and lines have no inside
    polygons = [coordinates] if kind == "Polygon" else coordinates
    if not isinstance(polygons, list) or not all(isinstance(polygon, list) for polygon in polygons):
        raise BadInput(f"{where}: found a {kind} without rings, {EXPECTED}; export it again")
    return polygon_region(where, polygons, height, width)


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
