"""Style, seed and noise: what the drawing is painted with, as far as this model can follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sian.errors import BadInput
from sian.studio_app import messages
from sian.studio_app.live import Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sian.studio_app.shelf import Shelf
    from sian.synthesis import Model

FIRST = "kidney"  # the style of a first drawing, where the model knows it


def usable(kept: Mapping[str, Any], model: Model, shelf: Shelf) -> dict[str, Any]:
    """Settings of an autosave; the model's own in the place of what it cannot follow."""
    first = FIRST if FIRST in model.styles else next(iter(model.styles))
    settings = {"style": {first: 1.0}, "seed": 0, "noise": 1.0}
    kept = {name: value for name, value in kept.items() if name in settings}
    try:
        checked = messages.Settings.model_validate({"op": "settings", **kept})
        if checked.style:
            shelf.style(checked.style)
    except ValueError:  # BadInput is one: a picture's style is gone with the server that knew it
        kept.pop("style", None)
    return {**settings, **kept}


def changed(settings: Mapping[str, Any], message: messages.Settings, shelf: Shelf) -> dict[str, Any]:
    """Settings with what a page asks for.

    Raises:
        BadInput: a style that is not on the shelf.
    """
    asked = message.model_dump(exclude_none=True, exclude={"op", "n"})
    if "style" in asked:
        shelf.style(asked["style"])
    return {**settings, **asked}


def followed(settings: Mapping[str, Any], before: Mapping[str, Any], shelf: Shelf) -> tuple[Mapping[str, Any], str]:
    """Settings that undoing brought back, and a remark where their style is gone: the one before is kept then."""
    try:
        shelf.style(settings["style"])
    except BadInput as error:
        return {**settings, "style": before["style"]}, f"the style stays as it is: {error}"
    return settings, ""


def wanted(settings: Mapping[str, Any], shelf: Shelf) -> Wanted:
    """What the painter is told."""
    return Wanted(shelf.style(settings["style"]), settings["seed"], settings["noise"])
