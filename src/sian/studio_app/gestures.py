"""From a page's gesture to the pixels that it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sian.studio_app import editing, messages

if TYPE_CHECKING:
    from sian.studio_app.document import Document


def edited(document: Document, gesture: messages.Gesture) -> tuple[editing.Change, dict[str, Any]]:
    """What a gesture changes in a drawing, and what its page is told.

    Raises:
        BadInput: it changes nothing, or cannot be done there.
    """
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
    region = (
        editing.brushed(gesture.points, gesture.radius, height, width)
        if gesture.radius
        else editing.outlined(gesture.points, height, width)
    )
    if isinstance(gesture, messages.Erase):
        return editing.erase(mask, *region), {}
    nucleus = gesture.into or new
    return editing.draw(mask, *region, nucleus), {"nucleus": nucleus}
