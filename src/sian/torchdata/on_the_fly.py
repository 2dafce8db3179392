"""Painting on the fly: one image from a layout, its style and its noise drawn from (seed, i) alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sian import seeds
from sian.errors import BadInput
from sian.networks.devices import one_thread
from sian.synthesis import Model, OrganStyles, Style, load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sian.layout import Layout

ORGAN = "organ"  # as a style: the organ of the mask's item


class Brush:
    """A model with the styles that it is to paint in; each process loads the model when it first paints.

    Args:
        styles: one or several of whatever `Model.style` takes; "organ" is the mask's own.
        model: a file, a loaded model, or None for the bundled one.
        noise: strength of the per-pixel noise.
        vary: an organ's name stands for a fresh draw from its part of the style bank instead of for its mean.
        seed: of styles and noise.
        device: where the model computes.
    """

    def __init__(
        self, styles: Any, model: str | Path | Model | None, noise: float, vary: bool, seed: int, device: str
    ) -> None:
        self.styles = _listed(styles)
        self.given, self.noise, self.vary, self.seed, self.device = model, noise, vary, seed, device
        self._model: Model | None = None
        if not self.styles:
            raise BadInput("styles: found none, expected at least one, e.g. styles='kidney'; styles='organ' is its own")
        for wanted in self.styles:  # a wrong name is said here and not by a worker
            if not (isinstance(wanted, str) and wanted == ORGAN):
                self.model.style(wanted)

    def __getstate__(self) -> dict[str, Any]:
        """What is sent to another process: not the model, if it can be loaded there."""
        return {**self.__dict__, "_model": None}

    @property
    def model(self) -> Model:
        """The model, in this process."""
        if self._model is None:
            self._model = self.given if isinstance(self.given, Model) else load(self.given, self.device)
        return self._model

    def paint(self, layout: Layout, organ: str, index: int) -> NDArray[np.uint8]:
        """Sample `index`, (H, W, 3) uint8; on a CPU always by one thread, so that workers change nothing."""
        with one_thread():
            return self.model.synthesize(
                layout, self.style(organ, index), seed=seeds.derive(self.seed, "noise", index), noise=self.noise
            )

    def style(self, organ: str, index: int) -> Style:
        """The style of sample `index`.

        Raises:
            BadInput: the style is to be the mask's organ, and the model does not know that.
        """
        wanted = self.styles[int(seeds.generator(self.seed, "style", index).integers(len(self.styles)))]
        if isinstance(wanted, str) and wanted == ORGAN:
            wanted = organ
        known = wanted if isinstance(wanted, OrganStyles) else None
        if isinstance(wanted, str) and wanted in self.model.styles:
            known = self.model.styles[wanted]
        if self.vary and known is not None:
            return known.sample(seeds.derive(self.seed, "draw", index))
        return self.model.style(wanted)


def _listed(styles: Any) -> list[Any]:
    several = isinstance(styles, Sequence) and not isinstance(styles, str)
    return list(styles) if several and not isinstance(styles, Mapping) else [styles]
