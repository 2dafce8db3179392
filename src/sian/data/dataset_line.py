"""A data set in a line, as a notebook shows it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MOST_COUNTED = 10_000  # items whose splits and organs are counted: a quarter of a second


def in_a_line(folder: Path, mpp: float | None, items: Sequence[Any]) -> str:
    """Where a data set is, how many items it has of each split and organ, and its magnification.

    Args:
        folder: where it is.
        mpp: micrometres a pixel, None if unknown.
        items: with a `split` and an `organ` each.
    """
    told = ""
    if 0 < len(items) <= MOST_COUNTED:
        for part in ("split", "organ"):
            counts = Counter(getattr(item, part) for item in items)
            told += f"; {part}s: {', '.join(f'{name} {count}' for name, count in sorted(counts.items()))}"
    magnification = f"{mpp:g} um a pixel" if mpp else "unknown magnification"
    return f"Dataset({str(folder)!r}, {len(items):,} items{told}; {magnification})"
