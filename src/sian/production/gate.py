"""The quality gate: does a painted image agree with its mask, and does it look like the style that was asked for?"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np

from sian.errors import SianWarning
from sian.evaluation import agreement
from sian.segmentation import load

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from sian.production.plan import GateSection
    from sian.synthesis import Model

SCORES = ("pq", "aji", "dice", "f1")


class Gate:
    """Segments and encodes images, and compares (see `GateSection`)."""

    def __init__(self, section: GateSection, segmenter: Path | None, model: Model) -> None:
        self.section, self.model = section, model
        self.segmenter = load(segmenter, str(model.device))

    def judge(
        self, image: npt.NDArray[np.uint8], mask: npt.NDArray[np.int32], style: npt.NDArray[np.float32]
    ) -> tuple[dict[str, float | None], str]:
        """Score an image.

        Args:
            image: (H, W, 3) uint8.
            mask: (H, W) int32, which it was painted from.
            style: (D,), in which it was painted.

        Returns:
            Scores (None where both masks are empty, which counts as agreeing), and why it fails; "" if it passes.
        """
        found = agreement(mask, self.segmenter.predict(image)).as_dict()
        scores = {name: _rounded(found[name]) for name in SCORES}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SianWarning)  # of a style far from all others: that is what is measured
            encoded = self.model.encode(image).vector
        scores["style_distance"] = _rounded(float(np.linalg.norm(encoded - style)) / self.model.styles.spread)
        return scores, self._reason(scores)

    def _reason(self, scores: dict[str, float | None]) -> str:
        section, reasons = self.section, []
        score, distance = scores[section.metric], scores["style_distance"]
        if score is not None and score < section.at_least:
            reasons.append(f"{section.metric} {score} is below {section.at_least}")
        if section.style_distance and distance is not None and distance > section.style_distance:
            reasons.append(f"style distance {distance} is above {section.style_distance}")
        return "; ".join(reasons)


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
