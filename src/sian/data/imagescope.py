"""Read nucleus outlines from ImageScope XML, plain or gzip: the annotation format of MoNuSeg and MoNuSAC.

``Annotations / Annotation / Regions / Region / Vertices / Vertex X= Y=``, all layers in document order. Ellipses
(Type 2) and rectangles (Type 1) of two vertices are drawn in the box of these. Arrows, lines and points are left out,
and so is MoNuSAC's layer of ambiguous areas. Entities and document types are refused; what a file may cost is limited.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.formats.regions import Effort, Region, Shape, draw, ellipse_ring
from sian.data.leftovers import SHORT_OUTLINE
from sian.errors import BadInput, first_line
from sian.files.unpacking import read_unpacked
from sian.masks.outlines import MIN_VERTICES, fill_ring

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from sian.data.pairs import Annotated

MAX_XML_BYTES = 256 << 20  # MoNuSeg's largest is 4 MB
MAX_COORDINATE = 1e7  # pixels; beyond any slide
MAX_DEPTH = 100  # of elements in elements; ImageScope's are 6 deep
MAX_ELEMENTS = 2_500_000  # MoNuSeg's largest file has 90,000
MAX_REGIONS = 250_000
MAX_ATTRIBUTES = 100  # of an element
MAX_TAG_BYTES = 1 << 19  # a parser takes its time for a long one
MPP_RANGE = (0.01, 100.0)  # anything else in the attribute is not micrometres per pixel
EXPECTED = "expected ImageScope XML with Annotations/Annotation/Regions/Region/Vertices"

REGION = ("Annotations", "Annotation", "Regions", "Region")
VERTEX = (*REGION, "Vertices", "Vertex")
ATTRIBUTE = ("Annotations", "Annotation", "Attributes", "Attribute")
RECTANGLE, ELLIPSE, ARROW = "1", "2", "3"
CLASSES = {"epithelial", "lymphocyte", "macrophage", "neutrophil"}  # MoNuSAC's layers
AMBIGUOUS = "ambiguous"  # MoNuSAC's layer of areas in which nobody can tell nuclei apart


@dataclass(slots=True)
class _Region:
    """One region: its kind, its layer's class, and its vertices as x, y, x, y, ..."""

    kind: str
    layer: str
    numbers: array[float] = field(default_factory=lambda: array("d"))


class _Collector:
    """Takes a parser's events and keeps the regions; no tree of elements is built."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: list[str] = []
        self._elements = 0
        self._layer = ""
        self.regions: list[_Region] = []
        self.mpp: float | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        self._open.append(tag)
        self._elements += 1
        if len(self._open) > MAX_DEPTH or len(attributes) > MAX_ATTRIBUTES:
            raise BadInput(
                f"{self._path}: found elements more than {MAX_DEPTH} deep or of more than {MAX_ATTRIBUTES} attributes, "
                f"{EXPECTED}; export it again"
            )
        if self._elements > MAX_ELEMENTS or len(self.regions) > MAX_REGIONS:
            raise BadInput(
                f"{self._path}: found more than {MAX_ELEMENTS:,} elements or {MAX_REGIONS:,} regions, expected an "
                "annotation of one tile; split it"
            )
        if self._open[0] != "Annotations":
            raise BadInput(f"{self._path}: found XML with root <{tag[:60]}>, {EXPECTED}; export it from ImageScope")
        place = tuple(self._open)
        if place == VERTEX:
            self.regions[-1].numbers.extend(self._vertex(attributes))
        elif place == REGION:
            self._begin_region(attributes)
        elif len(place) == 2:
            self._layer = attributes.get("Name", "").strip()
        elif place == ATTRIBUTE and attributes.get("Name", "").strip().lower() in (*CLASSES, AMBIGUOUS):
            self._layer = attributes["Name"].strip()
        elif len(place) == 1:
            self.mpp = _mpp(attributes.get("MicronsPerPixel", "nan"))

    def end(self, tag: str) -> None:  # noqa: ARG002 - the parser's signature
        """An element ends."""
        self._open.pop()

    def _begin_region(self, attributes: dict[str, str]) -> None:
        if attributes.get("NegativeROA", "0") not in ("0", ""):
            raise BadInput(
                f"{self._path}: found a region that cuts out of others (NegativeROA); expected outlines; remove it"
            )
        self.regions.append(_Region(attributes.get("Type", "0"), self._layer))

    def _vertex(self, attributes: dict[str, str]) -> tuple[float, float]:
        try:
            x, y = attributes["X"], attributes["Y"]
            if "_" in x + y or not (x + y).isascii():  # which Python would take for numbers
                raise ValueError(f"{x}, {y}")
            point = float(x), float(y)
        except (KeyError, ValueError) as error:
            raise BadInput(
                f"{self._path}: found a vertex without numbers for X and Y ({first_line(error)[:60]}), {EXPECTED}"
            ) from error
        if not (abs(point[0]) <= MAX_COORDINATE and abs(point[1]) <= MAX_COORDINATE):  # nan fails as well
            raise BadInput(f"{self._path}: found a vertex at {list(point)}, expected pixel coordinates")
        return point


def read(path: Path, height: int, width: int, origin: tuple[int, int] = (0, 0)) -> Annotated:
    """Read an ImageScope .xml or .xml.gz; its content decides which. See `AnnotationReader`.

    Args:
        path: the file.
        height: rows of the picture.
        width: its columns.
        origin: the picture's first row and column on the slide whose pixels the file counts.

    Raises:
        BadInput: no such file, cut short, not XML, another kind of XML, entities, too large once unpacked, coordinates
            that are not finite numbers, regions that cut out of others (NegativeROA), or none that covers the picture.
    """
    collected = _parse(path, read_unpacked(path, "XML", MAX_XML_BYTES))
    others: Counter[str] = Counter()
    shapes = []
    effort = Effort(path, height, width)
    for region in collected.regions:
        if region.layer.lower() == AMBIGUOUS:
            others["ambiguous region"] += 1
            continue
        ring = _ring(region) - origin[::-1]
        filled = _fill(ring, height, width, effort)
        kind = _kind(region, ring) if filled is None else "outline"
        name = region.layer.capitalize() if region.layer.lower() in CLASSES else None
        shapes.append(Shape(kind, filled, None, name, may_hold=True))
    drawn = draw(path, shapes, height, width, others)
    return replace(drawn, facts={**drawn.facts, "mpp": collected.mpp}) if collected.mpp else drawn


def _parse(path: Path, content: bytes) -> _Collector:
    from xml.etree.ElementTree import ParseError  # the exception only; defusedxml parses

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    if not content.strip():
        raise BadInput(f"{path}: found an empty file, {EXPECTED}; copy or export it again")
    starts = range(0, len(content) - MAX_TAG_BYTES, MAX_TAG_BYTES)
    if any(content.find(b"<", start, start + MAX_TAG_BYTES) < 0 for start in starts):
        raise BadInput(f"{path}: found half a megabyte without a tag, {EXPECTED}; export it again")
    collector = _Collector(path)
    parser: Any = DefusedXMLParser(target=collector, forbid_dtd=True)
    try:
        parser.feed(content)
        parser.close()
    except DefusedXmlException as error:
        raise BadInput(
            f"{path}: found a document type or entities, {EXPECTED} without them; export it again"
        ) from error
    except BadInput:
        raise
    except (ParseError, ValueError, LookupError) as error:
        raise BadInput(
            f"{path}: is not whole XML ({first_line(error)}), {EXPECTED}; copy or export it again"
        ) from error
    return collector


def _ring(region: _Region) -> npt.NDArray[np.float64]:
    """The outline that a region means: (n, 2)."""
    vertices = np.array(region.numbers, np.float64).reshape(-1, 2)
    if region.kind == ELLIPSE and (len(vertices) == 2 or _is_box(vertices)):
        return ellipse_ring(vertices)
    if region.kind == RECTANGLE and len(vertices) == 2:
        (left, top), (right, bottom) = vertices
        return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    return vertices


def _is_box(vertices: npt.NDArray[np.float64]) -> bool:
    """Whether four vertices are the corners of an upright rectangle."""
    return len(vertices) == 4 and all(len(np.unique(axis)) == 2 for axis in vertices.T)


def _fill(ring: npt.NDArray[np.float64], height: int, width: int, effort: Effort) -> Region | None:
    if len(ring) < MIN_VERTICES:
        return None
    effort.spend([ring])
    return fill_ring(ring, height, width)


def _kind(region: _Region, ring: npt.NDArray[np.float64]) -> str:
    """What a region without an inside is called."""
    if region.kind == ARROW:
        return "arrow"
    return {0: "region without vertices", 1: "point", 2: "line"}.get(len(ring), SHORT_OUTLINE)


def _mpp(text: str) -> float | None:
    try:
        mpp = float(text)
    except ValueError:
        return None
    return mpp if math.isfinite(mpp) and MPP_RANGE[0] <= mpp <= MPP_RANGE[1] else None
