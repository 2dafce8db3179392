"""Windows of all slides, as evenly as there is room for; a slide that cannot be used is left out and said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sian.errors import BadInput
from sian.production.cut_windows import slide_windows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

SIDE = 512  # px of a window
WINDOWS = 48  # of all slides
MOST_OF_ONE = 12  # of one slide


@dataclass(frozen=True)
class Cut:
    """What was cut.

    Attributes:
        windows: (H, W, 3) uint8 each.
        left_out: slides that cannot be used, and why.
    """

    windows: list[NDArray[np.uint8]]
    left_out: dict[Path, str]


def cut_slides(
    slides: Sequence[str | Path],
    mpp: float,
    report: Callable[[int, int], None],
    say: Callable[[str], None],
    given: float | None = None,
) -> Cut:
    """Windows of slides.

    Args:
        slides: pictures or slides; of more than `WINDOWS`, so many are looked at, spread over the list.
        mpp: micrometres a pixel of the windows.
        report: called with (slides done, slides in all).
        say: called with sentences.
        given: micrometres a pixel of the slides, in the place of what they say themselves.

    Raises:
        BadInput: none of them can be used.
    """
    most = max(1, min(MOST_OF_ONE, WINDOWS // len(slides)))
    chosen = [Path(slide) for slide in slides]
    if len(slides) > WINDOWS:
        chosen = [chosen[number * len(slides) // WINDOWS] for number in range(WINDOWS)]
        say(f"{WINDOWS} of {len(slides)} slides are learned from, spread over the list")
    cut = Cut([], {})
    for number, path in enumerate(chosen, 1):
        try:
            cut.windows.extend(slide_windows(path, mpp, SIDE, most, given))
        except BadInput as error:
            if len(chosen) == 1:
                raise
            cut.left_out[path] = str(error)
        report(number, len(chosen))
    if not cut.windows:
        raise BadInput(f"none of the {len(chosen)} slides can be used; the first: {next(iter(cut.left_out.values()))}")
    for reason in cut.left_out.values():
        say(f"left out: {reason}")
    if cut.left_out:
        say(f"{len(cut.left_out)} of {len(chosen)} slides were left out; the others are learned from")
    return cut
