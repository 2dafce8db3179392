"""The drawing: an instance mask with its layout, and everything that was done to it, back and forth without end."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sian.errors import BadInput
from sian.layout import Layout, describe, describe_again
from sian.masks import nucleus_ids
from sian.studio_app.editing import Change, box_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Mask = NDArray[np.int32]
    Box = tuple[int, int, int, int]

SMALLEST, LARGEST = 32, 8192  # px of a side
LARGEST_ID = int(np.iinfo(np.int32).max)


@dataclass(frozen=True)
class Patch:
    """One step of the history.

    Attributes:
        top: row of the first pixel.
        left: its column.
        before: (h, w) int32.
        after: the same pixels afterwards; of another shape where `whole`.
        whole: the step put another mask in place of all of the old one.
    """

    top: int
    left: int
    before: Mask
    after: Mask
    whole: bool = False


@dataclass(frozen=True)
class Effect:
    """What a step did to the mask: the pixels that changed, and whether its size did."""

    box: Box
    resized: bool = False


class Document:
    """A mask that is being drawn.

    Attributes:
        mask: (H, W) int32.
        layout: of the mask, up to date.
        done: steps that can be undone.
        undone: steps that can be done again.
        last_effect: of the last step that was done.
    """

    def __init__(self, mask: Mask) -> None:
        self.done: list[Patch] = []
        self.undone: list[Patch] = []
        self._tried: Patch | None = None
        self._set(mask)
        self.last_effect = Effect((0, 0, *self.shape))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.mask.shape[0], self.mask.shape[1]

    def next_id(self) -> int:
        """An id that no nucleus has."""
        largest = int(self.mask.max(initial=0))
        if largest < LARGEST_ID:
            return largest + 1
        ids = nucleus_ids(self.mask)  # in order: the first that is not its own place leaves that place free
        return int(np.argmax(ids != np.arange(1, len(ids) + 1))) + 1

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Take back the step that is done within, if it raises after that: undone steps can then be done again."""
        done, undone = list(self.done), list(self.undone)
        try:
            yield
        except BaseException:
            if len(self.done) > len(done):
                self.undo()
            elif len(self.done) < len(done):
                self.redo()
            self.done, self.undone = done, undone
            raise

    def try_out(self, change: Change) -> Effect:
        """Change pixels for a while: `take_back` must come before anything else is done."""
        patch = self._patch(change)
        effect = self._put(patch, patch.before, patch.after)
        self._tried = patch
        return effect

    def take_back(self) -> Effect | None:
        """Take back what was tried out; None where nothing was."""
        patch, self._tried = self._tried, None
        return None if patch is None else self._put(patch, patch.after, patch.before)

    def apply(self, change: Change) -> Patch:
        """Change pixels; the step can be undone. Returns it."""
        patch = self._patch(change)
        self.record(patch)
        return patch

    def _patch(self, change: Change) -> Patch:
        """The pixels that a change really changes."""
        top, left, bottom, right = change.box
        before = self.mask[top:bottom, left:right].copy()
        rows, columns = ((before != change.after).any(axis) for axis in (1, 0))
        if not rows.any():
            raise BadInput("that would change nothing")
        inner = tuple(slice(int(np.argmax(line)), len(line) - int(np.argmax(line[::-1]))) for line in (rows, columns))
        return Patch(
            top + inner[0].start, left + inner[1].start, before[inner].copy(), np.ascontiguousarray(change.after[inner])
        )

    def replace(self, mask: Mask) -> Patch:
        """Put another mask in place; the step can be undone. Returns it."""
        patch = Patch(0, 0, self.mask, mask, whole=True)
        self.record(patch)
        return patch

    def record(self, patch: Patch) -> Effect:
        """Do a step."""
        self.last_effect = self._put(patch, patch.before, patch.after)
        self.done.append(patch)
        self.undone.clear()
        return self.last_effect

    def undo(self) -> Effect:
        """Take the last step back."""
        if not self.done:
            raise BadInput("there is nothing to undo")
        patch = self.done.pop()
        self.undone.append(patch)
        return self._put(patch, patch.after, patch.before)

    def redo(self) -> Effect:
        """Do the step again that was undone last."""
        if not self.undone:
            raise BadInput("there is nothing to do again")
        patch = self.undone.pop()
        self.done.append(patch)
        return self._put(patch, patch.before, patch.after)

    def _put(self, patch: Patch, old: Mask, new: Mask) -> Effect:
        if patch.whole:
            resized = new.shape != self.mask.shape
            self._set(new)
            return Effect((0, 0, *self.shape), resized)
        box = (patch.top, patch.left, patch.top + new.shape[0], patch.left + new.shape[1])
        ids = np.union1d(old, new)
        ids = ids[ids > 0]
        held = self._reach(ids, box)
        self.mask[box[0] : box[2], box[1] : box[3]] = new
        describe_again(self.layout, self.mask, ids, held)
        return Effect(held)

    def _reach(self, ids: NDArray[np.int32], box: Box) -> Box:
        """What holds the pixels of nuclei before and after a step: a nucleus that is cut changes all over."""
        if not np.isin(self.mask, ids).any() if len(ids) else True:
            return box
        top, left, bottom, right = box_of(self.mask, ids.tolist())
        return min(top, box[0]), min(left, box[1]), max(bottom, box[2]), max(right, box[3])

    def _set(self, mask: Mask) -> None:
        check_size(mask.shape)
        self.mask = mask.copy()
        self.layout: Layout = describe(self.mask)


def check_size(shape: tuple[int, ...]) -> None:
    """Refuse masks that are too small to paint or too large to draw on."""
    if min(shape) < SMALLEST or max(shape) > LARGEST:
        raise BadInput(
            f"found {shape[1]} x {shape[0]} px, expected {SMALLEST} to {LARGEST:,} px a side; cut a part out of it"
        )
