"""From a page's gesture to the pixels, the classes and the tissue that it changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput, nearest
from sian.studio_app import editing, messages
from sian.studio_app.tissue_brush import TissueChange, tissue_stroke

if TYPE_CHECKING:
    from sian.studio_app.document import Document
    from sian.synthesis import Model


def edited(
    document: Document, gesture: messages.Gesture, model: Model
) -> tuple[editing.Change | TissueChange, dict[str, Any]]:
    """What a gesture changes in a drawing, and what its page is told.

    Args:
        document: the drawing, which is not changed.
        gesture: what was done.
        model: what paints it; it says which classes nuclei can have, and whether tissue can be told.

    Raises:
        BadInput: it changes nothing, cannot be done there, or is nothing that this model could be told.
    """
    names = model.info.classes
    if isinstance(gesture, messages.Tissue):
        told_tissue(model)
        stroke = (gesture.what, gesture.points, gesture.radius, gesture.density)
        drawn = model.painter.generator.between is not None
        return tissue_stroke(document.cells, document.shape, *stroke, rest_is_drawn=drawn), {}
    kind = gesture.kind if isinstance(gesture, messages.Draw | messages.Fill | messages.Classify) else ""
    if kind and kind not in names:
        raise BadInput(f"this model knows no nuclei of the class {kind!r}{nearest(kind, names)}")
    if isinstance(gesture, messages.Classify):
        return _classified(document, gesture), {}
    change, answer = _changed(document, gesture)
    return replace(change, classes=_classes_of_new(document, change, gesture, kind)), answer


def told_tissue(model: Model) -> None:
    """Refuse a model that cannot be told of tissue."""
    if not model.takes_tissue:
        raise BadInput(f"the model {model.info.name} knows no tissue maps; take a model of the recipe tissue")


def _changed(document: Document, gesture: Any) -> tuple[editing.Change, dict[str, Any]]:
    mask, new = document.mask, document.next_id()
    height, width = document.shape
    if isinstance(gesture, messages.Transform):
        way = (gesture.dy, gesture.dx, gesture.angle, gesture.scale)
        return editing.transform(mask, gesture.nucleus, *way), {"nucleus": gesture.nucleus}
    if isinstance(gesture, messages.Merge):
        return editing.merge(mask, editing.ids_along(mask, gesture.points)), {}
    if isinstance(gesture, messages.Split):
        return editing.split(mask, gesture.points, new), {}
    if isinstance(gesture, messages.Delete):
        ids = gesture.ids
        if gesture.points:
            ids = editing.ids_within(mask, *editing.outlined(gesture.points, height, width)) or ids
        return editing.delete(mask, ids or [0]), {}
    if isinstance(gesture, messages.Fill):
        from sian.studio_app.inventing import fill

        return fill(mask, gesture.points, gesture.organ, gesture.density, gesture.seed)
    top, left, region = (
        editing.brushed(gesture.points, gesture.radius, height, width)
        if gesture.radius
        else editing.outlined(gesture.points, height, width)
    )
    if isinstance(gesture, messages.Erase):
        return editing.erase(mask, top, left, region), {}
    nucleus = gesture.into or new
    return editing.draw(mask, top, left, editing.without_holes(region), nucleus), {"nucleus": nucleus}


def _classified(document: Document, gesture: messages.Classify) -> editing.Change:
    """The nuclei that were clicked, or that an outline touches, get a class."""
    ids: list[int] = list(gesture.ids)
    if gesture.points:
        ids = editing.ids_within(document.mask, *editing.outlined(gesture.points, *document.shape)) or ids
    if not ids:
        raise BadInput("no nucleus lies there; click one, or drag around several")
    top, left, bottom, right = editing.box_of(document.mask, ids)
    part = document.mask[top:bottom, left:right]
    known = set(np.unique(part).tolist())
    return editing.Change(top, left, part.copy(), {nucleus: gesture.kind for nucleus in ids if nucleus in known})


def _classes_of_new(document: Document, change: editing.Change, gesture: Any, kind: str) -> dict[int, str]:
    """The classes of nuclei that a change adds: what was asked for, or that of the nucleus that they are cut from."""
    if isinstance(gesture, messages.Draw) and gesture.into:
        return {}
    top, left, bottom, right = change.box
    before = document.mask[top:bottom, left:right]
    fresh = np.setdiff1d(change.after, before).tolist()
    if not isinstance(gesture, messages.Split):
        return dict.fromkeys(fresh, kind)
    return {nucleus: document.classes.get(int(before[change.after == nucleus][0]), "") for nucleus in fresh}
