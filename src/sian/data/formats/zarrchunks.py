"""What a Zarr chunk unpacks to, judged by its own header before a codec allocates anything.

A chunk of some kilobytes may unpack to gigabytes, and a reader only sees that when the memory is gone. zstd, blosc and
lz4 say their size, or bound it; deflate and bzip2 are unpacked here in small pieces and counted.
"""

from __future__ import annotations

import bz2
import struct
import zlib
from typing import TYPE_CHECKING

from sian.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

SLACK_BYTES = 4096  # by which a compressed chunk may exceed its numbers
SUSPICIOUS_BYTES = 64 << 20  # what a chunk might unpack to before it is looked at
DEFLATE_RATIO = 1032  # deflate's best
PIECE = 1 << 20
CRC_BYTES = 4
ZSTD_MAGIC, ZSTD_SKIPPED = 0xFD2FB528, range(0x184D2A50, 0x184D2A60)
ZSTD_BLOCK = 128 << 10  # what a compressed block unpacks to at most


def check_chunk(path: Path, packed: bytes, codec: str | None, raw_bytes: int) -> None:
    """Refuse a chunk that is longer than its numbers, packed or unpacked.

    Args:
        path: the file it lies in.
        packed: the chunk's bytes.
        codec: what packed it; None for plain numbers.
        raw_bytes: of its numbers.

    Raises:
        BadInput: it unpacks to something else, or its header is broken.
    """
    if len(packed) > raw_bytes + raw_bytes // 64 + SLACK_BYTES:
        raise BadInput(f"{path}: found a chunk larger than its numbers; export it again")
    try:
        most = _unpacked_bytes(packed, codec, raw_bytes)
    except (struct.error, zlib.error, IndexError, OSError, ValueError) as error:
        raise BadInput(f"{path}: found a broken chunk ({codec or 'not packed'}); copy or export it again") from error
    if most > max(SUSPICIOUS_BYTES, 2 * raw_bytes):
        raise BadInput(f"{path}: found a chunk that unpacks to more than its {raw_bytes:,} bytes; export it again")


def _unpacked_bytes(packed: bytes, codec: str | None, raw_bytes: int) -> int:
    """At least what a chunk unpacks to, as far as it matters."""
    if codec in ("gzip", "zlib"):
        if len(packed) * DEFLATE_RATIO <= max(SUSPICIOUS_BYTES, 2 * raw_bytes):
            return len(packed) * DEFLATE_RATIO
        return _inflated(packed, max(SUSPICIOUS_BYTES, 2 * raw_bytes))
    if codec == "bz2":
        return _counted_bz2(packed, max(SUSPICIOUS_BYTES, 2 * raw_bytes))
    if codec == "zstd":
        return _zstd_bound(packed)
    if codec == "blosc":
        unpacked, _, length = struct.unpack_from("<III", packed, 4)
        if length != len(packed):  # blosc would read on in memory that is not the chunk's
            raise ValueError("cut short")
        return int(unpacked)
    if codec == "lz4":
        return int(struct.unpack_from("<I", packed)[0])
    if len(packed) != raw_bytes:
        raise ValueError("cut short")
    return raw_bytes


def _inflated(packed: bytes, most: int) -> int:
    done, left = 0, packed
    while left and done <= most:
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib
        while left and not unpacker.eof and done <= most:
            done += len(unpacker.decompress(left, PIECE))
            left = unpacker.unconsumed_tail
        left = unpacker.unused_data if unpacker.eof else left
    return done


def _counted_bz2(packed: bytes, most: int) -> int:
    unpacker, done, given = bz2.BZ2Decompressor(), 0, packed
    while not unpacker.eof and done <= most:
        piece = unpacker.decompress(given, PIECE)
        if not piece and unpacker.needs_input:
            raise ValueError("cut short")
        done, given = done + len(piece), b""
    return done


def _zstd_bound(packed: bytes) -> int:
    """Walk the frames and blocks of zstd; a block says its size, or is bounded by the format."""
    place = most = 0
    while place < len(packed):
        magic = struct.unpack_from("<I", packed, place)[0]
        if magic in ZSTD_SKIPPED:
            place += 8 + struct.unpack_from("<I", packed, place + 4)[0]
            continue
        if magic != ZSTD_MAGIC:
            raise ValueError("no zstd")
        descriptor = packed[place + 4]
        single = descriptor >> 5 & 1
        size_bytes = (single, 2, 4, 8)[descriptor >> 6]
        start = place + 5 + (1 - single) + (0, 1, 2, 4)[descriptor & 3]
        told = int.from_bytes(packed[start : start + size_bytes], "little") + (256 if size_bytes == 2 else 0)
        place, blocks = _zstd_blocks(packed, start + size_bytes)
        place += 4 * (descriptor >> 2 & 1)
        most += max(told, 0) if size_bytes else blocks
    return most


def _zstd_blocks(packed: bytes, place: int) -> tuple[int, int]:
    """Where the blocks of a frame end, and what they unpack to at most."""
    most, last = 0, False
    while not last:
        if place + 3 > len(packed):
            raise ValueError("cut short")
        header = int.from_bytes(packed[place : place + 3], "little")
        last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        most += ZSTD_BLOCK if kind == 2 else size
        place += 3 + (1 if kind == 1 else size)
    return place, most
