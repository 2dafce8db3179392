"""Judge a TIFF by its directory, before Pillow or tifffile unpack it.

Both read on where a file is incomplete or ambiguous: a tile that was never stored becomes 0, the low byte of 16 bits is
cut off, and the orientation is applied by one and ignored by the other. What is refused here is refused for pictures
and for masks alike. Nothing is read but the directory; a file of many pages is not walked.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from sian.errors import BadInput

MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MAX_SEGMENTS = 1 << 16  # strips or tiles; 256 x 256 tiles of the largest picture are 2,025
MAX_ENTRIES = 4096  # of a directory; writers make 10 to 60
SUSPICIOUS_BYTES = 32 << 20  # what deflate could unpack to before it is looked at
DEFLATE_RATIO = 1032  # deflate's best
NO_COMPRESSION, DEFLATES = 1, (8, 32946)
SEPARATE = 2
YCBCR = 6  # may hold fewer numbers than its width says
FORMATS = {1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 16: "Q", 17: "q", 13: "I", 18: "Q"}
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION, SAMPLES, ROWS, PLANAR = (
    *(256, 257, 258, 259, 262, 274, 277, 278, 284),
)
STRIP_OFFSETS, STRIP_COUNTS, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 273, 279, 322, 323, 324, 325
WANTED = {
    *(WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION, SAMPLES, ROWS, PLANAR),
    *(STRIP_OFFSETS, STRIP_COUNTS, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS),
}


@dataclass(frozen=True)
class TiffPage:
    """What a page's directory says.

    Attributes:
        width: in pixels.
        height: in pixels.
        samples: numbers a pixel.
        bits: of each number.
        photometric: TIFF's number for what the samples mean: 0 and 1 grey, 2 RGB, 3 a palette.
        planar: whether the samples lie in planes of their own.
    """

    width: int
    height: int
    samples: int
    bits: int
    photometric: int
    planar: bool


class _Broken(Exception):
    """What is wrong with a directory, as a part of a sentence."""


def is_tiff(start: bytes) -> bool:
    """Whether a file that starts so says that it is TIFF."""
    return start[:4] in MAGICS


def read_pages(path: Path, content: bytes | None = None, *, most: int = 1, max_pixels: int) -> list[TiffPage]:
    """The pages of a TIFF, whole and unambiguous.

    Args:
        path: the file; with `content` only its name.
        content: the file's bytes.
        most: pages that are expected at most.
        max_pixels: of a page.

    Raises:
        BadInput: broken, cut short, too large, more pages, tiles that are not stored, or an orientation other than
            upright.
    """
    try:
        with path.open("rb") if content is None else io.BytesIO(content) as stream:
            size = stream.seek(0, io.SEEK_END)
            return _pages(stream, size, most, max_pixels)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput(f"{path}: cannot be read ({reason}); expected a TIFF file; check the path") from error
    except (struct.error, zlib.error, ValueError, OverflowError) as error:
        raise BadInput(f"{path}: cannot be read as a TIFF (cut short or broken); copy or export it again") from error
    except _Broken as problem:
        raise BadInput(f"{path}: {problem}") from None


def _pages(stream: IO[bytes], size: int, most: int, max_pixels: int) -> list[TiffPage]:
    stream.seek(0)
    start = stream.read(16)
    if not is_tiff(start):
        raise _Broken("found no TIFF, expected one; export it again")
    order, big = "<" if start[:2] == b"II" else ">", b"+" in start[2:4]
    place = struct.unpack_from(order + ("Q" if big else "I"), start, 8 if big else 4)[0]
    pages: list[TiffPage] = []
    while place:
        if len(pages) == most:
            raise _Broken(f"found more than {'one page' if most == 1 else f'{most} pages'}; export one page alone")
        tags, place = _directory(stream, size, place, order, big)
        pages.append(_page(stream, size, tags, max_pixels))
    if not pages:
        raise _Broken("found 0 pages, expected one; export it again")
    return pages


def _directory(stream: IO[bytes], size: int, place: int, order: str, big: bool) -> tuple[dict[int, Any], int]:
    """The values of the wanted tags, and where the next directory lies."""
    head, entry = ("Q", "HHQ8s") if big else ("H", "HHI4s")
    stream.seek(place)
    count = struct.unpack(order + head, stream.read(struct.calcsize(order + head)))[0]
    if not 0 < count <= MAX_ENTRIES:
        raise _Broken(f"cannot be read as a TIFF (a directory of {count} entries); export it again")
    each = struct.calcsize(order + entry)
    packed = stream.read(count * each)
    further = struct.unpack(order + ("Q" if big else "I"), stream.read(8 if big else 4))[0]
    tags: dict[int, Any] = {}
    for tag, kind, number, inline in struct.iter_unpack(order + entry, packed):
        if number * SIZES.get(kind, 1) > size:
            raise _Broken(f"cannot be read as a TIFF (tag {tag} claims {number:,} values); export it again")
        if tag in WANTED:
            if tag in tags:
                raise _Broken(f"cannot be read as a TIFF (tag {tag} occurs twice); export it again")
            tags[tag] = _values(stream, size, tag, kind, number, inline, order, big)
    return tags, further


def _values(
    stream: IO[bytes], size: int, tag: int, kind: int, number: int, inline: bytes, order: str, big: bool
) -> Any:
    if kind not in FORMATS or number == 0:
        raise _Broken(f"cannot be read as a TIFF (tag {tag} holds no whole numbers); export it again")
    length = number * SIZES[kind]
    if length > len(inline):
        place = struct.unpack(order + ("Q" if big else "I"), inline)[0]
        if place + length > size:
            raise _Broken("cannot be read as a TIFF (cut short); copy it again")
        stream.seek(place)
        inline = stream.read(length)
    return np.frombuffer(inline[:length], np.dtype(order + FORMATS[kind])).astype(np.int64)


def _page(stream: IO[bytes], size: int, tags: dict[int, Any], max_pixels: int) -> TiffPage:
    width, height = (int(tags[tag][0]) if tag in tags else 0 for tag in (WIDTH, HEIGHT))
    if width <= 0 or height <= 0:
        raise _Broken(f"found {height} x {width} pixels, expected at least one; export it again")
    if width * height > max_pixels:
        raise _Broken(f"found {height} x {width} pixels, expected at most {max_pixels:,}; cut it into tiles first")
    samples, bits = int(tags.get(SAMPLES, [1])[0]), np.unique(tags.get(BITS, [1]))
    if not 1 <= samples <= 64 or len(bits) != 1 or not 1 <= bits[0] <= 64:
        raise _Broken(
            f"found {samples} samples of {bits[:4].tolist()} bits a pixel; export it as 8-bit RGB or 16-bit grey"
        )
    orientation = int(tags.get(ORIENTATION, [1])[0])
    if 2 <= orientation <= 8:
        raise _Broken(turned(orientation))
    separate = int(tags.get(PLANAR, [1])[0]) == SEPARATE
    page = TiffPage(width, height, samples, int(bits[0]), int(tags.get(PHOTOMETRIC, [1])[0]), separate)
    _check_segments(stream, size, page, tags)
    return page


def turned(orientation: int) -> str:
    """The sentence about a picture that is stored in another orientation than it is shown."""
    return (
        f"found the orientation {orientation}, which some programs apply and some ignore, so that outlines fit only "
        "one of the two; expected 1; save it upright, e.g. with PIL.ImageOps.exif_transpose, and check its annotation"
    )


def _check_segments(stream: IO[bytes], size: int, page: TiffPage, tags: dict[int, Any]) -> None:
    """Refuse strips and tiles that are missing, lie beyond the end, or unpack to more than they are."""
    tiled = TILE_WIDTH in tags or TILE_OFFSETS in tags
    offsets, counts = (tags.get(TILE_OFFSETS), tags.get(TILE_COUNTS)) if tiled else (
        tags.get(STRIP_OFFSETS), tags.get(STRIP_COUNTS))  # fmt: skip
    if offsets is None or counts is None:
        raise _Broken("cannot be read as a TIFF (it does not say where its pixels lie); export it again")
    if tiled and not {TILE_WIDTH, TILE_HEIGHT} <= tags.keys():
        raise _Broken("cannot be read as a TIFF (it does not say how large its tiles are); export it again")
    across = int(tags[TILE_WIDTH][0]) if tiled else page.width
    down = int(tags.get(TILE_HEIGHT if tiled else ROWS, [page.height])[0])
    down = down if tiled else min(down, page.height)
    if across <= 0 or down <= 0 or across * down > 4 * max(page.width * page.height, 1 << 20):
        raise _Broken(f"cannot be read as a TIFF (tiles of {across} x {down} pixels); export it again")
    columns, rows = math.ceil(page.width / across), math.ceil(page.height / down)
    expected = columns * rows * (page.samples if page.planar else 1)
    if expected > MAX_SEGMENTS:
        raise _Broken(f"found {expected:,} tiles, expected at most {MAX_SEGMENTS:,}; export it with larger tiles")
    stored = (
        int(np.count_nonzero((offsets[:expected] > 0) & (counts[:expected] > 0))) if len(offsets) == len(counts) else 0
    )
    if stored < expected:
        raise _Broken(
            f"found {stored:,} of {expected:,} strips or tiles: the others are not stored and would be read as 0; "
            "expected all of them; export it again"
        )
    ends = offsets[:expected] + counts[:expected]
    if int(ends.max()) > size or int(ends.min()) < 0:
        raise _Broken(f"cannot be read as a TIFF (cut short: {size:,} bytes of {int(ends.max()):,}); copy it again")
    _check_contents(stream, page, tags, (across, down if tiled else 0), offsets[:expected], counts[:expected])


def _check_contents(
    stream: IO[bytes], page: TiffPage, tags: dict[int, Any], tile: tuple[int, int], offsets: Any, counts: Any
) -> None:
    compression = int(tags.get(COMPRESSION, [NO_COMPRESSION])[0])
    across, down = tile
    rows = down or min(int(tags.get(ROWS, [page.height])[0]), page.height)
    line = math.ceil(across * (1 if page.planar else page.samples) * page.bits / 8)
    if compression == NO_COMPRESSION and page.photometric != YCBCR:
        lines = np.full(len(counts), rows)
        if not down:  # the last strip of each plane may be shorter
            each = math.ceil(page.height / rows)
            lines[each - 1 :: each] = page.height - (each - 1) * rows
        if bool((counts < lines * line).any()):
            raise _Broken("cannot be read as a TIFF (cut short: a strip is shorter than its pixels); copy it again")
    elif compression in DEFLATES:
        for start, count in zip(offsets.tolist(), counts.tolist(), strict=True):
            if count * DEFLATE_RATIO > max(SUSPICIOUS_BYTES, 2 * rows * line):
                stream.seek(start)
                if not unpacks_within(stream.read(count), rows * line):
                    raise _Broken(f"found a tile that unpacks to more than its {rows * line:,} bytes; export it again")


def unpacks_within(packed: bytes, most: int) -> bool:
    """Whether deflated bytes unpack to at most so many, and some slack; they are unpacked in small pieces."""
    unpacker = zlib.decompressobj()
    left, done = packed, 0
    while left and not unpacker.eof:
        done += len(unpacker.decompress(left, 1 << 20))
        left = unpacker.unconsumed_tail
        if done > most + 4096:
            return False
    return True
