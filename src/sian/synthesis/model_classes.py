"""Nuclear classes for a model that was trained with some: every mask has to come with them, in the model's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from sian.errors import BadInput, warn
from sian.layout import Layout, describe
from sian.layout.class_map import as_numbered

if TYPE_CHECKING:
    from numpy.typing import NDArray

Classes: TypeAlias = Mapping[int, str]  # class name by id of a mask's nuclei


def with_classes(
    mask: NDArray[np.int32] | Layout, names: Sequence[str], classes: Classes | None = None
) -> NDArray[np.int32] | Layout:
    """A mask as a model with these classes takes it.

    Args:
        mask: ids, or a layout.
        names: the model's classes; for none the mask is as it was.
        classes: class name by id; a layout brings its own.

    Raises:
        BadInput: the model has classes and the mask has none, or one that the model does not know, or of a nucleus that
            is not there; or classes were given beside a layout.

    Warns:
        SianWarning: some nuclei have no class.
    """
    if classes is not None and isinstance(mask, Layout):
        raise BadInput(
            "classes: found some beside a layout, which brings its own; give them to sian.describe, or give the mask"
        )
    if not names:
        return mask
    if classes is not None and not isinstance(mask, Layout):
        mask = describe(mask, classes)
    if not isinstance(mask, Layout) or mask.classes is None:
        if not (mask.semantic if isinstance(mask, Layout) else mask).any():
            return mask  # background needs no classes
        raise without_classes(names)
    numbered = as_numbered(mask.classes, mask.class_names, names)
    if bool((mask.semantic & (numbered == 0)).any()):
        warn("some nuclei have no class; the model chooses how they look")
    return replace(mask, classes=numbered, class_names=tuple(names))


def without_classes(names: Sequence[str]) -> BadInput:
    """What is said of a mask without classes to a model that wants them."""
    return BadInput(
        f"this model was trained with nuclear classes ({', '.join(names)}), found a mask without; give them by "
        "sian.describe(mask, classes={id: name}), on the command line as NAME.classes.json beside the mask "
        '({"NAME": [ids], ...}), take a mask of a data set that has classes, or GeoJSON with classifications'
    )


def classes_of_each(classes: Classes | Sequence[Classes | None] | None, count: int | None) -> list[Classes | None]:
    """The classes that were given, mask by mask; None where none were.

    Args:
        classes: of one mask, or a list.
        count: of how many masks; None if it was one that is not in a list.
    """
    several: list[Classes | None] = [*classes] if isinstance(classes, Sequence) else [classes]
    if classes is None:
        return several * (1 if count is None else count)
    if isinstance(classes, Sequence) != (count is not None) or len(several) != (count or 1):
        raise BadInput(
            "classes: expected {id: name} for a mask, and a list of as many for a list of masks, found "
            f"{len(several)} for {count or 1}; give one for each, None where there is none"
        )
    return several


def left_over(classes: Classes | None, before: NDArray[np.int32], after: NDArray[np.int32]) -> dict[int, str] | None:
    """The classes of a mask's nuclei but for those that rescaling it lost; ids that it never held stay, to be refused.

    Args:
        classes: class name by id, or None without classes.
        before: (H, W) ids.
        after: the same mask, rescaled.

    >>> left_over({1: "dead", 2: "dead"}, np.array([[1, 2, 2]]), np.array([[2]]))
    {2: 'dead'}
    """
    if classes is None:
        return None
    lost = set(np.unique(before).tolist()) - set(np.unique(after).tolist())
    return {number: name for number, name in classes.items() if number not in lost}
