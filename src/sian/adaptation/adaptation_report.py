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

FORMAT = "sian.adaptation/1"
SHOWN = 6  # windows on the page
AFTER_COLOUR = (40, 255, 60)  # a green that stands out from purple


def write_report(
    result: Adapted, images: Sequence[NDArray[np.uint8]], after: Sequence[NDArray[np.int32]], inputs: Mapping[str, Any]
) -> None:
    """Write report.json and report.html beside the model.

    Args:
        result: what came of it.
        images: the windows, (H, W, 3) uint8.
        after: what the result finds in each, by test-time augmentation.
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
        "inputs": inputs,
        "versions": versions(),
    }
    count = min(SHOWN, len(images))
    chosen = [(2 * i + 1) * len(images) // (2 * count) for i in range(count)]
    figures = [
        {
            "name": f"window {number}",
            "before": data_uri(outlined(images[number], result.start.seen.masks[number], SEEN_COLOUR), 512),
            "after": data_uri(outlined(images[number], after[number], AFTER_COLOUR), 512),
        }
        for number in chosen
    ]
    page = render(
        "adaptation.html", facts=facts, figures=figures, command=f"sian segment predict SLIDE -m {result.model}"
    )
    write_together({result.model.with_name("report.json"): json_text(facts), result.report: page})


def _facts(judged: Judged) -> dict[str, Any]:
    """Numbers, rounded; None where there is none, which JSON can say."""
    seen = {key: value for key, value in asdict(judged.seen).items() if key != "masks"}
    rounded = {key: value if isinstance(value, int) else round(value, 4) for key, value in seen.items()}
    return {key: None if value != value else value for key, value in rounded.items()} | {"pq": judged.pq}
