"""The drawing: an instance mask with its layout, and everything that was done to it, back and forth without end.

Beside the mask it holds what models may be told: the class of each nucleus, and a tissue map of what lies between.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from sian.errors import BadInput
from sian.layout import Layout, describe, describe_again
from sian.layout.tissue_map import CELL, TISSUE_LAYERS
from sian.masks import nucleus_ids
from sian.studio_app.editing import Change, box_of
from sian.studio_app.tissue_brush import TissueChange, layers_again, nothing_said

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from sian.data.dataset import Item

    Mask = NDArray[np.int32]
    Box = tuple[int, int, int, int]

SMALLEST, LARGEST = 32, 8192  # px of a side
LARGEST_ID = int(np.iinfo(np.int32).max)


@dataclass(frozen=True)
class Told:
    """What a drawing tells beside its mask.

    Attributes:
        classes: names by id, of nuclei whose class is known.
        cells: (h, w, 5) int8, the tissue map, see `sian.studio_app.tissue_brush`.
    """

    classes: Mapping[int, str]
    cells: NDArray[np.int8]


@dataclass(frozen=True)
class Patch:
    """One step of the history.

    Attributes:
        top: row of the first pixel, or cell of the tissue map.
        left: its column.
        before: (h, w) int32, or (h, w, 5) int8 cells.
        after: the same pixels afterwards; of another shape where `whole`.
        whole: the step put another mask in place of all of the old one.
        classes: names before and after by id, of nuclei whose class changes; "" for none.
        told: of a whole step, what the old drawing told.
        names: of a whole step, what the drawing was called before and afterwards; None where that stays.
        item: of a whole step that opened a data set's item, its "id" and the SHA-256 of its "image".
    """

    top: int
    left: int
    before: NDArray[Any]
    after: NDArray[Any]
    whole: bool = False
    classes: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    told: Told | None = None
    names: tuple[str, str] | None = None
    item: Mapping[str, str] | None = None

    @property
    def of_tissue(self) -> bool:
        """Whether it changes the tissue map."""
        return self.after.ndim == 3


@dataclass(frozen=True)
class Setting:
    """A step that leaves the drawing as it is and has it painted otherwise.

    Attributes:
        before: style, seed and noise.
        after: the same afterwards.
    """

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    whole = False


Step: TypeAlias = Patch | Setting


@dataclass(frozen=True)
class Effect:
    """What a step did.

    Attributes:
        box: the pixels that changed, or are painted otherwise.
        resized: whether the drawing's size did.
        mask: whether ids or classes did.
        cells: of the tissue map, that changed; None where none did.
        settings: whether style, seed or noise did, and nothing else.
    """

    box: Box
    resized: bool = False
    mask: bool = True
    cells: Box | None = None
    settings: bool = False


class Document:
    """A mask that is being drawn.

    Args:
        mask: (H, W) int32.
        classes: names by id, of nuclei whose class is known.

    Attributes:
        mask: (H, W) int32.
        layout: of the mask, up to date.
        classes: names by id; of nuclei that are gone as well.
        cells: the tissue map.
        settings: style, seed and noise to paint it with.
        name: what it is called.
        done: steps that can be undone.
        undone: steps that can be done again.
        last_effect: of the last step that was done.
    """

    def __init__(self, mask: Mask, classes: Mapping[int, str] | None = None) -> None:
        self.done: list[Step] = []
        self.undone: list[Step] = []
        self.settings: Mapping[str, Any] = {}
        self.name = "drawing"
        self._tried: Patch | None = None
        self._names: tuple[str, ...] = ()
        self._tells_tissue = False
        self._set(mask, Told(classes or {}, nothing_said(mask.shape)))
        self.last_effect = Effect((0, 0, *self.shape))

    def tell(self, names: Sequence[str], tissue: bool) -> None:
        """Have the layout tell the classes of these names, and the tissue map; other classes are kept, and not told."""
        self._names, self._tells_tissue = tuple(names), tissue
        self._describe()

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.mask.shape[0], self.mask.shape[1]

    @property
    def item(self) -> Mapping[str, str] | None:
        """The data set's item that the drawing is of, see `Patch`; None where it is of none."""
        last = next((step for step in reversed(self.done) if isinstance(step, Patch) and step.whole), None)
        return None if last is None else last.item

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

    def known_classes(self) -> dict[int, str]:
        """The classes of the nuclei that are there."""
        ids = set(nucleus_ids(self.mask).tolist())
        return {nucleus: name for nucleus, name in sorted(self.classes.items()) if nucleus in ids}

    def unclassed(self) -> int:
        """How many nuclei have no class that the model knows; 0 for a model that knows none."""
        if not self._names:
            return 0
        return sum(not self.number_of(nucleus) for nucleus in nucleus_ids(self.mask).tolist())

    def try_out(self, change: Change) -> Effect:
        """Change pixels for a while: `take_back` must come before anything else is done."""
        patch = self._patch(change)
        effect = self._put(patch)
        self._tried = patch
        return effect

    def take_back(self) -> Effect | None:
        """Take back what was tried out; None where nothing was."""
        patch, self._tried = self._tried, None
        return None if patch is None else self._put(patch, back=True)

    def apply(self, change: Change | TissueChange) -> Patch:
        """Change pixels, classes or the tissue map; the step can be undone. Returns it."""
        patch = self._patch(change) if isinstance(change, Change) else self._tissue_patch(change)
        self.record(patch)
        return patch

    def _patch(self, change: Change) -> Patch:
        """The pixels and the classes that a change really changes."""
        top, left, bottom, right = change.box
        before = self.mask[top:bottom, left:right].copy()
        rows, columns = ((before != change.after).any(axis) for axis in (1, 0))
        named = ((nucleus, (self.classes.get(nucleus, ""), name)) for nucleus, name in change.classes.items())
        classes = {nucleus: names for nucleus, names in named if names[0] != names[1]}
        if not rows.any():
            if not classes:
                raise BadInput("that would change nothing")
            return Patch(top, left, before[:0, :0], change.after[:0, :0], classes=classes)
        inner = tuple(slice(int(np.argmax(line)), len(line) - int(np.argmax(line[::-1]))) for line in (rows, columns))
        return Patch(
            top + inner[0].start,
            left + inner[1].start,
            before[inner].copy(),
            np.ascontiguousarray(change.after[inner]),
            classes=classes,
        )

    def _tissue_patch(self, change: TissueChange) -> Patch:
        height, width = change.after.shape[:2]
        before = self.cells[change.top : change.top + height, change.left : change.left + width].copy()
        if np.array_equal(before, change.after):
            raise BadInput("that would change nothing")
        return Patch(change.top, change.left, before, change.after)

    def replace(
        self,
        mask: Mask,
        classes: Mapping[int, str] | None = None,
        name: str | None = None,
        item: Item | None = None,
    ) -> Patch:
        """Put another mask in place, with its name and the classes of its nuclei; can be undone. Returns the step."""
        named = {nucleus: ("", name) for nucleus, name in (classes or {}).items()}
        names = (self.name, self.name if name is None else name)
        known = None if item is None else {"id": item.id, "image": item.sha256_image}
        patch = Patch(0, 0, self.mask, mask, True, named, self.told(), names, known)
        self.record(patch)
        return patch

    def paint_with(self, settings: Mapping[str, Any]) -> Setting:
        """Have it painted otherwise; the step can be undone. Returns it."""
        step = Setting(self.settings, settings)
        self.record(step)
        return step

    def told(self) -> Told:
        """A copy of what the drawing tells beside its mask."""
        return Told(dict(self.classes), self.cells.copy())

    def record(self, patch: Step) -> Effect:
        """Do a step."""
        self.last_effect = self._put(patch)
        self.done.append(patch)
        self.undone.clear()
        return self.last_effect

    def undo(self) -> Effect:
        """Take the last step back."""
        if not self.done:
            raise BadInput("there is nothing to undo")
        patch = self.done.pop()
        self.undone.append(patch)
        return self._put(patch, back=True)

    def redo(self) -> Effect:
        """Do the step again that was undone last."""
        if not self.undone:
            raise BadInput("there is nothing to do again")
        patch = self.undone.pop()
        self.done.append(patch)
        return self._put(patch)

    def _put(self, patch: Step, back: bool = False) -> Effect:
        """Do a step, or take it back."""
        if isinstance(patch, Setting):
            self.settings = patch.before if back else patch.after
            return Effect((0, 0, 0, 0), mask=False, settings=True)
        new = patch.before if back else patch.after
        if patch.whole:
            resized = new.shape != self.mask.shape
            named = {nucleus: names[1] for nucleus, names in patch.classes.items()}
            fresh = Told(named, nothing_said(new.shape))
            self._set(new, patch.told if back and patch.told is not None else fresh)
            if patch.names is not None:
                self.name = patch.names[0] if back else patch.names[1]
            return Effect((0, 0, *self.shape), resized, cells=(0, 0, *self.cells.shape[:2]))
        box = (patch.top, patch.left, patch.top + new.shape[0], patch.left + new.shape[1])
        if patch.of_tissue:
            return self._put_cells(new, box)
        ids = np.union1d(patch.before, patch.after)
        ids = ids[ids > 0]
        held = self._reach(np.union1d(ids, np.array(list(patch.classes), np.int32)), box)
        self.mask[box[0] : box[2], box[1] : box[3]] = new
        if new.size:
            describe_again(self.layout, self.mask, ids, held)
        for nucleus, names in patch.classes.items():
            if name := names[0 if back else 1]:
                self.classes[nucleus] = name
            else:
                self.classes.pop(nucleus, None)
        self._class_again(held)
        return Effect(held)

    def _put_cells(self, new: NDArray[np.int8], box: Box) -> Effect:
        self.cells[box[0] : box[2], box[1] : box[3]] = new
        if self.layout.tissue is not None:
            changed = layers_again(self.layout.tissue, self.cells, box)
        else:  # the model takes none: the map is kept for one that does
            top, left, bottom, right = (side * CELL for side in box)
            changed = (top, left, min(bottom, self.shape[0]), min(right, self.shape[1]))
        return Effect(changed, mask=False, cells=box)

    def _class_again(self, box: Box) -> None:
        """Bring the layout's classes up to date in a box."""
        if self.layout.classes is None:
            return
        inner = (slice(box[0], box[2]), slice(box[1], box[3]))
        ids, place = np.unique(self.mask[inner], return_inverse=True)
        numbers = [self.number_of(nucleus) for nucleus in ids.tolist()]
        self.layout.classes[inner] = np.array(numbers, np.uint8)[place.reshape(self.mask[inner].shape)]

    def number_of(self, nucleus: int) -> int:
        """The number of a nucleus' class as the model counts them from 1; 0 for none that the model knows."""
        name = self.classes.get(nucleus, "")
        return self._names.index(name) + 1 if name in self._names else 0

    def _reach(self, ids: NDArray[np.int32], box: Box) -> Box:
        """What holds the pixels of nuclei before and after a step: a nucleus that is cut changes all over."""
        if not np.isin(self.mask, ids).any() if len(ids) else True:
            return box
        top, left, bottom, right = box_of(self.mask, ids.tolist())
        return min(top, box[0]), min(left, box[1]), max(bottom, box[2]), max(right, box[3])

    def _set(self, mask: Mask, told: Told) -> None:
        check_size(mask.shape)
        self.mask = mask.copy()
        self.classes, self.cells = dict(told.classes), told.cells.copy()
        self._describe()

    def _describe(self) -> None:
        layout = describe(self.mask)
        if self._names:
            layout = replace(layout, classes=np.zeros(self.mask.shape, np.uint8), class_names=self._names)
        if self._tells_tissue:
            layout = replace(layout, tissue=np.zeros((*self.shape, TISSUE_LAYERS), np.int8))
        self.layout: Layout = layout
        self._class_again((0, 0, *self.shape))
        if layout.tissue is not None:
            layers_again(layout.tissue, self.cells, (0, 0, *self.cells.shape[:2]))


def check_size(shape: tuple[int, ...]) -> None:
    """Refuse masks that are too small to paint or too large to draw on."""
    if min(shape) < SMALLEST or max(shape) > LARGEST:
        raise BadInput(
            f"found {shape[1]} x {shape[0]} px, expected {SMALLEST} to {LARGEST:,} px a side; cut a part out of it"
        )
