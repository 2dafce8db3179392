"""From which of two sources window number n comes, so that a share of all windows, and of each batch, is of the second.

Nothing is drawn: the second source's windows are spread evenly, so that every stretch of n windows holds n times the
share of them, to within one window, wherever a run is entered.
"""

from __future__ import annotations

from fractions import Fraction

FINEST = 10**6  # shares are taken as fractions with at most this denominator, so that rounding never decides


def source(index: int, share: float) -> tuple[int, int]:
    """Which source (0 or 1) window `index` is from, and its number among that source's windows.

    Args:
        index: from 0.
        share: of the second source, 0 to 1.

    >>> [source(n, 0.25) for n in range(5)]
    [(0, 0), (0, 1), (0, 2), (1, 0), (0, 3)]
    """
    exact = Fraction(share).limit_denominator(FINEST)
    before, after = int(index * exact), int((index + 1) * exact)
    return (1, before) if after > before else (0, index - before)
