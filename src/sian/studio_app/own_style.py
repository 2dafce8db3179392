"""A drawing on a real picture begins in that picture's own style and tissue, as `sian restyle` repaints one."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

from sian.errors import BadInput, SianWarning
from sian.layout import tissue_map
from sian.studio_app.tissue_brush import TissueChange, from_map
from sian.synthesis.styles import Style

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sian.studio_app.jobs import Report
    from sian.studio_app.studio import Studio
    from sian.synthesis import Model


def look_alike(studio: Studio) -> None:
    """Have the open drawing painted like the picture that it lies on, as soon as its style is encoded.

    The tissue map comes first, where the model takes one, then the style; each is a step that can be undone. Nothing
    happens if another drawing is opened meanwhile, and what was chosen or drawn meanwhile stays.
    """
    below, name = studio.below, studio.name
    if below is None or not studio.model.has_style:
        return
    worn = studio.settings["style"]

    def work(report: Report) -> None:
        if studio.below is not below:
            return
        report(0, 0)
        style, note = encoded(own_model(studio), below.picture, name)
        report(0, 0)
        drawn = studio.drawn()
        if drawn.below is not below:
            return
        between = from_map(tissue_map(below.picture, drawn.mask)) if studio.model.takes_tissue else None
        with studio.lock:  # nothing else may be opened between the question and the steps
            if studio.below is not below:
                return
            if between is not None and between.any() and not studio.document.cells.any():
                studio.apply(TissueChange(0, 0, between))
            added = studio.add_style(name, style, note, passing=True)
            if studio.settings["style"] == worn:
                studio.wear(added)
            else:
                studio.say()

    with suppress(BadInput):  # too much waits already: the drawing stays in the style that is worn
        studio.jobs.add(f"style of {name}", work, kind="own style")


def own_model(studio: Studio) -> Model:
    """A second copy of the model for this thread: the painter's is in use."""
    from sian.synthesis import load

    if studio.second_model is None:
        studio.second_model = load(studio.model_path, str(studio.model.device))
    return studio.second_model


def encoded(model: Model, picture: NDArray[np.uint8], stem: str) -> tuple[Style, str]:
    """A picture's style, and what is to be said of how far it is from what the model knows."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", SianWarning)
        found = model.encode(picture)
    strange = [str(warning.message) for warning in said if issubclass(warning.category, SianWarning)]
    if strange:
        return Style(found.vector, stem, found.quantile), "The picture is unlike what the model was trained on."
    if found.quantile is None:
        return Style(found.vector, stem), ""
    return Style(
        found.vector, stem, found.quantile
    ), f"The picture is more unusual than {found.quantile:.0%} of the training tiles' windows."
