"""The one rule for all annotations: what a file holds and is not drawn is counted by kind and said.

And an item of which nothing is left is refused, unless the user says that it is meant to be empty. A picture of ids
states every pixel, so that one without ids is empty by its own word; so is a file of outlines that SIAN exported of
an empty item.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sian.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from sian.data.pairs import Annotated

SHORT_OUTLINE = "outline with fewer than 3 vertices"
PLURALS = {"nucleus": "nuclei", "box": "boxes"}


def counted(counts: Mapping[str, int]) -> str:
    """Things by kind as a list of words; nothing for what is not there.

    >>> counted({"region annotation": 1, "tile": 3, "box without an outline": 2})
    '1 region annotation, 3 tiles, 2 boxes without an outline'
    """
    return ", ".join(
        f"{number:,} {kind if number == 1 else _plural(kind)}" for kind, number in counts.items() if number
    )


def _plural(kind: str) -> str:
    first, rest = re.fullmatch(r"(.+?)((?: (?:with|without|of|in|by) .*)?)", kind).groups()  # type: ignore[union-attr]
    *before, last = first.rsplit(" ", 1)
    return " ".join([*before, PLURALS.get(last, last + "s")]) + rest


def account(drawn: Mapping[str, int], left_out: Mapping[str, int]) -> str:
    """What was drawn and what was not, as a sentence.

    >>> account({"detection": 12}, {"region annotation": 1, "line": 2})
    '12 detections drawn; 1 region annotation, 2 lines left out'
    """
    parts = (counted(drawn) and f"{counted(drawn)} drawn", counted(left_out) and f"{counted(left_out)} left out")
    return "; ".join(filter(None, parts))


def added(all_counts: Iterable[Mapping[str, int] | None]) -> dict[str, int]:
    """Counts by kind of several items together."""
    total: Counter[str] = Counter()
    for counts in all_counts:
        total.update(counts or {})
    return dict(total)


def as_stated(annotated: Annotated, provenance: Any) -> Annotated:
    """An annotation whose file may say itself that it holds no nuclei, as SIAN's exports do."""
    says_so = isinstance(provenance, dict) and provenance.get("nuclei") == 0
    return replace(annotated, drawn=None) if says_so and not annotated.drawn else annotated


def check_left(path: Path, annotated: Annotated, *, empty: bool) -> None:
    """Refuse an annotation of which nothing was drawn.

    Args:
        path: the annotation.
        annotated: what was read of it.
        empty: whether the user says that such items are meant to be empty.

    Raises:
        BadInput: nothing is left, and that is not meant.
    """
    pixels_alone = annotated.drawn is None and not annotated.left_out
    if empty or pixels_alone or annotated.mask.any():
        return
    found = f"nothing to draw ({counted(annotated.left_out)} left out)" if annotated.left_out else "no outline at all"
    raise BadInput(
        f"{path}: found {found}, expected the outline of at least one nucleus; export the outlines as well, or give "
        "--empty (empty=True) if the tile has no nuclei"
    )
