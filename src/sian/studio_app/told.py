"""What pages are told of a drawing and its painting: heads that become JSON, with pixels behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from sian.masks import nucleus_ids
from sian.studio_app.live import Painted

if TYPE_CHECKING:
    from sian.studio_app.document import Box, Document, Effect
    from sian.studio_app.live import LivePainter
    from sian.studio_app.shelf import Shelf

Message: TypeAlias = tuple[dict[str, Any], bytes]


def drawing_state(document: Document, painter: LivePainter, shelf: Shelf) -> dict[str, Any]:
    """What a page shows of the drawing beside the picture."""
    height, width = document.shape
    return {
        "name": document.name,
        "height": height,
        "width": width,
        "nuclei": len(nucleus_ids(document.mask)),
        "unclassed": document.unclassed(),
        "undo": len(document.done),
        "redo": len(document.undone),
        "revision": painter.revision,
        "settled": painter.settled_revision,
        **document.settings,
        "styleName": painter.wanted.style.name,
        "styles": shelf.said(),
    }


def mask_message(document: Document, box: Box, resized: bool = False) -> Message:
    """The drawing's ids in a box, and the numbers of their classes where the model knows some."""
    top, left, bottom, right = box
    ids = np.ascontiguousarray(document.mask[top:bottom, left:right], "<i4")
    head: dict[str, Any] = {"type": "mask", "top": top, "left": left, "height": bottom - top, "width": right - left}
    if document.layout.classes is not None:
        head["classes"] = {nucleus: document.number_of(nucleus) for nucleus in np.unique(ids).tolist() if nucleus}
    return {**head, "resized": resized, "size": list(document.shape)}, ids.tobytes()


def tissue_message(document: Document, box: Box) -> Message:
    """Cells of the tissue map: five int8 each, see `sian.studio_app.tissue_brush`."""
    top, left, bottom, right = box
    cells = np.ascontiguousarray(document.cells[top:bottom, left:right])
    head = {"type": "tissue", "top": top, "left": left, "height": bottom - top, "width": right - left}
    return {**head, "size": list(document.cells.shape[:2])}, cells.tobytes()


def effect_messages(document: Document, effect: Effect) -> list[Message]:
    """What a step changed."""
    found = []
    if effect.mask:
        found.append(mask_message(document, effect.box, effect.resized))
    if effect.cells is not None and document.layout.tissue is not None:
        found.append(tissue_message(document, effect.cells))
    return found


def whole_drawing(document: Document) -> list[Message]:
    """All of the drawing."""
    found = [mask_message(document, (0, 0, *document.shape), resized=True)]
    if document.layout.tissue is not None:
        found.append(tissue_message(document, (0, 0, *document.cells.shape[:2])))
    return found


def picture_message(painter: LivePainter) -> Message:
    """The whole painting as it is now."""
    return pixels_message(Painted(0, 0, painter.picture.copy(), painter.revision, False, 0.0))


def pixels_message(painted: Painted) -> Message:
    """Painted pixels; R G B, row by row."""
    height, width = painted.pixels.shape[:2]
    head = {"type": "pixels", "top": painted.top, "left": painted.left, "height": height, "width": width}
    facts = {"revision": painted.revision, "settled": painted.settled, "seconds": painted.seconds}
    return {**head, **facts}, np.ascontiguousarray(painted.pixels).tobytes()
