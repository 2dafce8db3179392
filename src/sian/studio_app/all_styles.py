"""All styles of a drawing: small paintings of its middle, one by one as a page asks for them, and a sheet of them."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sian.errors import BadInput
from sian.files import encode_png
from sian.studio_app.thumbnails import asked, painting, webp
from sian.synthesis.labels import png_text
from sian.synthesis.sheet import contact_sheet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sian.layout import Layout
    from sian.studio_app.live import Wanted
    from sian.studio_app.studio import Studio
    from sian.synthesis import Style

    Picture = NDArray[np.uint8]

SIDE = 256  # px of each picture
MOST_SHEETS = 4  # that are kept: several pages may look at some


@dataclass
class Sheet:
    """The drawing of one moment and what was painted of it.

    Attributes:
        layout: of its middle.
        wanted: seed and strength of the noise.
        styles: as they were then, by name.
        pictures: (H, W, 3) uint8 by name, as far as they are painted.
    """

    layout: Layout
    wanted: Wanted
    styles: dict[str, Style]
    pictures: dict[str, Picture] = field(default_factory=dict)


class Sheets:
    """The sheets of a studio, by number."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._sheets: dict[int, Sheet] = {}
        self._last = 0
        self._lock = threading.Lock()

    def begin(self) -> dict[str, Any]:
        """A sheet of the drawing as it is now; returns its number and the names of its styles. Nothing is painted."""
        shelf = self._studio.shelf
        styles = {name: shelf.style({name: 1.0}) for name in shelf.names()}
        made = Sheet(self._studio.middle(SIDE), self._studio.painter.wanted, styles)
        with self._lock:
            self._last += 1
            self._sheets[self._last] = made
            while len(self._sheets) > MOST_SHEETS:
                del self._sheets[min(self._sheets)]
            return {"number": self._last, "names": list(styles)}

    def picture(self, number: int, place: int) -> Future[bytes]:
        """One style as WebP, when there is nothing more urgent to paint.

        Args:
            number: of the sheet.
            place: of the style in its names.

        Raises:
            BadInput: no such sheet any more, or no such place.
        """
        sheet = self._sheet(number)
        if not 0 <= place < len(sheet.styles):
            raise BadInput(f"found the place {place}, expected 0 to {len(sheet.styles) - 1}; reload the page")
        name = list(sheet.styles)[place]
        return asked(self._studio.painter, lambda: webp(self._painted(sheet, name)))

    def png(self, number: int) -> Future[bytes]:
        """All styles in one picture, which says that it is synthetic; those that are missing are painted.

        Raises:
            BadInput: no such sheet any more.
        """
        sheet = self._sheet(number)

        def work() -> bytes:
            pictures = [self._painted(sheet, name) for name in sheet.styles]  # an interrupted one goes on
            picture = contact_sheet([pictures], [name.removeprefix("@") for name in sheet.styles])
            return encode_png(picture, png_text(self._studio.model, None, sheet.wanted.seed))

        return asked(self._studio.painter, work)

    def _painted(self, sheet: Sheet, name: str) -> Picture:
        if name not in sheet.pictures:
            seed, noise = sheet.wanted.seed, sheet.wanted.noise
            sheet.pictures[name] = painting(self._studio, sheet.layout, sheet.styles[name], seed, noise)
        return sheet.pictures[name]

    def _sheet(self, number: int) -> Sheet:
        with self._lock:
            if number not in self._sheets:
                raise BadInput("this sheet of styles is not kept any more; paint all styles again")
            return self._sheets[number]
