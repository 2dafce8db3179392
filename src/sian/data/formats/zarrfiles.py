"""Read Zarr arrays that others wrote: metadata and chunks are judged before Zarr opens anything.

Zarr 2 can name the codec "pickle", which runs code, and any version can claim any shape; links and ".." can lead out
of the folder. Here: numbers only, codecs of a list, bounded shapes and numbers of chunks, ordinary files inside it.
A chunk that is not there reads as background: in a picture it is refused, in labels Zarr stores empty parts that way.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.formats.format import check_shape
from sian.data.formats.zarrchunks import CRC_BYTES, check_chunk
from sian.data.formats.zarrtasks import let_reads_end
from sian.errors import BadInput, MissingResource, first_line
from sian.files.images import MAX_PIXELS
from sian.files.jsonfiles import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    import numpy.typing as npt

MAX_AXES = 5  # t, c, z, y, x
MAX_ELEMENTS = 3 * MAX_PIXELS
MAX_BYTES = 4 * MAX_PIXELS  # unpacked: the largest picture's labels in 32 bits
MAX_CHUNKS = 20_000  # 256 x 256 chunks of the largest picture are 4,800; each takes Zarr some tenths of a millisecond
MAX_METADATA_BYTES = 16 << 20
COMPRESSORS_2 = {"blosc", "zlib", "gzip", "zstd", "lz4", "bz2"}
COMPRESSORS_3 = {"gzip", "zstd", "blosc"}
CODECS_3 = {"bytes", "transpose", "crc32c", *COMPRESSORS_3}
SHARDS, CHECKSUM = "sharding_indexed", "crc32c"
DTYPE_2 = re.compile(r"[<>|]([uif])([1248])")
DTYPE_3 = re.compile(r"(?:u?int|float)(8|16|32|64)")
INDEX_BYTES, NOT_STORED = 16, 2**64 - 1  # a chunk of a shard: its place and its length, or that it has none
METADATA_FILES = (".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json")


@dataclass(frozen=True)
class _Layout:
    """How an array lies in its files.

    Attributes:
        version: of Zarr, 2 or 3.
        shape: of the array.
        files: shape of what one file holds: a chunk, or a shard of many.
        chunks: shape of what is packed at once.
        number_bytes: of one number.
        codec: what packs a chunk; None for plain numbers.
        checksum: whether a chunk ends in one.
        prefix: of a file's name, e.g. "c".
        separator: between the numbers in a file's name.
        fill: what a chunk reads as that is not there.
        index_first: whether a shard starts with the list of its chunks instead of ending in it.
        index_checksum: whether that list ends in a checksum.
    """

    version: int
    shape: tuple[int, ...]
    files: tuple[int, ...]
    chunks: tuple[int, ...]
    number_bytes: int
    codec: str | None
    checksum: bool
    prefix: str
    separator: str
    fill: Any
    index_first: bool = False
    index_checksum: bool = True

    @property
    def raw_bytes(self) -> int:
        """Bytes of one unpacked chunk."""
        return math.prod(self.chunks) * self.number_bytes

    @property
    def grid(self) -> tuple[int, ...]:
        """How many chunks one file holds along each axis."""
        return tuple(file // chunk for file, chunk in zip(self.files, self.chunks, strict=True))

    @property
    def count(self) -> int:
        """Chunks of the array; those of a shard that lie beyond its edge are none."""
        return math.prod(-(-side // chunk) for side, chunk in zip(self.shape, self.chunks, strict=True))

    def places(self) -> Iterator[tuple[int, ...]]:
        """The files' numbers along each axis."""
        return itertools.product(*(range(-(-s // f)) for s, f in zip(self.shape, self.files, strict=True)))

    def name(self, place: tuple[int, ...]) -> str:
        """A file's name below the array's folder."""
        return self.separator.join([*([self.prefix] if self.prefix else []), *map(str, place)])

    def inside(self, place: tuple[int, ...]) -> tuple[slice, ...]:
        """Which chunks of a file lie inside the array."""
        left = (side - number * file for side, number, file in zip(self.shape, place, self.files, strict=True))
        return tuple(slice(-(-min(s, f) // c)) for s, f, c in zip(left, self.files, self.chunks, strict=True))


class _Unreadable(Exception):
    """What is wrong with an array's metadata, as a part of a sentence."""


def zarr_library() -> ModuleType:
    """The package zarr.

    Raises:
        MissingResource: it is not installed.
    """
    try:
        import zarr
    except ImportError as error:
        raise MissingResource(
            "OME-Zarr needs the package zarr, which is not installed here; get it with `pip install 'sian[formats]'`"
        ) from error
    return zarr


def attributes(group: Path) -> dict[str, Any]:
    """The OME attributes of a group: of zarr.json (0.5) or .zattrs (0.4); {} if it has none."""
    if (group / "zarr.json").is_file():
        content = read_json(group / "zarr.json", MAX_METADATA_BYTES)
        found = content.get("attributes") if isinstance(content, dict) else None
        found = found.get("ome", found) if isinstance(found, dict) else None
    elif (group / ".zattrs").is_file():
        found = read_json(group / ".zattrs", MAX_METADATA_BYTES)
    else:
        found = None
    return found if isinstance(found, dict) else {}


def array_shape(store: Path, place: Path) -> tuple[int, ...]:
    """The shape of an array, from its metadata alone."""
    return _layout(store, place).shape


def read_array(store: Path, place: Path, *, whole: bool) -> npt.NDArray[Any]:
    """Read a whole array of numbers.

    Args:
        store: the folder that everything must lie in.
        place: the array's own folder.
        whole: whether each chunk must be there.

    Raises:
        BadInput: it leads out of the store, is broken or too large, or chunks are missing.
    """
    layout = _layout(store, place)
    zarr = zarr_library()
    _check_files(store, place, layout, whole)
    try:
        return np.asarray(zarr.open_array(str(place), mode="r", zarr_format=layout.version)[...])
    except Exception as error:  # its codecs raise whatever they like
        raise BadInput(
            f"{place}: cannot be read as a Zarr array ({first_line(error)[:200]}); export it again"
        ) from error


class LazyArray:
    """An array of numbers of which parts are read; the files of a part are judged before Zarr sees them.

    Args:
        store: the folder that everything must lie in.
        place: the array's own folder.
        whole: whether each chunk must be there.

    Raises:
        BadInput: it leads out of the store, its metadata are broken, or its chunks are too large.
    """

    def __init__(self, store: Path, place: Path, *, whole: bool) -> None:
        self._layout = _layout(store, place, lazily=True)
        self._store, self._place, self._whole = store, place, whole
        try:
            self._array = zarr_library().open_array(str(place), mode="r", zarr_format=self._layout.version)
            self.dtype: np.dtype[Any] = np.dtype(self._array.dtype)
        except MissingResource:
            raise
        except Exception as error:
            raise self._broken(error) from error

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array."""
        return self._layout.shape

    def read(self, part: tuple[slice, ...]) -> npt.NDArray[Any]:
        """A part of it; the slices have ends inside the array and no steps.

        Raises:
            BadInput: a chunk is broken, too large, or missing.
        """
        spans = zip(part, self._layout.files, strict=True)
        for number in itertools.product(*(range(cut.start // file, -(-cut.stop // file)) for cut, file in spans)):
            file = self._place / self._layout.name(number)
            stored = _check_file(self._store, file, self._layout, number)
            if not stored and (self._whole or self._layout.fill not in (0, False)):
                raise BadInput(
                    f"{file}: this chunk is not stored and would be read as {self._layout.fill}; copy it again, or "
                    "write it with its empty chunks (write_empty_chunks)"
                )
        try:
            return np.asarray(self._array[part])
        except Exception as error:
            let_reads_end()
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> BadInput:
        return BadInput(f"{self._place}: cannot be read as a Zarr array ({first_line(error)[:200]}); export it again")


def is_stored(store: Path, place: Path) -> bool:
    """Whether any file of an array's numbers is there; Zarr leaves out what holds the fill value alone."""
    layout = _layout(store, place)
    return any((place / layout.name(number)).is_file() for number in layout.places())


def _layout(store: Path, place: Path, lazily: bool = False) -> _Layout:
    """Judge an array's metadata; of one that is read in parts only a file's size is bounded."""
    if not place.resolve().is_relative_to(store.resolve()):
        raise BadInput(f"{place}: leads out of {store}, expected an array inside it; copy it there")
    for name in METADATA_FILES:
        _check_place(store, place / name)
    try:
        if (place / "zarr.json").is_file():
            layout = _judged_3(read_json(place / "zarr.json", MAX_METADATA_BYTES))
        elif (place / ".zarray").is_file():
            layout = _judged_2(read_json(place / ".zarray", MAX_METADATA_BYTES))
        else:
            raise BadInput(f"{place}: holds no Zarr array, expected zarr.json or .zarray; copy it again")
    except _Unreadable as problem:
        raise BadInput(f"{place}: found {problem}, expected a Zarr array of whole numbers; export it again") from None
    for shape in (layout.files, layout.chunks) if lazily else (layout.shape, layout.files, layout.chunks):
        check_shape(str(place), shape, min(MAX_ELEMENTS, MAX_BYTES // layout.number_bytes))
    if max(0 if lazily else layout.count, math.prod(layout.grid)) > MAX_CHUNKS:
        raise BadInput(
            f"{place}: found {layout.count:,} chunks, expected at most {MAX_CHUNKS:,}; export it with larger ones"
        )
    return layout


def _judged_3(content: Any) -> _Layout:
    try:
        codecs, grid = content["codecs"], content["chunk_grid"]
        shape, files = _sizes(content["shape"]), _sizes(grid["configuration"]["chunk_shape"])
        encoding = content.get("chunk_key_encoding") or {"name": "default"}
        separator = (encoding.get("configuration") or {}).get(
            "separator", "/" if encoding["name"] == "default" else "."
        )
        data_type, names = content["data_type"], [codec["name"] for codec in codecs]
        fill = content.get("fill_value")
    except (TypeError, KeyError, ValueError, AttributeError):
        raise _Unreadable("metadata without shape, chunks, type or codecs") from None
    if content.get("storage_transformers"):
        raise _Unreadable("storage transformers")
    known = DTYPE_3.fullmatch(data_type) if isinstance(data_type, str) else None
    if known is None or data_type == "float8":
        raise _Unreadable(f"type {str(data_type)[:60]}")
    if encoding["name"] not in ("default", "v2") or separator not in ("/", ".") or grid.get("name") != "regular":
        raise _Unreadable("chunks that are not named or laid out in Zarr's own way")
    prefix = "c" if encoding["name"] == "default" else ""
    width = int(known[1]) // 8
    if names == [SHARDS]:
        return _sharded(codecs[0], shape, files, width, prefix, separator, fill)
    codec, checksum = _packed_by(names)
    return _checked(_Layout(3, shape, files, files, width, codec, checksum, prefix, separator, fill))


def _sharded(
    codec: Any, shape: tuple[int, ...], files: tuple[int, ...], width: int, prefix: str, separator: str, fill: Any
) -> _Layout:
    try:
        settings = codec["configuration"]
        chunks, location = _sizes(settings["chunk_shape"]), settings.get("index_location", "end")
        packed, index = ([inner["name"] for inner in settings[key]] for key in ("codecs", "index_codecs"))
        orders = [(inner.get("configuration") or {}).get("endian") for inner in settings["index_codecs"]]
    except (TypeError, KeyError, ValueError, AttributeError):
        raise _Unreadable("shards without chunks or codecs") from None
    if index not in (["bytes"], ["bytes", CHECKSUM]) or orders[0] != "little" or location not in ("start", "end"):
        raise _Unreadable("shards whose list of chunks is packed or in another order")
    if len(chunks) != len(files) or any(file % chunk for file, chunk in zip(files, chunks, strict=True)):
        raise _Unreadable(f"shards of {files} that chunks of {chunks} do not fill")
    name, checksum = _packed_by(packed)
    return _checked(
        _Layout(
            *(3, shape, files, chunks, width, name, checksum, prefix, separator, fill),
            index_first=location == "start",
            index_checksum=len(index) > 1,
        )
    )


def _packed_by(names: list[Any]) -> tuple[str | None, bool]:
    """The one compressor among an array's codecs, and whether a checksum follows."""
    unknown = [str(name)[:60] for name in names if not isinstance(name, str) or name not in CODECS_3]
    if unknown:
        raise _Unreadable(f"codec {unknown[0]}")
    compressors = [name for name in names if name in COMPRESSORS_3]
    if len(compressors) > 1 or names.count("bytes") != 1 or names.count(CHECKSUM) > 1:
        raise _Unreadable(f"the codecs {', '.join(names)[:100]}")
    return (compressors[0] if compressors else None), names[-1] == CHECKSUM


def _judged_2(content: Any) -> _Layout:
    try:
        shape, chunks = _sizes(content["shape"]), _sizes(content["chunks"])
        data_type, compressor = content["dtype"], content["compressor"]
        name = None if compressor is None else compressor["id"]
        separator = content.get("dimension_separator") or "."
    except (TypeError, KeyError, ValueError, AttributeError):
        raise _Unreadable("metadata without shape, chunks, type or compressor") from None
    known = DTYPE_2.fullmatch(data_type) if isinstance(data_type, str) else None
    if known is None or known[0][1:] == "f1":
        raise _Unreadable(f"type {str(data_type)[:60]}")
    if content.get("filters"):
        raise _Unreadable("filters")
    if name is not None and name not in COMPRESSORS_2:
        raise _Unreadable(f"compressor {str(name)[:60]}")
    if separator not in ("/", "."):
        raise _Unreadable("chunks that are not named in Zarr's own way")
    fill = content.get("fill_value")
    return _checked(_Layout(2, shape, chunks, chunks, int(known[2]), name, False, "", separator, fill))


def _checked(layout: _Layout) -> _Layout:
    if len(layout.shape) != len(layout.files):
        raise _Unreadable(f"shape {layout.shape} and chunks {layout.files}, which need to have the same number of axes")
    return layout


def _sizes(listed: Any) -> tuple[int, ...]:
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_AXES:
        raise ValueError("not a list of sizes")
    if not all(isinstance(size, int) and not isinstance(size, bool) and 0 < size < 1 << 40 for size in listed):
        raise ValueError("not a list of sizes")
    return tuple(listed)


def _check_place(store: Path, file: Path) -> bool:
    """Whether a file is there; refuses anything but an ordinary file, and one that lies elsewhere."""
    if not file.is_symlink() and not file.exists():
        return False
    if not file.resolve().is_relative_to(store.resolve()):
        raise BadInput(f"{file}: leads out of {store}, expected a file inside it; copy it there")
    if not file.is_file():
        raise BadInput(f"{file}: found a folder, a pipe or a device, expected an ordinary file; copy it again")
    return True


def _check_files(store: Path, place: Path, layout: _Layout, whole: bool) -> None:
    stored = sum(_check_file(store, place / layout.name(number), layout, number) for number in layout.places())
    expected = layout.count
    if stored < expected and (whole or layout.fill not in (0, False)):
        raise BadInput(
            f"{place}: found {stored:,} of {expected:,} chunks: the others are not stored and would be read as "
            f"{layout.fill}; copy it again, or write it with its empty chunks (write_empty_chunks)"
        )


def _check_file(store: Path, file: Path, layout: _Layout, place: tuple[int, ...]) -> int:
    """Check a file of chunks; how many it holds."""
    if not _check_place(store, file):
        return 0
    most = math.prod(layout.grid) * (layout.raw_bytes + layout.raw_bytes // 64 + INDEX_BYTES) + (1 << 16)
    with file.open("rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise BadInput(f"{file}: found a chunk larger than its numbers; export it again")
    if layout.files == layout.chunks:
        _check_packed(file, content, layout)
        return 1
    return _check_shard(file, content, layout, place)


def _check_packed(file: Path, packed: bytes, layout: _Layout) -> None:
    check_chunk(file, packed[:-CRC_BYTES] if layout.checksum else packed, layout.codec, layout.raw_bytes)


def _check_shard(file: Path, content: bytes, layout: _Layout, place: tuple[int, ...]) -> int:
    """Check the chunks of a shard by its list of them; how many are stored."""
    size = INDEX_BYTES * math.prod(layout.grid)
    behind = size + CRC_BYTES * layout.index_checksum
    listed = content[:size] if layout.index_first else content[-behind:][:size]
    if len(content) < behind or len(listed) != size:
        raise BadInput(f"{file}: the shard is cut short; copy it again")
    entries = np.frombuffer(listed, "<u8").reshape(*layout.grid, 2)
    stored = (entries != NOT_STORED).any(axis=-1)
    for start, length in entries[stored].tolist():
        if start + length > len(content):
            raise BadInput(f"{file}: found a chunk beyond the end of its shard; copy it again")
        _check_packed(file, content[start : start + length], layout)
    return int(stored[layout.inside(place)].sum())
