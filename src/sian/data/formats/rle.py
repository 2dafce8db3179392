"""COCO's run lengths: how many pixels outside, inside, outside, ..., column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput

if TYPE_CHECKING:
    import numpy.typing as npt

    from sian.data.formats.regions import Region

BITS = 5  # of a number in each character of a compressed string
OFFSET = 48  # the character that stands for 0
MAX_CHARACTERS = 7  # of one number: 35 bits


def encode_rle(region: Region, height: int, width: int) -> dict[str, Any]:
    """Uncompressed run lengths of one region of a picture of the given size."""
    top, left, inside = region
    columns, rows = np.nonzero(inside.T)
    pixels = (columns + left) * height + rows + top
    starts = pixels[np.concatenate([[True], np.diff(pixels) != 1])]
    stops = pixels[np.concatenate([np.diff(pixels) != 1, [True]])] + 1
    borders = np.stack([starts, stops], axis=1).ravel()
    counts = np.diff(np.concatenate([[0], borders, [height * width]]))
    return {"size": [height, width], "counts": (counts if counts[-1] else counts[:-1]).tolist()}


def rle_region(where: str, rle: dict[str, Any], height: int, width: int) -> Region:
    """What run lengths cover, compressed or not.

    Raises:
        BadInput: another size than the picture's, or runs that don't fill it exactly.
    """
    size, counts = rle.get("size"), rle.get("counts")
    if size != [height, width]:
        raise BadInput(f"{where}: found RLE of size {str(size)[:60]}, expected [{height}, {width}] as the image has")
    runs = _decompress(where, counts, height * width) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(isinstance(run, int) and run >= 0 for run in runs):
        raise BadInput(f"{where}: found RLE counts that are neither a string nor whole numbers; export it again")
    if sum(runs) != height * width:
        raise BadInput(f"{where}: found RLE of {sum(runs)} pixels, expected {height * width} as the image has")
    return _box(np.array(runs, np.int64), height)


def _decompress(where: str, text: str, pixels: int) -> list[int]:
    """The numbers in COCO's compressed string: five bits a character, from the third on as differences."""
    runs: list[int] = []
    position = 0
    while position < len(text):
        value, shift, more = 0, 0, True
        while more:
            if position >= len(text) or shift >= BITS * MAX_CHARACTERS:
                raise BadInput(
                    f"{where}: found a broken RLE string, expected COCO's compressed counts; export it again"
                )
            part = ord(text[position]) - OFFSET
            if not 0 <= part < 64:
                raise BadInput(
                    f"{where}: found a broken RLE string, expected COCO's compressed counts; export it again"
                )
            value |= (part & 0x1F) << shift
            more = bool(part & 0x20)
            position, shift = position + 1, shift + BITS
        if part & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        if len(runs) > pixels + 2:
            raise BadInput(f"{where}: found more runs than the image has pixels; export it again")
    return runs


def _box(runs: npt.NDArray[np.int64], height: int) -> Region:
    """The filled pixels, cut to the rows and columns that hold any."""
    ends = np.cumsum(runs)
    starts, stops = ends[0::2][: len(ends) // 2], ends[1::2]
    filled = starts < stops
    starts, stops = starts[filled], stops[filled]
    if not len(starts):
        return 0, 0, np.zeros((0, 0), np.bool_)
    left, right = int(starts[0] // height), int((stops[-1] - 1) // height) + 1
    steps = np.zeros((right - left) * height + 1, np.int8)
    steps[starts - left * height] += 1
    steps[stops - left * height] -= 1
    inside = np.cumsum(steps[:-1], dtype=np.int8).reshape(right - left, height).T.astype(np.bool_)
    rows = np.flatnonzero(inside.any(axis=1))
    return int(rows[0]), left, inside[rows[0] : rows[-1] + 1]
