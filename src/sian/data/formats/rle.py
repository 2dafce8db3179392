"""COCO's run lengths: how many pixels outside, inside, outside, ..., column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput

if TYPE_CHECKING:
    import numpy.typing as npt

    from sian.data.formats.regions import Effort, Region

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


def rle_region(where: str, rle: dict[str, Any], height: int, width: int, effort: Effort) -> Region:
    """What run lengths cover, compressed or not.

    Raises:
        BadInput: another size than the picture's, or runs that don't fill it exactly.
    """
    size, counts = rle.get("size"), rle.get("counts")
    if size != [height, width]:
        raise BadInput(f"{where}: found RLE of size {str(size)[:60]}, expected [{height}, {width}] as the image has")
    if not isinstance(counts, str | list) or len(counts) > MAX_CHARACTERS * (height * width + 2):
        raise BadInput(f"{where}: found RLE counts that are neither a string nor whole numbers; export it again")
    runs = _decompress(where, counts) if isinstance(counts, str) else _checked(where, counts)
    if len(runs) > height * width + 2:
        raise BadInput(f"{where}: found more runs than the image has pixels; export it again")
    if sum(runs.tolist()) != height * width:  # of Python's numbers, which do not wrap
        raise BadInput(f"{where}: found RLE of {sum(runs.tolist())} pixels, expected {height * width} as the image has")
    return _box(runs, height, effort)


def _checked(where: str, counts: list[Any]) -> npt.NDArray[np.int64]:
    if not all(isinstance(run, int) and run >= 0 for run in counts):
        raise BadInput(f"{where}: found RLE counts that are neither a string nor whole numbers; export it again")
    if any(run >= 1 << 62 for run in counts):
        raise BadInput(f"{where}: found RLE of more pixels than any image has; export it again")
    return np.array(counts, np.int64)


def _decompress(where: str, text: str) -> npt.NDArray[np.int64]:
    """The numbers in COCO's compressed string: five bits a character, from the fourth on as differences."""
    parts = np.frombuffer(text.encode("ascii", "replace"), np.uint8).astype(np.int64) - OFFSET
    ends = np.flatnonzero((parts & 0x20) == 0)
    lengths = np.diff(ends, prepend=-1)
    broken = not text.isascii() or not ((parts >= 0) & (parts < 64)).all()
    if broken or not len(ends) or ends[-1] != len(parts) - 1 or lengths.max() > MAX_CHARACTERS:
        raise BadInput(f"{where}: found a broken RLE string, expected COCO's compressed counts; export it again")
    number = np.repeat(np.arange(len(ends)), lengths)
    shifts = BITS * (np.arange(len(parts)) - (ends - lengths + 1)[number])
    values = np.bincount(number, weights=(parts & 0x1F) * 2.0**shifts).astype(np.int64)  # exact below 2 ** 53
    values -= np.where(parts[ends] & 0x10, np.int64(1) << (BITS * lengths), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    if (values < 0).any():
        raise BadInput(f"{where}: found a broken RLE string, expected COCO's compressed counts; export it again")
    return values


def _box(runs: npt.NDArray[np.int64], height: int, effort: Effort) -> Region:
    """The filled pixels, cut to the rows and columns that hold any."""
    ends = np.cumsum(runs)
    starts, stops = ends[0::2][: len(ends) // 2], ends[1::2]
    filled = starts < stops
    starts, stops = starts[filled], stops[filled]
    if not len(starts):
        return 0, 0, np.zeros((0, 0), np.bool_)
    left, right = int(starts[0] // height), int((stops[-1] - 1) // height) + 1
    (first_column, first), (last_column, last) = np.divmod(starts, height), np.divmod(stops - 1, height)
    whole = bool((first_column != last_column).any())  # a run goes over a column's end
    top, bottom = (0, height) if whole else (int(first.min()), int(last.max()) + 1)
    tall = bottom - top
    effort.spend_pixels((right - left) * tall)
    steps = np.zeros((right - left) * tall + 1, np.int8)
    np.add.at(steps, (first_column - left) * tall + first - top, 1)
    np.add.at(steps, (last_column - left) * tall + last - top + 1, -1)
    return top, left, np.cumsum(steps[:-1], dtype=np.int8).reshape(right - left, tall).T.astype(np.bool_)
