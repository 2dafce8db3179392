"""What is known of the segmenters of an adaptation, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from sian.adaptation.steadiness import Seen


@dataclass(frozen=True)
class Judged:
    """A segmenter and what is known of it.

    Attributes:
        seen: on the windows, without labels.
        pq: mean PQ on annotated tiles, by test-time augmentation; None where none were given.
    """

    seen: Seen
    pq: float | None


@dataclass(frozen=True)
class Adapted:
    """What came of it.

    Attributes:
        model: the segmenter's file.
        report: the HTML page.
        learned: whether the result has learned from the slides; if not it is the segmenter that was begun with.
        why: one sentence.
        start, taught: both segmenters, judged.
        windows: that were cut.
        images: windows that were learned from, with repetition.
        minutes: by the clock.
        left_out: slides that could not be used, and why.
    """

    model: Path
    report: Path
    learned: bool
    why: str
    start: Judged
    taught: Judged
    windows: int
    images: int
    minutes: float
    left_out: dict[Path, str] = field(default_factory=dict)
