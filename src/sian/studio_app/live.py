"""The painter behind the page: what was drawn last is painted first, and the rest when nobody draws.

One thread owns the model. After a step it paints the changed pixels and what lies around them (`paint_area`), which is
quick and nearly right. When the pen rests it paints the whole picture as `sian synthesize` does; only then is the
picture called settled, and only a settled one is saved. What is being painted is dropped for what is newer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from sian.networks import STRIDE, LevelGenerator
from sian.networks.spade import SpadeGenerator
from sian.synthesis.painting import REACH, Noise, paint, paint_area

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sian.layout import Layout
    from sian.networks import Brush
    from sian.studio_app.document import Box
    from sian.synthesis import Model, Style

    Picture = NDArray[np.uint8]

HALO = 40  # px around what was drawn that are painted along: beyond, pixels change by 8 grey levels and less
QUIET = 0.5  # seconds without a step before the whole picture is painted
LARGEST_AREA = 512 * 512  # px that are painted in one go; more waits for the whole picture
MOST_DROPS = 2  # times in a row that a step's pixels are dropped for newer ones
UNPAINTED = 204  # grey where nothing was painted yet; white would look like glass
PEN_FORGOTTEN = 10.0  # seconds after which a pen that never went up counts as up


class _Interruptible(TorchFunctionMode):
    """Calls `check` before each of torch's functions, in the thread that entered it."""

    def __init__(self, check: Callable[[], None]) -> None:
        super().__init__()
        self._check = check

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._check()
        return function(*args, **(kwargs or {}))


class DroppedError(Exception):
    """What is being painted is not wanted any more."""


@dataclass(frozen=True)
class Wanted:
    """What the picture should look like.

    Attributes:
        style: of the tissue.
        seed: of the noise.
        noise: its strength.
    """

    style: Style
    seed: int = 0
    noise: float = 1.0


@dataclass(frozen=True)
class Painted:
    """Pixels that were painted.

    Attributes:
        top: row of the first pixel.
        left: its column.
        pixels: (h, w, 3) uint8.
        revision: of the drawing that they show.
        settled: they are those of the whole picture.
        seconds: since the step that asked for them; 0 where none did.
    """

    top: int
    left: int
    pixels: Picture
    revision: int
    settled: bool
    seconds: float


class LivePainter:
    """Paints in a thread of its own; `publish` is called from there.

    Args:
        model: what paints; nobody else may use it meanwhile, see `chore`.
        layout: of the drawing.
        wanted: style, seed and noise.
        publish: takes pixels, and None when the picture is settled.
        failed: takes what went wrong while painting; the drawing is painted again when it is changed.

    Attributes:
        dropped: what a chore must let through when it is interrupted.
    """

    dropped = DroppedError

    def __init__(
        self,
        model: Model,
        layout: Layout,
        wanted: Wanted,
        publish: Callable[[Painted | None], None],
        failed: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self.model, self.wanted = model, wanted
        self.picture = np.full((*layout.shape, 3), UNPAINTED, np.uint8)
        self.revision, self.settled_revision = 1, 0
        self._replaced = 0  # the revision since which the picture is another one
        self._layout, self._publish, self._failed = layout, publish, failed
        self._failed_revision = self._painting = 0
        self._failure: Exception | None = None
        generator = (
            model.painter.generator
        )  # SPADE's first features depend on the place: an area of it is another picture
        self._local = isinstance(generator, LevelGenerator) and not isinstance(generator, SpadeGenerator)
        self._ready = threading.Condition()
        self._dirty: Box | None = None
        self._whole = True
        self._since = self._pen_down_since = 0.0
        self._chores: deque[Callable[[], None]] = deque()
        self._drop = self._stopped = self._in_step = False
        self._drops = 0
        self._styled: tuple[Style, torch.Tensor, Brush | None] | None = None
        self._thread = threading.Thread(target=self._work, name="sian-studio-painter", daemon=True)

    def start(self) -> None:
        """Begin to paint."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait until it has."""
        with self._ready:
            self._stopped = self._drop = True
            self._ready.notify_all()
        if self.running:
            self._thread.join()

    @property
    def running(self) -> bool:
        """Whether it paints, or waits for something to paint."""
        return self._thread.is_alive()

    @property
    def stopped(self) -> bool:
        """Whether it will never paint again."""
        return self._stopped

    @property
    def lock(self) -> threading.Condition:
        """To be held while the drawing's layout changes."""
        return self._ready

    def step(self, box: Box) -> int:
        """Say, with the lock held, that the layout changed in a box. Returns the drawing's new revision."""
        self._mark(box)
        return self._newer()

    def replace(self, layout: Layout | None = None, wanted: Wanted | None = None) -> int:
        """Say, with the lock held, that all is different. Returns the drawing's new revision."""
        if layout is not None:
            if layout.shape != self.picture.shape[:2]:
                self.picture = np.full((*layout.shape, 3), UNPAINTED, np.uint8)
            self._layout = layout
        self.wanted = wanted or self.wanted
        self._dirty, self._whole = None, True
        self._replaced = self._newer()
        return self._replaced

    def pen(self, down: bool) -> None:
        """Say whether somebody is drawing: then nothing that can wait is painted."""
        with self._ready:
            self._pen_down_since = time.monotonic() if down else 0.0
            if down and not self._in_step:
                self._drop = True
            self._ready.notify_all()

    def chore(self, work: Callable[[], None]) -> None:
        """Have something done with the model when there is nothing to paint; begun again if it is interrupted."""
        with self._ready:
            self._chores.append(work)
            self._ready.notify_all()

    def wait_until_settled(self, timeout: float) -> Picture | None:
        """The whole picture of the drawing as it is now, or None if that takes too long or fails, see `failure`."""
        end = time.monotonic() + timeout
        with self._ready:
            while self.settled_revision != self.revision:
                if self._stopped or self._failed_revision == self.revision:
                    return None
                if not self._ready.wait(max(0.0, end - time.monotonic())) and time.monotonic() >= end:
                    return None
            return self.picture.copy()

    @property
    def failure(self) -> Exception | None:
        """What went wrong with the drawing as it is now; None where nothing did."""
        return self._failure if self._failed_revision == self.revision else None

    def _mark(self, box: Box) -> None:
        self._dirty = box if self._dirty is None else _union(self._dirty, box)

    def _newer(self) -> int:
        self.revision += 1
        self._since = time.monotonic()
        self._drop = True
        self._ready.notify_all()
        return self.revision

    def _check(self) -> None:
        """Between two operations of the network: stop when the painting is not wanted any more."""
        if self._drop and not (self._in_step and self._drops >= MOST_DROPS):
            raise DroppedError

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                with _Interruptible(self._check):
                    job()
            except DroppedError:
                continue
            except Exception as error:  # noqa: BLE001 - the thread must live on: the next step may go well
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Leave a revision that cannot be painted until the drawing changes."""
        with self._ready:
            if self._painting:  # else it was a chore
                self._failed_revision, self._failure = self._painting, error
            if self._painting == self.revision:
                self._dirty = None
            self._ready.notify_all()
        self._failed(error)

    def _next(self) -> Callable[[], None] | None:
        """Wait for something to do; None when there will be nothing any more."""
        with self._ready:
            while not self._stopped:
                self._drop = False
                now = time.monotonic()
                busy = 0 < now - self._pen_down_since < PEN_FORGOTTEN and self._pen_down_since > 0
                if self._dirty is not None:
                    return self._paint_step
                unsettled = self.revision not in (self.settled_revision, self._failed_revision)
                rest = QUIET - (now - self._since) if not self._whole else 0.0
                if unsettled and rest <= 0 and not busy:
                    return self._settle
                if self._chores and not unsettled:
                    return self._do_chore
                self._ready.wait(max(0.01, rest) if unsettled and not busy else (PEN_FORGOTTEN if busy else None))
        return None

    def _paint_step(self) -> None:
        with self._ready:
            self._painting = revision = self.revision
            box, self._dirty = self._dirty, None
            if box is None:
                return
            area = _grown(box, HALO, self._layout.shape)
            if not self._local or (area[2] - area[0]) * (area[3] - area[1]) > LARGEST_AREA:
                self._whole = True
                return
            around = _grown(area, REACH, self._layout.shape)
            top, left = (side // STRIDE * STRIDE for side in around[:2])
            layout = part_of(self._layout, top, left, *(-(-side // STRIDE) * STRIDE for side in around[2:]))
            since, wanted = self._since, self.wanted
        generator: Any = self.model.painter.generator
        vector, brush = self._brush(wanted)
        noise = Noise(wanted.seed, wanted.noise, (top, left))
        self._in_step = True
        within = (area[0] - top, area[1] - left, area[2] - top, area[3] - left)
        try:
            pixels = paint_area(generator, layout, vector, noise, within, brush=brush)
        except DroppedError:
            with self._ready:
                if revision >= self._replaced:  # else the box is that of another drawing
                    self._mark(box)
                self._drops += 1
            raise
        finally:
            self._in_step = False
        self._drops = 0
        self._put(area[0], area[1], pixels, revision, False, time.monotonic() - since)

    def _settle(self) -> None:
        with self._ready:
            self._painting = revision = self.revision
            layout = part_of(self._layout, 0, 0, *self._layout.shape)
            since, wanted, whole = self._since, self.wanted, self._whole
        vector, brush = self._brush(wanted)

        def part_done(top: int, left: int, pixels: Picture) -> None:
            if revision != self.revision:
                raise DroppedError
            self._put(top, left, pixels, revision, True, time.monotonic() - since if whole else 0.0)

        noise = Noise(wanted.seed, wanted.noise)
        picture = paint(self.model.painter.generator, layout, vector, noise, brush=brush, part_done=part_done)
        with self._ready:
            if revision != self.revision:
                return
            self.picture = picture
            self._whole = False
            self.settled_revision = revision
            self._ready.notify_all()
        self._publish(Painted(0, 0, picture, revision, True, time.monotonic() - since if whole else 0.0))
        self._publish(None)

    def _brush(self, wanted: Wanted) -> tuple[torch.Tensor, Brush | None]:
        """The style's vector and what paints in it; made once for each style."""
        if self._styled is None or self._styled[0] is not wanted.style:
            vector = torch.from_numpy(wanted.style.vector).to(self.model.device)
            self._styled = wanted.style, vector, self.model.brush(vector[None])
        return self._styled[1:]

    def _put(self, top: int, left: int, pixels: Picture, revision: int, settled: bool, seconds: float) -> None:
        """Keep and publish pixels; those beyond the picture's end, or of a picture that is gone, are left out."""
        with self._ready:
            height, width = self.picture.shape[:2]
            pixels = np.ascontiguousarray(pixels[: max(0, height - top), : max(0, width - left)])
            if revision < self._replaced:
                return
            self.picture[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        if pixels.size:
            self._publish(Painted(top, left, pixels, revision, settled, seconds))

    def _do_chore(self) -> None:
        with self._ready:
            self._painting, work = 0, self._chores.popleft()
        try:
            work()
        except DroppedError:
            with self._ready:
                self._chores.appendleft(work)
            raise


def part_of(layout: Layout, top: int, left: int, bottom: int, right: int) -> Layout:
    """A copy of a part of a layout, cut at its end; the drawing may change while it is painted."""
    part = layout.window(top, left, min(bottom, layout.shape[0]) - top, min(right, layout.shape[1]) - left)
    masks = ("semantic", "direction", "distance", "boundary", "depth", "classes", "tissue")
    found = {name: getattr(part, name) for name in masks}
    return replace(part, **{name: mask.copy() for name, mask in found.items() if mask is not None})


def _union(one: Box, other: Box) -> Box:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _grown(box: Box, by: int, shape: tuple[int, int]) -> Box:
    return max(0, box[0] - by), max(0, box[1] - by), min(shape[0], box[2] + by), min(shape[1], box[3] + by)
