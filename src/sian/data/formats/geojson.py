"""Read GeoJSON of nuclei: QuPath 0.2 to 0.5, CellViT, and plain GeoJSON without QuPath's properties.

A FeatureCollection, a list of Features, one Feature or one geometry. What is a nucleus is told by object types:

- Detections and cells are nuclei; a cell is drawn by its ``nucleusGeometry`` if it has one. Several polygons of
  one of them are one nucleus in pieces.
- Annotations, and features that don't say what they are, are nuclei, each of their polygons one: CellViT writes one
  feature a class. Annotations are regions instead beside detections or cells, when they have ``childObjects``, when
  their class ends in ``*`` (QuPath's mark of a class to ignore), and when they hold two other outlines whole.
- Tiles, TMA cores, the root, points and lines are never drawn.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sian.data.formats.regions import (
    NO_CLASS,
    REGION,
    Effort,
    Shape,
    check_vertices,
    draw,
    ellipse_ring,
    outline,
    own_ids,
    polygon_region,
)
from sian.data.leftovers import as_stated
from sian.errors import BadInput
from sian.files.jsonfiles import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sian.data.pairs import Annotated

EXPECTED = "expected a GeoJSON FeatureCollection as QuPath exports it"
# QuPath's object types, and the names that 0.2 wrote as a feature's id.
KINDS = {
    **dict.fromkeys(("detection", "PathDetectionObject"), "detection"),
    **dict.fromkeys(("cell", "PathCellObject"), "cell"),
    **dict.fromkeys(("annotation", "PathAnnotationObject"), "annotation"),
    **dict.fromkeys(("tile", "PathTileObject"), "tile"),
    **dict.fromkeys(("tmaCore", "tma_core", "TMACoreObject"), "TMA core"),
    **dict.fromkeys(("root", "PathRootObject"), "root object"),
}
UNTYPED = "outline"  # what a feature is called that doesn't say what it is
CELL_OUTLINE = "cell outline"  # a cell without a nucleus of its own
NUCLEI = ("detection", "cell", CELL_OUTLINE)
PERHAPS = ("annotation", UNTYPED)
ENCLOSING = ("Polygon", "MultiPolygon")
WITHOUT_INSIDE = {"Point": "point", "MultiPoint": "point", "LineString": "line", "MultiLineString": "line"}
GEOMETRIES = (*ENCLOSING, *WITHOUT_INSIDE, "GeometryCollection")

Polygon = list[Any]  # rings of [x, y], as the file gives them


@dataclass(frozen=True)
class Found:
    """One feature.

    Attributes:
        where: what errors call it.
        kind: what it is, e.g. "detection".
        number: the id that its name is, as SIAN writes it.
        name: its class.
        has_children: whether other features lie below it.
        polygons: what its geometry encloses.
        others: what else its geometry holds, by kind.
    """

    where: str
    kind: str
    number: int | None
    name: str | None
    has_children: bool
    polygons: list[Polygon]
    others: Counter[str]

    @property
    def is_region(self) -> bool:
        """Whether it says itself that it is a region, not a nucleus."""
        return self.kind in PERHAPS and (self.has_children or (self.name or "").endswith("*"))


def read(path: Path, height: int, width: int, origin: tuple[int, int] = (0, 0)) -> Annotated:
    """Read the nuclei of one picture; see `Format.annotations`. `origin` is its first row and column on a slide."""
    content = read_json(path, nan=True)  # QuPath before 0.4.4 writes NaN among measurements
    objects = list(found_in(path, content))
    has_nuclei = any(found.kind in NUCLEI and found.polygons for found in objects)
    nuclei: list[tuple[Found, str, list[Polygon]]] = []
    left_out: Counter[str] = Counter()
    for found in objects:
        left_out.update(found.others)
        if found.kind not in (*NUCLEI, *PERHAPS):
            left_out[found.kind] += 1
        elif found.is_region or (found.kind == "annotation" and has_nuclei):
            left_out[REGION] += 1
        else:
            nuclei += ((found, kind, polygons) for kind, polygons in nuclei_of(found))
    ids = own_ids([found.number for found, _, _ in nuclei])
    effort = Effort(path, height, width)
    shapes = []
    for nucleus, (found, kind, polygons) in zip(ids, nuclei, strict=True):
        region = polygon_region(found.where, polygons, height, width, effort, origin)
        shapes.append(Shape(outline(kind, region), region, nucleus, found.name, may_hold=found.kind in PERHAPS))
    provenance = content.get("provenance") if isinstance(content, dict) else None
    return as_stated(draw(path, shapes, height, width, left_out), provenance)


def found_in(path: Path, content: Any, first: int = 1) -> Iterator[Found]:
    """What parsed GeoJSON holds, in its order.

    Args:
        path: what errors call it.
        content: as `json` reads it.
        first: the number of its first feature, for errors.

    Raises:
        BadInput: no GeoJSON of QuPath's kind.
    """
    for place, feature in enumerate(_features(path, content), start=first):
        yield _object(path, place, feature)


def nuclei_of(found: Found) -> list[tuple[str, list[Polygon]]]:
    """What each nucleus of an object is called, and its polygons."""
    if not found.polygons:
        return []
    if found.kind in NUCLEI or len(found.polygons) == 1:
        return [(found.kind, found.polygons)]
    return [(f"polygon of an {found.kind}", [polygon]) for polygon in found.polygons]


def _features(path: Path, content: Any) -> Iterator[dict[str, Any]]:
    """All features of a file, those below others included, each before its children."""
    if isinstance(content, dict) and content.get("type") == "Feature":
        content = [content]
    elif isinstance(content, dict) and content.get("type") in GEOMETRIES:
        content = [{"type": "Feature", "geometry": content}]
    waiting = content.get("features") if isinstance(content, dict) else content  # QuPath also writes plain lists
    if not isinstance(waiting, list):
        raise BadInput(f"{path}: found no list of features, {EXPECTED}; export it again")
    waiting = waiting[::-1]
    while waiting:
        feature = waiting.pop()
        if not isinstance(feature, dict):
            raise BadInput(f"{path}: found no list of features, {EXPECTED}; export it again")
        yield feature
        waiting += reversed(_children(path, feature))


def _children(path: Path, feature: dict[str, Any]) -> list[Any]:
    children = _properties(feature).get("childObjects", feature.get("childObjects"))
    if children is not None and not isinstance(children, list):
        raise BadInput(f"{path}: found childObjects that are not a list of features, {EXPECTED}; export it again")
    return children or []


def _object(path: Path, place: int, feature: dict[str, Any]) -> Found:
    where, kind, geometry = f"{path}, feature {place}", _kind(feature), feature.get("geometry")
    if isinstance(nucleus := feature.get("nucleusGeometry"), dict):
        geometry = nucleus
    elif kind == "cell":
        kind = CELL_OUTLINE
    polygons, others = _unfold(where, geometry)
    number = _number(_properties(feature).get("name"))
    return Found(where, kind, number, _class(where, feature), bool(_children(path, feature)), polygons, others)


def _properties(feature: dict[str, Any]) -> dict[str, Any]:
    properties = feature.get("properties")
    return properties if isinstance(properties, dict) else {}


def _kind(feature: dict[str, Any]) -> str:
    """What an object is: QuPath 0.4 says objectType, 0.3 object_type, 0.2 says it in the id."""
    properties = _properties(feature)
    said = [properties.get("objectType"), properties.get("object_type"), feature.get("id"), properties.get("type")]
    return next((KINDS[word] for word in said if isinstance(word, str) and word in KINDS), UNTYPED)


def _number(name: Any) -> int | None:
    return int(name) if isinstance(name, str) and name.isascii() and name.isdecimal() and len(name) <= 10 else None


def _class(where: str, feature: dict[str, Any]) -> str | None:
    """QuPath's classification: {"name": ...}, or {"names": [...]} for derived classes since 0.5; others give a text."""
    given = _properties(feature).get("classification")
    if isinstance(given, dict):
        given = given.get("names", [given.get("name")])
    words: list[Any] = given if isinstance(given, list) else [given]
    if words in ([], [None]):
        return None
    if not all(isinstance(word, str) for word in words):
        raise BadInput(f"{where}: found a classification that is not a name ({str(given)[:60]}), {EXPECTED}; repair it")
    name = ": ".join(words).strip()
    return None if name.lower() in NO_CLASS else name or None


def _unfold(where: str, geometry: Any) -> tuple[list[Polygon], Counter[str]]:
    """The polygons of a geometry, those of collections included, and what else it holds."""
    polygons: list[Polygon] = []
    others: Counter[str] = Counter()
    waiting = [geometry]
    while waiting:
        part = waiting.pop()
        if not isinstance(part, dict):
            others["object without a geometry"] += 1
            continue
        kind = part.get("type")
        parts = part.get("geometries" if kind == "GeometryCollection" else "coordinates")
        if kind in WITHOUT_INSIDE:
            others[WITHOUT_INSIDE[kind]] += len(parts) if kind.startswith("Multi") and isinstance(parts, list) else 1
            continue
        if kind not in GEOMETRIES or not isinstance(parts, list):
            raise BadInput(f"{where}: found a {str(kind)[:60]} without rings, {EXPECTED}; export it again")
        if kind == "GeometryCollection":
            waiting += reversed(parts)
        else:
            polygons += _polygons(where, part, [parts] if kind == "Polygon" else parts)
    return polygons, others


def _polygons(where: str, geometry: dict[str, Any], polygons: list[Any]) -> list[Polygon]:
    if not all(isinstance(polygon, list) for polygon in polygons):
        raise BadInput(f"{where}: found a {geometry['type']} without rings, {EXPECTED}; export it again")
    if geometry.get("isEllipse") is not True:  # QuPath's mark: the ellipse in the polygon's box is meant
        return polygons
    rings = [check_vertices(where, ring) for polygon in polygons for ring in polygon[:1]]
    return [[ellipse_ring(ring).tolist()] for ring in rings if len(ring)]
