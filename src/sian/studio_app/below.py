"""What a drawing may lie on: a real picture, and the tiles of the data set that it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from sian.data.dataset import Dataset, Item
    from sian.studio_app.document import Document, Patch

    Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Below:
    """A real picture that the drawing lies on.

    Attributes:
        picture: (H, W, 3) uint8, of the drawing's size.
        opened: the step that opened its mask; when that is undone, or another mask was opened, it is the drawing's no
            more.
        item: of the data set; None for a picture that was dropped.
        number: no other picture of this run has it; a page knows by it whether it shows the right one.
    """

    picture: Picture
    opened: Patch
    item: Item | None = None
    number: int = field(default_factory=count(1).__next__)

    def belongs(self, document: Document) -> bool:
        """Whether the drawing is still that of this picture."""
        last = next((step for step in reversed(document.done) if step.whole), None)
        return last is self.opened

    def can_come_back(self, document: Document) -> bool:
        """Whether undoing, or doing again, leads to the drawing of this picture."""
        return any(step is self.opened for step in (*document.done, *document.undone))


@dataclass
class Tiles:
    """A data set whose masks are corrected.

    Attributes:
        folder: the data set's.
        dataset: as it was when it was read last.
        place: of the tile that was opened last.
        opened: places of the tiles that were opened, by id.
    """

    folder: Path
    dataset: Dataset
    place: int = 0
    opened: dict[str, int] = field(default_factory=dict)

    def shown(self, below: Below | None) -> int:
        """The place of the tile that the drawing lies on: undoing may have brought back another than the last one."""
        return self.place if below is None or below.item is None else self.opened.get(below.item.id, self.place)


def told_of(below: Below | None, tiles: Tiles | None) -> dict[str, Any]:
    """What a page shows of the picture that the drawing lies on, and of the data set."""
    found: dict[str, Any] = {"tiles": None, "below": None, "item": None}
    if tiles is not None:
        found["tiles"] = {
            "folder": tiles.folder.name,
            "place": tiles.shown(below) + 1,
            "count": len(tiles.dataset),
        }
    if below is not None:
        found["below"] = below.number
        found["item"] = below.item.id if below.item is not None else None
    return found
