"""Where the windows of a tile lie: the protocol that training and evaluation share (docs/design.md, "Windows").

Windows are squares cut from the tile as it is, never resized or padded. Both grids are evenly spaced from
edge to edge, the same in both directions.
"""

from __future__ import annotations

from sian.errors import BadInput

WINDOW = 256  # the paper's, section 3.3


def test_offsets(side: int = 1000, size: int = WINDOW) -> list[int]:  # noqa: PT028  (not a test)
    """First pixels of the evaluation windows along one side: as few as cover it.

    Windows of 256 px don't divide 1000 px, so neighbours overlap by 8 px; no pixel is left out.

    Args:
        side: pixels of the tile in this direction.
        size: pixels of the window.

    Raises:
        BadInput: the tile is smaller than the window.

    >>> test_offsets()
    [0, 248, 496, 744]
    """
    _check(side, size)
    return evenly(side - size, -(-side // size))


def train_offsets(side: int = 1000, size: int = WINDOW) -> list[int]:
    """First pixels of the training windows along one side: as few as step by at most a third of a window.

    Args:
        side: pixels of the tile in this direction.
        size: pixels of the window.

    Raises:
        BadInput: the tile is smaller than the window.

    >>> train_offsets()
    [0, 83, 165, 248, 331, 413, 496, 579, 661, 744]
    """
    _check(side, size)
    return evenly(side - size, -(-3 * (side - size) // size) + 1)


def evenly(last: int, count: int) -> list[int]:
    """`count` whole numbers from 0 to `last`, evenly spaced."""
    return [round(i * last / (count - 1)) for i in range(count)] if count > 1 else [0]


def _check(side: int, size: int) -> None:
    if size < 1:
        raise BadInput(f"window of {size} px: expected at least 1 px; choose a larger window")
    if side < size:
        raise BadInput(
            f"tile with a side of {side} px: expected at least one window of {size} px; "
            "leave the tile out or choose a smaller window"
        )


test_offsets.__test__ = False  # type: ignore[attr-defined]  # pytest takes the name for a test's
