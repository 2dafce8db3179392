"""`--size` as every verb reads it: width x height, as image tools and `--region` have it; arrays are height x width."""

from __future__ import annotations

LONGEST = 40  # digits; Python reads no number of thousands of them


def width_and_height(text: str) -> tuple[int, int] | None:
    """``WIDTHxHEIGHT``, or ``WIDTH,HEIGHT`` as `--region` has it; None if the text is neither.

    >>> width_and_height("512x256")
    (512, 256)
    """
    words = [word.strip() for word in text.lower().replace(",", "x").split("x")]
    if len(words) != 2 or not all(word.isdecimal() and len(word) < LONGEST for word in words):
        return None
    return int(words[0]), int(words[1])
