"""Read nucleus outlines from ImageScope XML, plain or gzip: MoNuSeg's annotation format.

``Annotations / Annotation / Regions / Region / Vertices / Vertex X= Y=``, all layers in document order.
Entities and document types are refused, and a gzip file may not unpack to more than `MAX_XML_BYTES`.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sian.errors import BadInput

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import numpy.typing as npt

MAX_XML_BYTES = 256 << 20  # MoNuSeg's largest is 4 MB
MAX_COORDINATE = 1e7  # pixels; beyond any slide
GZIP_MAGIC = b"\x1f\x8b"
MPP_RANGE = (0.01, 100.0)  # anything else in the attribute is not micrometres per pixel
EXPECTED = "expected ImageScope XML with Annotations/Annotation/Regions/Region/Vertices"


@dataclass(frozen=True)
class Annotation:
    """The outlines in one file.

    Attributes:
        outlines: one (n, 2) float64 array of x, y a region, in document order; regions with too few
            vertices included.
        mpp: micrometres per pixel if the file says so.
    """

    outlines: list[npt.NDArray[np.float64]]
    mpp: float | None


def read_imagescope(path: str | Path) -> Annotation:
    """Read an ImageScope .xml or .xml.gz; its content decides which.

    Raises:
        BadInput: no such file, cut short, not XML, another kind of XML, entities, too large once unpacked,
        coordinates
            that are not finite numbers, or regions that cut out of others (NegativeROA).
    """
    path = Path(path)
    root = _parse(path, _unpacked(path))
    if root.tag != "Annotations":
        raise BadInput(f"{path}: found XML with root <{root.tag[:60]}>, {EXPECTED}; export it from ImageScope")
    regions = root.findall("./Annotation/Regions/Region")
    if any(region.get("NegativeROA", "0") not in ("0", "") for region in regions):
        raise BadInput(f"{path}: found a region that cuts out of others (NegativeROA); expected outlines; remove it")
    return Annotation([_vertices(path, region) for region in regions], _mpp(root))


def _unpacked(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_XML_BYTES + 1)
        if content.startswith(GZIP_MAGIC):
            with gzip.open(path) as stream:
                content = stream.read(MAX_XML_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{path}: found a broken gzip file ({error}), expected a whole one; copy it again") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput(f"{path}: cannot be read ({reason}); expected an XML file; check the path") from error
    if len(content) > MAX_XML_BYTES:
        raise BadInput(f"{path}: found more than {MAX_XML_BYTES >> 20} MB of XML, expected an annotation of one tile")
    if not content.strip():
        raise BadInput(f"{path}: found an empty file, {EXPECTED}; copy or export it again")
    return content


def _parse(path: Path, content: bytes) -> Element:
    from xml.etree.ElementTree import ParseError  # the exception only; defusedxml parses

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(content, forbid_dtd=True)
    except DefusedXmlException as error:
        raise BadInput(
            f"{path}: found a document type or entities, {EXPECTED} without them; export it again"
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise BadInput(f"{path}: is not whole XML ({error}), {EXPECTED}; copy or export it again") from error
    return root


def _vertices(path: Path, region: Element) -> npt.NDArray[np.float64]:
    try:
        points = [(float(v.attrib["X"]), float(v.attrib["Y"])) for v in region.findall("./Vertices/Vertex")]
    except (KeyError, ValueError) as error:
        raise BadInput(f"{path}: found a vertex without numbers for X and Y ({error}), {EXPECTED}") from error
    vertices = np.array(points, np.float64).reshape(-1, 2)
    if not (np.abs(vertices) <= MAX_COORDINATE).all():  # nan fails as well
        raise BadInput(f"{path}: found a vertex at {vertices.tolist()[0]} or beyond, expected pixel coordinates")
    return vertices


def _mpp(root: Element) -> float | None:
    try:
        mpp = float(root.get("MicronsPerPixel", "nan"))
    except ValueError:
        return None
    return mpp if math.isfinite(mpp) and MPP_RANGE[0] <= mpp <= MPP_RANGE[1] else None
