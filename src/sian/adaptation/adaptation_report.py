"""What an adaptation is written as: report.json for programs, report.html with outlines before and after for people."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sian.evaluation.notes import versions
from sian.evaluation.pictures import SEEN_COLOUR, data_uri, outlined
from sian.files.atomic import json_text, write_together
from sian.files.templates import render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from sian.adaptation.result import Adapted, Judged

    Outlined = tuple[int, NDArray[np.uint8], NDArray[np.int32], NDArray[np.int32]]

FORMAT = "sian.adaptation/1"
SHOWN = 6  # windows on the page
AFTER_COLOUR = (40, 255, 60)  # a green that stands out from purple


def shown(windows: int) -> list[int]:
    """Which windows are on the page: spread over all.

    >>> shown(2), shown(48)
    ([0, 1], [4, 12, 20, 28, 36, 44])
    """
    count = min(SHOWN, windows)
    return [(2 * number + 1) * windows // (2 * count) for number in range(count)]


def write_report(result: Adapted, windows: Sequence[Outlined], inputs: Mapping[str, Any]) -> None:
    """Write report.json and report.html beside the model.

    Args:
        result: what came of it.
        windows: their number, the image, (H, W, 3) uint8, and the masks that were found by test-time augmentation
            before and after learning, (H, W) each.
        inputs: what it was made of.
    """
    facts: dict[str, Any] = {
        "format": FORMAT,
        "model": result.model.name,
        "learned": result.learned,
        "why": result.why,
        "before": _facts(result.start),
        "after_learning": _facts(result.taught),
        "windows": result.windows,
        "images": result.images,
        "minutes": round(result.minutes, 1),
        "left_out": {str(path): reason for path, reason in result.left_out.items()},
        "inputs": inputs,
        "versions": versions(),
    }
    figures = [
        {
            "name": f"window {number}",
            "before": data_uri(outlined(image, before, SEEN_COLOUR), 512),
            "after": data_uri(outlined(image, after, AFTER_COLOUR), 512),
        }
        for number, image, before, after in windows
    ]
    page = render(
        "adaptation.html", facts=facts, figures=figures, command=f"sian segment predict SLIDE -m {result.model}"
    )
    write_together({result.model.with_name("report.json"): json_text(facts), result.report: page})


def _facts(judged: Judged) -> dict[str, Any]:
    """Numbers, rounded; None where there is none, which JSON can say."""
    seen = asdict(judged.seen).items()
    rounded = {key: value if isinstance(value, int) else round(value, 4) for key, value in seen}
    return {key: None if value != value else value for key, value in rounded.items()} | {"pq": judged.pq}
