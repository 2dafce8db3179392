"""Comparisons as a picture: for each organ and statistic the real values and the invented ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sian.nuclei.likeness import STATISTICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from PIL.ImageDraw import ImageDraw

    from sian.nuclei.likeness import Comparison, Likeness

    Floats = npt.NDArray[np.float64]

WIDTH, HEIGHT, GAP = 200, 120, 14  # px of a panel
LEFT, TOP, LINE = 100, 44, 16
BINS = 24
PERCENTILES = (0.5, 99)  # of both sides together; what lies outside is counted at the ends
INK, PAPER, REAL, MADE = (40, 40, 40), (255, 255, 255), (196, 202, 210), (200, 62, 40)


def plot(comparisons: Sequence[Comparison]) -> npt.NDArray[np.uint8]:
    """A row of panels for each organ: grey is real, the red line is invented.

    Under each panel stand the range, the distance and its floor.

    Returns:
        (H, W, 3) uint8.
    """
    from PIL import Image, ImageDraw, ImageFont

    size = (
        LEFT + len(STATISTICS) * (WIDTH + GAP),
        TOP + len(comparisons) * (HEIGHT + LINE + GAP),
    )
    picture = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(12)
    legend = "real: grey;  invented: red;  under each panel: distance in real standard deviations (floor: real halves)"
    pen.text((GAP, 6), legend, INK, font)
    for column, name in enumerate(STATISTICS):
        pen.text((LEFT + column * (WIDTH + GAP) + WIDTH / 2, TOP - 12), name, INK, font, anchor="mm")
    for line, comparison in enumerate(comparisons):
        top = TOP + line * (HEIGHT + LINE + GAP)
        pen.text((GAP, top + HEIGHT / 2), comparison.organ, INK, font, anchor="lm")
        for column, row in enumerate(comparison.rows.values()):
            left = LEFT + column * (WIDTH + GAP)
            low, high = _panel(pen, left, top, row)
            text = f"{low:.3g} .. {high:.3g}   {row.distance:.2f} ({row.floor:.2f})"
            pen.text((left + WIDTH / 2, top + HEIGHT + LINE / 2), text, INK, font, anchor="mm")
    return np.asarray(picture)


def _panel(pen: ImageDraw, left: int, top: int, row: Likeness) -> tuple[float, float]:
    """Draw two histograms of equal area over the same bins; returns their range."""
    both = np.concatenate([row.real, row.made])
    low, high = (float(value) for value in np.percentile(both, PERCENTILES)) if len(both) else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    real, made = (_shares(values, edges) for values in (row.real, row.made))
    most = max(real.max(), made.max(), 1e-9)
    step, base = WIDTH / BINS, top + HEIGHT
    line: list[tuple[float, float]] = []
    for place, (grey, red) in enumerate(zip(real, made, strict=True)):
        x = left + place * step
        pen.rectangle((x, base - grey / most * HEIGHT, x + step, base), fill=REAL)
        line += [(x, base - red / most * HEIGHT), (x + step, base - red / most * HEIGHT)]
    pen.line(line, fill=MADE, width=2)
    pen.line([(left, base), (left + WIDTH, base)], fill=INK)
    return low, high


def _shares(values: Floats, edges: Floats) -> Floats:
    counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    shares: Floats = counts / max(1, len(values))
    return shares
