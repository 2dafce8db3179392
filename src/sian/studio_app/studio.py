"""The studio without its page: one drawing, one painter, one autosave, and the listeners."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput, warn
from sian.files.locks import only_writer
from sian.masks import check_mask
from sian.studio_app import messages
from sian.studio_app.autosave import Journal, restore
from sian.studio_app.below import Below, Tiles, told_of
from sian.studio_app.document import Document, Effect, Patch
from sian.studio_app.editing import Change
from sian.studio_app.examples import example
from sian.studio_app.gestures import edited
from sian.studio_app.jobs import Jobs
from sian.studio_app.kept_styles import bring_back, keep_styles
from sian.studio_app.live import LivePainter, Painted, part_of
from sian.studio_app.settings import changed, followed, usable, wanted
from sian.studio_app.shelf import Shelf
from sian.studio_app.snapshots import Drawn, Still, in_words, middle_of
from sian.studio_app.tissue_brush import TissueChange, as_map
from sian.studio_app.told import drawing_state, effect_messages, picture_message, pixels_message, whole_drawing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from sian.data.dataset import Item
    from sian.layout import Layout
    from sian.studio_app.document import Mask
    from sian.studio_app.told import Message
    from sian.synthesis import Model, Style

    Picture = NDArray[np.uint8]
    Listener = Callable[[dict[str, Any], bytes], None]

SIDE = 512  # px of the first, empty drawing
FOLDER = "sian-studio"  # within the folder that the studio was started in: autosave and what is saved
AUTOSAVE = "autosave"


class Studio:
    """What all pages of one server share.

    Args:
        model: that paints.
        folder: that the studio was started in; nothing outside of it is read or written.
        mask: to begin with; None goes on with the autosave, or begins with an empty drawing.
        name: of the mask.
        model_path: the model's file; None for the bundled one.
        segmenter: the segmenter's file, that finds nuclei in pictures; None for the bundled one.

    Attributes:
        folder: within the folder it was started in; for what is saved.
        autosave: within that folder.
        belows: pictures of the open drawing, and of those that undoing brings back.
        keeping: to be held while an item is added to a data set.
        lock: to be held while several steps must follow each other.
    """

    def __init__(
        self,
        model: Model,
        folder: Path,
        mask: Mask | None = None,
        name: str = "drawing",
        model_path: Path | None = None,
        segmenter: Path | None = None,
    ) -> None:
        self.model, self.folder, self.model_path = model, folder.resolve() / FOLDER, model_path
        self.shelf = Shelf(model)
        self.listeners: list[Listener] = []
        self.autosave = self.folder / AUTOSAVE
        journal = self.autosave / "drawing.journal"
        with ExitStack() as held:
            held.enter_context(only_writer(self.autosave))
            before, self._journal = restore(journal), Journal(journal)
            self._only_one = held.pop_all()
        self.document = before.document or Document(np.zeros((SIDE, SIDE), np.int32))
        self.document.tell(model.info.classes, model.takes_tissue)
        self.seen = before.seen
        if self._journal.aside is not None:
            warn(f"{journal}: the end of the autosave could not be read; all of it was copied to {self._journal.aside}")
        if before.document is None:
            self.document.name = name
            first = Patch(0, 0, np.zeros((0, 0), np.int32), self.document.mask, whole=True)
            self._journal.patch(first, name=name)
        bring_back(self.autosave, self.shelf, model)
        self.document.settings = usable(self.document.settings, model, self.shelf)
        now = wanted(self.settings, self.shelf)
        self.painter = LivePainter(model, self.document.layout, now, self._publish, self._not_painted)
        self.tiles: Tiles | None = None
        self.sheet: Picture | None = None
        self.belows: list[Below] = []
        self.second_model: Model | None = None
        self.segmenter = segmenter
        self.jobs = Jobs(self.say, self.remark)
        self.lock = threading.RLock()
        self.keeping = threading.Lock()
        if mask is not None:
            self.open(mask, name)

    def start(self) -> None:
        """Begin to paint."""
        self.painter.start()
        self.jobs.start()

    @property
    def bundled(self) -> bool:
        """Whether the model is the bundled one."""
        return self.model_path is None

    @property
    def name(self) -> str:
        """What the drawing is called."""
        return self.document.name

    @property
    def settings(self) -> Mapping[str, Any]:
        """Style, seed and noise."""
        return self.document.settings

    @property
    def stem(self) -> str:
        """The drawing's name as the beginning of a file's."""
        return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in self.name)[:60] or "drawing"

    def close(self) -> None:
        """Stop painting and close the autosave."""
        self.jobs.stop()
        self.painter.stop()
        self._journal.close()
        self._only_one.close()

    def do(self, message: messages.Message, page: str = "") -> dict[str, Any]:
        """Do what a page asks for; what changes is told to all listeners.

        Args:
            message: see `sian.studio_app.messages`.
            page: that asks; with the message's number it is remembered, so that nothing is done twice.

        Returns:
            What to answer to that page.

        Raises:
            BadInput: it cannot be done; nothing was changed.
        """
        if isinstance(message, messages.Pen):
            self.painter.pen(message.down)
            return {}
        if isinstance(message, messages.Outlines):
            from sian.studio_app.inventing import outlines

            return {"organ": message.organ, "outlines": outlines(message.organ, message.seed)}
        with self.lock:
            self._take_back()
            if isinstance(message, messages.Try):
                return self._try_out(message)
            if self.did(message.n, page):
                return {"again": True, "revision": self.painter.revision}
            answer = self._change(message, page)
            self.remember(message.n, page)
            return {"revision": self.painter.revision, **answer}

    def did(self, number: int, page: str) -> bool:
        """Whether a page's message of that number was done already."""
        return bool(number) and number <= self.seen.get(page, 0)

    def remember(self, number: int, page: str) -> None:
        """Keep in mind that a page's message was done."""
        if number and page:
            self.seen[page] = number

    def open(
        self,
        mask: Mask,
        name: str,
        picture: Picture | None = None,
        item: Item | None = None,
        classes: Mapping[int, str] | None = None,
    ) -> None:
        """Put another drawing in place; the old one can be had back by undoing.

        Args:
            mask: (H, W) instance mask.
            name: what it is called.
            picture: (H, W, 3) uint8, what the mask was drawn on.
            item: of the open data set, whose mask it is.
            classes: names by id, of nuclei whose class is known.

        Raises:
            BadInput: not an instance mask, or of a size that cannot be drawn on.
        """
        checked = check_mask(mask, name)
        with self.lock:
            self._take_back()
            with self.painter.lock, self.document.all_or_nothing():
                patch = self.document.replace(checked, classes, name, item)
                self._journal.patch(patch, name=name)
            self.belows = [below for below in self.belows if below.can_come_back(self.document)]
            if picture is not None:
                self.belows.append(Below(picture, patch, item))
            self._told(replace(self.document.last_effect, resized=True))

    def add_style(self, name: str, style: Style, note: str = "", passing: bool = False) -> str:
        """Put a style on the shelf, also for the next start; returns its name there. See `Shelf.add`."""
        with self.lock:
            marked = self.shelf.add(name, style, note, passing, worn=self.settings["style"])
            keep_styles(self.autosave, self.shelf, self.model)
        return marked

    def wear(self, name: str, instead_of: str = "") -> None:
        """Paint in one style of the shelf; with `instead_of`, only where that one is painted in, and as no new step."""
        with self.lock:
            if not instead_of:
                self._set(messages.Settings(op="settings", style={name: 1.0}))
            elif list(self.settings["style"]) == [instead_of]:
                settings = {**self.settings, "style": {name: 1.0}}
                self._journal.say("settings", settings=settings)
                self.document.settings = settings
                self._told(Effect((0, 0, 0, 0), mask=False, settings=True))
            else:
                self.say()

    def state(self) -> dict[str, Any]:
        """What a page shows beside the picture."""
        return {
            "type": "state",
            **drawing_state(self.document, self.painter, self.shelf),
            "licence": self.model.info.licence,
            "model": self.model.info.name,
            "job": self.jobs.state(),
            **told_of(self.below, self.tiles),
        }

    def everything(self) -> list[Message]:
        """All that a page must be told to show the studio."""
        return [*whole_drawing(self.document), (self.state(), b""), picture_message(self.painter)]

    @property
    def below(self) -> Below | None:
        """The real picture that the drawing lies on, as long as it is that picture's."""
        return next((below for below in self.belows if below.belongs(self.document)), None)

    def still(self, timeout: float) -> Still:
        """The drawing at rest, with its whole picture; nothing that is only tried out is in it.

        Args:
            timeout: seconds to wait for the picture.

        Raises:
            BadInput: the picture was not painted to its end by then, or cannot be painted.
        """
        end = time.monotonic() + timeout
        while True:
            with self.lock:
                self._take_back()
                with self.painter.lock:
                    if self.painter.settled_revision == self.painter.revision:
                        return Still(self._drawn(), self.painter.picture.copy(), self.painter.wanted)
            if self.painter.wait_until_settled(end - time.monotonic()) is None:
                failure = self.painter.failure
                if failure is not None:
                    raise BadInput(f"the drawing cannot be painted: {in_words(failure)}")
                if self.painter.stopped or time.monotonic() >= end:
                    raise BadInput("the picture was not painted to its end yet; wait until it is, and save again")

    def middle(self, side: int) -> Layout:
        """A copy of the middle of the drawing's layout, at most `side` px a side."""
        with self.lock:
            self._take_back()
            return part_of(self.document.layout, *middle_of(self.document.shape, side))

    def drawn(self) -> Drawn:
        """The drawing without what is only tried out."""
        with self.lock:
            self._take_back()
            return self._drawn()

    def _drawn(self) -> Drawn:
        document = self.document
        told = document.layout.tissue is not None and document.cells.any()
        tissue = as_map(document.cells) if told else None
        return Drawn(document.mask.copy(), self.stem, self.below, document.known_classes(), tissue)

    def show_sheet(self, sheet: Picture, sentence: str) -> None:
        """Have all listeners show a sheet of pictures with a sentence."""
        self.sheet = sheet
        self._tell({"type": "sheet", "sentence": sentence})

    def remark(self, sentence: str, bad: bool = False) -> None:
        """Tell all listeners a sentence."""
        self._tell({"type": "remark", "sentence": sentence, "bad": bad})

    def say(self) -> None:
        """Tell all listeners the state."""
        self._tell(self.state())

    def _change(self, message: messages.Message, page: str) -> dict[str, Any]:
        if isinstance(message, messages.Settings):
            if self.shelf.ask_for(message.style or ()):
                keep_styles(self.autosave, self.shelf, self.model)
            return self._set(message, page)
        if isinstance(message, messages.Undo | messages.Redo):
            before = self.settings
            with self.painter.lock, self.document.all_or_nothing():
                effect = self.document.undo() if message.op == "undo" else self.document.redo()
                self._journal.say(message.op, page, message.n)
            self.document.settings, remark = followed(self.settings, before, self.shelf)
            self._told(effect)
            if remark:
                self.remark(remark, bad=True)
            return {}
        if isinstance(message, messages.New | messages.Example):
            mask = np.zeros((message.height, message.width), np.int32) if message.op == "new" else example(message.name)
            self.open(mask, "drawing" if message.op == "new" else message.name)
            return {}
        assert not isinstance(message, messages.Pen | messages.Outlines | messages.Try | messages.Tile | messages.Do)  # noqa: S101 - `do` has answered these
        change, answer = edited(self.document, message, self.model)
        self.apply(change, page, message.n)
        return answer

    def apply(self, change: Change | TissueChange, page: str = "", number: int = 0) -> None:
        """Change the drawing; a page's message of that number asked for it."""
        with self.lock:
            self._take_back()
            with self.painter.lock, self.document.all_or_nothing():
                patch = self.document.apply(change)
                self._journal.patch(patch, page, number)
            self._told(self.document.last_effect)

    def _try_out(self, message: messages.Try) -> dict[str, Any]:
        """Paint what a stroke would be if it ended here; the drawing stays as it is."""
        if message.gesture is not None:
            with suppress(BadInput):  # it may still become something
                change, _ = edited(self.document, message.gesture, self.model)
                assert isinstance(change, Change)  # noqa: S101 - nothing else is tried out
                with self.painter.lock:
                    self.painter.step(self.document.try_out(change).box)
        return {}

    def _take_back(self) -> None:
        with self.painter.lock:
            if (effect := self.document.take_back()) is not None:
                self.painter.step(effect.box)

    def forget_tries(self) -> None:
        """Take back what a page that is gone has tried out."""
        with self.lock:
            self._take_back()

    def _set(self, message: messages.Settings, page: str = "") -> dict[str, Any]:
        settings = changed(self.settings, message, self.shelf)
        if settings == self.settings:
            self.say()
            return {}
        with self.painter.lock, self.document.all_or_nothing():
            step = self.document.paint_with(settings)
            self._journal.say("setting", page, message.n, before=step.before, after=step.after)
        self._told(self.document.last_effect)
        return {}

    def _told(self, effect: Effect) -> None:
        """Have painted what changed, and tell the listeners."""
        with self.painter.lock:
            if effect.settings:
                self.painter.replace(wanted=wanted(self.settings, self.shelf))
            elif effect.resized or effect.box == (0, 0, *self.document.shape):
                self.painter.replace(self.document.layout)
            else:
                self.painter.step(effect.box)
        for message in effect_messages(self.document, effect):
            self._tell(*message)
        self.say()

    def _publish(self, painted: Painted | None) -> None:
        if painted is None:
            self.say()
        else:
            self._tell(*pixels_message(painted))

    def _not_painted(self, error: Exception) -> None:
        self.remark(f"the drawing cannot be painted: {in_words(error)}", bad=True)
        self.say()

    def _tell(self, head: dict[str, Any], payload: bytes = b"") -> None:
        for listener in list(self.listeners):
            listener(head, payload)
