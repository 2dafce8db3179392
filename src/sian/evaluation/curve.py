"""The curve of a fine-tuning: KID, colour and influence of the style at every look, as a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sian.training.candidates import ADJUSTED, TRAINED, Look, Marks

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

    from sian.evaluation.arrays import Image

HEIGHT, MARGIN, LINE = 150, 12, 20  # px
INK, PAPER, FAINT, RED = (30, 30, 30), (255, 255, 255), (190, 190, 190), (200, 62, 40)
DOT = 4  # px, radius

PANELS: tuple[tuple[str, Callable[[Marks], float]], ...] = (
    ("KID (lower is better)", lambda marks: marks.kid),
    ("colour, grey levels off (lower is better)", lambda marks: marks.colour),
    ("influence of the style, grey levels", lambda marks: marks.influence),
)


def curve(looks: Sequence[Look], chosen: int, width: int) -> Image:
    """Three panels over windows learned from: the start's value grey, looks black, the chosen one red.

    Args:
        looks: the start first.
        chosen: number of the look that is the model.
        width: px of the picture.

    Returns:
        (182, width, 3) uint8.
    """
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    picture = Pillow.new("RGB", (width, HEIGHT + LINE + MARGIN), PAPER)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    panel = (width - MARGIN) // len(PANELS)
    for number, (title, value) in enumerate(PANELS):
        left = MARGIN + number * panel
        pen.text((left, 2), title, INK, font)
        _panel(pen, font, (left, LINE, left + panel - MARGIN, LINE + HEIGHT), looks, chosen, value)
    return np.asarray(picture)


def _panel(
    pen: ImageDraw,
    font: FreeTypeFont | ImageFont,
    box: tuple[int, int, int, int],
    looks: Sequence[Look],
    chosen: int,
    value: Callable[[Marks], float],
) -> None:
    left, top, right, bottom = box
    values = [value(look.marks) for look in looks]
    low, high = min(0.0, *values), max(*values, 1e-9) * 1.1
    last = max(1, *(look.images for look in looks))

    def place(number: int) -> tuple[float, float]:
        x = left + DOT + looks[number].images / last * (right - left - 2 * DOT)
        return x, bottom - (values[number] - low) / (high - low) * (bottom - top)

    pen.rectangle(box, outline=FAINT)
    at_start = place(0)[1]
    pen.line([(left, at_start), (right, at_start)], FAINT)
    path = [place(n) for n, look in enumerate(looks) if look.kind != ADJUSTED]
    if len(path) > 1:
        pen.line(path, INK)
    for number, look in enumerate(looks):
        x, y = place(number)
        colour = RED if number == chosen else INK
        shape = pen.ellipse if look.kind == TRAINED else pen.rectangle
        shape((x - DOT, y - DOT, x + DOT, y + DOT), fill=colour)
    text = f"start {values[0]:.3g}, last {values[-1]:.3g}, chosen {values[chosen]:.3g}"
    pen.text((left + DOT, bottom - LINE), text, INK, font)
