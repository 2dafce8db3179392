"""What the numbers of Table 4 say, in sentences: did synthetic data help, how much, and did less do as well?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sian.reproduce.table4.intervals import Interval, interval, level
from sian.reproduce.table4.segmenter_rows import CONTROLS, ROWS, Scale4

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Matrices = dict[str, "NDArray[np.float64]"]  # (seeds, tiles) by row
VERDICTS = {1: "it helped", -1: "it hurt", 0: "no difference that these tiles and seeds can show"}
BEST = {
    1: "no control gives the same gain",
    -1: "this control, without any generator, does better",
    0: "so what synthetic data give cannot be told from what this control gives",
}


def matrices(done: Mapping[tuple[str, int], Mapping[str, Any]], scale: Scale4, metric: str) -> Matrices:
    """The scores of the rows that have all their seeds, (seeds, tiles), nan where a tile has none."""
    found: Matrices = {}
    for name in dict.fromkeys(row for row, _ in done):
        lines = [done[name, seed]["tiles"] for seed in range(scale.seeds) if (name, seed) in done]
        if len(lines) == scale.seeds:
            found[name] = np.array([[np.nan if t[metric] is None else t[metric] for t in tiles] for tiles in lines])
    return found


def gain(scores: Matrices, name: str, other: str) -> Interval | None:
    """How much better a row is than another, tile by tile and seed by seed; None if one of them is missing."""
    if name not in scores or other not in scores:
        return None
    return interval(scores[name] - scores[other])


def findings(pq: Matrices, aji: Matrices) -> list[str]:
    """The sentences, by the rows that are there."""
    sentences = [
        _compared(pq, aji, "synthetic", "real", "Synthetic images added to the real ones, at equal steps"),
        _compared(pq, aji, "synthetic-star", "real-star", "The same with traditional augmentation on both sides"),
        *(_control(pq, aji, name) for name in CONTROLS),
        _compared(pq, aji, "real", "real-short", "More steps on the real images alone"),
        _compared(pq, aji, "stain-synthetic", "stain", "Synthetic images on top of strong stain augmentation"),
        _compared(pq, aji, "frozen-synthetic", "frozen", "Synthetic images on top of frozen tiles counted twice"),
        *(
            _compared(pq, aji, f"synthetic-{part}", f"real-{part}", f"Synthetic images with {part} % of the real tiles")
            for part in (10, 25, 50)
        ),
        _compared(pq, aji, "unet-synthetic", "unet-real", "The stronger network (U-Net)"),
        _compared(pq, aji, "unet-synthetic-star", "unet-real-star", "The stronger network (U-Net), all augmented"),
        _best_control(pq, aji),
    ]
    return [sentence for sentence in sentences if sentence]


def shown(difference: Interval) -> str:
    """A difference for people.

    >>> shown(Interval(0.0123, -0.004, 0.03))
    '+0.012 (-0.004 to +0.030)'
    """
    return f"{difference.mean:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"


def _compared(pq: Matrices, aji: Matrices, name: str, other: str, what: str) -> str:
    found, second = gain(pq, name, other), gain(aji, name, other)
    if found is None or second is None:
        return ""
    return f"{what}: PQ {shown(found)}, AJI {shown(second)}; {_verdict(VERDICTS, found, second)}."


def _verdict(words: Mapping[int, str], pq: Interval, aji: Interval) -> str:
    """What PQ says, and what AJI says where it disagrees."""
    return words[pq.sign] if pq.sign == aji.sign else f"by PQ, {words[pq.sign]}; by AJI, {words[aji.sign]}"


def _control(pq: Matrices, aji: Matrices, name: str) -> str:
    title = ROWS[name].title.removeprefix("control: real images, ")
    return _compared(pq, aji, name, "real", f"Control without synthetic images, {title}")


def _best_control(pq: Matrices, aji: Matrices) -> str:
    """Synthetic data against the control that gains most; the interval is as wide as picking it among several asks."""
    gains = {name: found for name in CONTROLS if (found := gain(pq, name, "real")) is not None}
    if "synthetic" not in pq or not gains:
        return ""
    best = max(gains, key=lambda name: gains[name].mean)
    count = len(gains)
    first, second = (interval(scores["synthetic"] - scores[best], choices=count) for scores in (pq, aji))
    title = ROWS[best].title.removeprefix("control: real images, ")
    several = f" ({100 * level(count):.1f} % intervals, since it was picked among {count})" if count > 1 else ""
    return (
        f"Synthetic images against the best control ({title}): PQ {shown(first)}, AJI {shown(second)}{several}; "
        f"{_verdict(BEST, first, second)}."
    )
