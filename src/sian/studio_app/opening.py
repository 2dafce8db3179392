"""What is dropped on the page: a mask, nuclei as GeoJSON, a tissue map, a picture; read by the product's readers."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sian.data.formats.geojson import read as read_geojson
from sian.errors import BadInput
from sian.files.images import DECODE_ERRORS, decode_image
from sian.files.numpy_files import npy_head
from sian.layout.tissue_map import CELL, TISSUE_VALUES, known_values
from sian.masks import read_mask
from sian.studio_app.document import check_size
from sian.studio_app.tissue_brush import TissueChange, from_map

if TYPE_CHECKING:
    from numpy.typing import NDArray

MASK_SUFFIXES = (".png", ".tif", ".tiff", ".npy")
PICTURE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".webp")
GEOJSON_SUFFIXES = (".geojson", ".json")
STYLE_SUFFIX = ".json"
MAP_SUFFIX = ".npy"
MOST_BYTES = 128 << 20  # of an upload
MOST_PIXELS = 8192 * 8192


def safe_name(name: str) -> str:
    """The last part of a file's name as a page gives it, with letters that a file may have."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    plain = "".join(letter if letter.isalnum() or letter in "-_. " else "-" for letter in last).strip(" .")
    return plain[-80:] or "upload"


def is_style_file(name: str, content: bytes) -> bool:
    """Whether a file says that it is one of a style, as `sian style` and Save write it.

    >>> is_style_file("mine.json", b'{"format": "sian.style/1"}'), is_style_file("a.json", b'{"type": "Feature"}')
    (True, False)
    """
    return Path(name).suffix.lower() == STYLE_SUFFIX and b'"sian.style/' in content[:4096]


def is_tissue_map(name: str, content: bytes) -> bool:
    """Whether a file is a tissue map as Save writes it: numbers with a point, four a cell."""
    found = npy_head(content) if Path(name).suffix.lower() == MAP_SUFFIX else None
    return found is not None and found[1].kind == "f" and len(found[0]) == 3 and found[0][2] == len(TISSUE_VALUES)


def read_tissue_map(name: str, content: bytes, shape: tuple[int, int]) -> TissueChange:
    """The whole tissue map of a drawing of H x W px, of a file that is one.

    Raises:
        BadInput: it is that of a drawing of another size, or is damaged.
    """
    expected = (-(-shape[0] // CELL), -(-shape[1] // CELL))
    head = npy_head(content)
    if head is None or head[0][:2] != expected:
        found = " x ".join(map(str, head[0][:2])) if head else "no"
        raise BadInput(
            f"{name}: found a tissue map of {found} cells, expected {expected[0]} x {expected[1]} as this drawing has; "
            "open the mask that it belongs to first"
        )
    try:
        values = np.load(io.BytesIO(content), allow_pickle=False)
        known_values(values)
    except ValueError as error:
        reason = error if isinstance(error, BadInput) else "found a damaged tissue map; save it again"
        raise BadInput(f"{name}: {reason}") from None
    return TissueChange(0, 0, from_map(values))


def read_upload(
    name: str, content: bytes, folder: Path
) -> tuple[NDArray[np.int32] | NDArray[np.uint8], dict[int, str] | None]:
    """An instance mask (H, W) int32 and the classes by id that its file says, or a picture (H, W, 3) uint8 and None.

    Args:
        name: of the file, which errors name and whose ending says what it may be.
        content: its bytes.
        folder: for a temporary file, which the readers want.

    Raises:
        BadInput: neither of these, or too large.
    """
    suffix = Path(name).suffix.lower()
    if suffix not in {*MASK_SUFFIXES, *PICTURE_SUFFIXES, *GEOJSON_SUFFIXES}:
        raise BadInput(f"{name}: found {suffix or 'no suffix'}, expected a mask (png, tif, npy, geojson) or a picture")
    if not content:
        raise BadInput(f"{name}: found an empty file (0 bytes); copy or export it again")
    if suffix in PICTURE_SUFFIXES and _in_colour(content):
        picture = decode_image(content, name, max_pixels=MOST_PIXELS)
        check_size(picture.shape[:2])
        return picture, None
    mask, classes = _read(name, suffix, content, folder)
    check_size(mask.shape)
    return mask, classes


def _read(name: str, suffix: str, content: bytes, folder: Path) -> tuple[NDArray[np.int32], dict[int, str] | None]:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="upload-", dir=folder) as inside:
        path = Path(inside) / f"upload{suffix}"
        path.write_bytes(content)
        try:
            if suffix in GEOJSON_SUFFIXES:
                height, width = _extent(path)
                found = read_geojson(path, height, width)
                return found.mask, dict(found.classes) or None
            return read_mask(path), None
        except BadInput as error:
            raise BadInput(str(error).replace(str(path), name)) from None


def _extent(path: Path) -> tuple[int, int]:
    """A size that holds all outlines of a GeoJSON file, which does not say how large its picture was."""
    from sian.files.jsonfiles import read_json

    found = np.array(list(_pairs(read_json(path), 0)), np.float64).reshape(-1, 2)
    if not len(found) or not np.isfinite(found).all():
        raise BadInput(f"{path}: found no outlines, expected a GeoJSON FeatureCollection; export it again")
    right, bottom = np.ceil(found.max(0)).clip(32, 1e6).astype(int)
    check_size((int(bottom), int(right)))
    return int(bottom), int(right)


def _pairs(value: object, depth: int) -> list[tuple[float, float]]:
    """Every pair of coordinates in a JSON value."""
    if depth > 12:
        return []
    if isinstance(value, dict):
        return [pair for part in value.values() for pair in _pairs(part, depth + 1)]
    if not isinstance(value, list):
        return []
    if len(value) == 2 and all(isinstance(part, int | float) for part in value):
        return [(float(value[0]), float(value[1]))]
    return [pair for part in value for pair in _pairs(part, depth + 1)]


def _in_colour(content: bytes) -> bool:
    """Whether these bytes are a picture rather than a mask of one channel."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "TIFF", "WEBP", "JPEG")) as picture:
            return picture.mode in ("RGB", "RGBA", "CMYK", "YCbCr", "LAB")
    except DECODE_ERRORS:
        return False
