"""Features of real and of fake images, gathered batch by batch: what FID and KID are computed of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from sian.errors import BadInput
from sian.evaluation.features import feature_rows

if TYPE_CHECKING:
    from sian.evaluation.arrays import Features
    from sian.evaluation.features import Featurable, InceptionFeatures


class TwoSides:
    """Real and fake features, added up.

    Args:
        extractor: makes features of images; without it, features alone can be added.
    """

    def __init__(self, extractor: InceptionFeatures | None = None) -> None:
        self.extractor = extractor
        self.real: list[Features] = []
        self.fake: list[Features] = []

    def update(self, batch: Featurable, *, real: bool) -> Self:
        """Add a batch to the real or the fake side."""
        (self.real if real else self.fake).append(feature_rows(batch, self.extractor))
        return self

    def both(self) -> tuple[Features, Features]:
        """All real features and all fake ones, (n, d) each.

        Raises:
            BadInput: a side has none.
        """
        if not (self.real and self.fake):
            side = "fake" if self.real else "real"
            raise BadInput(f"{side} features: found none, expected at least 2; update() the {side} side first")
        return np.concatenate(self.real), np.concatenate(self.fake)
