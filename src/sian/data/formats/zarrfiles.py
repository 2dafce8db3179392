"""Read Zarr arrays that others wrote: the metadata are judged before Zarr opens anything.

Zarr 2 can name the codec "pickle", which runs code, and any version can claim any shape; links and ".." can lead out
of the folder. Here: whole numbers only, codecs from a list, bounded shapes and chunks, files inside the folder only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.formats.format import MAX_FILES, check_shape
from sian.errors import BadInput, MissingResource, first_line
from sian.files.jsonfiles import read_json

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    import numpy.typing as npt

MAX_AXES = 5  # t, c, z, y, x
MAX_ELEMENTS = 3 << 27  # as many as the largest picture has
SLACK_BYTES = 4096  # by which a compressed chunk may exceed its numbers
COMPRESSORS_2 = {"blosc", "zlib", "gzip", "zstd", "lz4", "bz2"}
CODECS_3 = {"bytes", "transpose", "gzip", "zstd", "blosc", "crc32c"}
DTYPE_2 = re.compile(r"[<>|][ui][1248]")
DTYPE_3 = re.compile(r"u?int(8|16|32|64)")
INTEGER_BYTES = 8


def zarr_library() -> ModuleType:
    """The package zarr.

    Raises:
        MissingResource: it is not installed.
    """
    try:
        import zarr
    except ImportError as error:
        raise MissingResource(
            "OME-Zarr needs the package zarr, which is not installed here; get it with `pip install sian[formats]`"
        ) from error
    return zarr


def attributes(group: Path) -> dict[str, Any]:
    """The OME attributes of a group: of zarr.json (0.5) or .zattrs (0.4); {} if it has none."""
    if (group / "zarr.json").is_file():
        content = read_json(group / "zarr.json")
        found = content.get("attributes") if isinstance(content, dict) else None
        found = found.get("ome", found) if isinstance(found, dict) else None
    elif (group / ".zattrs").is_file():
        found = read_json(group / ".zattrs")
    else:
        found = None
    return found if isinstance(found, dict) else {}


def read_array(store: Path, place: Path) -> npt.NDArray[Any]:
    """Read a whole array of integers.

    Args:
        store: the folder that everything must lie in.
        place: the array's own folder.
    """
    if not place.resolve().is_relative_to(store.resolve()):
        raise BadInput(f"{place}: leads out of {store}, expected an array inside it; copy it there")
    zarr = zarr_library()
    raw_bytes = _check_metadata(place)
    _check_files(store, place, raw_bytes)
    try:
        return np.asarray(zarr.open_array(str(place), mode="r")[...])
    except (OSError, ValueError, TypeError, KeyError, IndexError, RuntimeError, MemoryError, AttributeError) as error:
        raise BadInput(
            f"{place}: cannot be read as a Zarr array ({first_line(error)[:200]}); export it again"
        ) from error


def _check_metadata(place: Path) -> int:
    """Judge an array's metadata; the bytes of one unpacked chunk."""
    if (place / "zarr.json").is_file():
        content, problem = _judged_3(read_json(place / "zarr.json"))
    elif (place / ".zarray").is_file():
        content, problem = _judged_2(read_json(place / ".zarray"))
    else:
        raise BadInput(f"{place}: holds no Zarr array, expected zarr.json or .zarray; copy it again")
    if problem:
        raise BadInput(f"{place}: found {problem}, expected a Zarr array of whole numbers; export it again")
    shape, chunks = content
    check_shape(str(place), shape, MAX_ELEMENTS)
    check_shape(str(place), chunks, MAX_ELEMENTS)
    return int(np.prod(np.array(chunks, np.int64))) * INTEGER_BYTES


_Sizes = tuple[tuple[int, ...], tuple[int, ...]]


def _judged_3(content: Any) -> tuple[_Sizes, str]:
    try:
        codecs = [codec["name"] for codec in content["codecs"]]
        sizes = _sizes(content["shape"]), _sizes(content["chunk_grid"]["configuration"]["chunk_shape"])
        data_type = content["data_type"]
    except (TypeError, KeyError, ValueError):
        return ((), ()), "metadata without shape, chunks, type or codecs"
    if content.get("storage_transformers"):
        return sizes, "storage transformers"
    if not isinstance(data_type, str) or not DTYPE_3.fullmatch(data_type):
        return sizes, f"type {str(data_type)[:60]}"
    unknown = [str(codec)[:60] for codec in codecs if codec not in CODECS_3]
    return sizes, f"codec {unknown[0]}" if unknown else ""


def _judged_2(content: Any) -> tuple[_Sizes, str]:
    try:
        sizes = _sizes(content["shape"]), _sizes(content["chunks"])
        data_type, compressor = content["dtype"], content["compressor"]
        name = None if compressor is None else compressor["id"]
    except (TypeError, KeyError, ValueError):
        return ((), ()), "metadata without shape, chunks, type or compressor"
    if not isinstance(data_type, str) or not DTYPE_2.fullmatch(data_type):
        return sizes, f"type {str(data_type)[:60]}"
    if content.get("filters"):
        return sizes, "filters"
    return sizes, "" if name is None or name in COMPRESSORS_2 else f"compressor {str(name)[:60]}"


def _sizes(listed: Any) -> tuple[int, ...]:
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_AXES:
        raise ValueError("not a list of sizes")
    if not all(isinstance(size, int) and not isinstance(size, bool) and 0 < size < 1 << 40 for size in listed):
        raise ValueError("not a list of sizes")
    return tuple(listed)


def _check_files(store: Path, place: Path, raw_bytes: int) -> None:
    inside = store.resolve()
    for number, file in enumerate(place.rglob("*")):
        if number > MAX_FILES:
            raise BadInput(f"{place}: found more than {MAX_FILES:,} files, expected one image; cut it into tiles first")
        if file.is_symlink() and not file.resolve().is_relative_to(inside):
            raise BadInput(f"{file}: leads out of {store}, expected a file inside it; copy it there")
        if file.is_file() and file.stat().st_size > raw_bytes + SLACK_BYTES and not file.name.endswith("json"):
            raise BadInput(f"{file}: found a chunk larger than its numbers; export it again")
