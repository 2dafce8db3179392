"""Nuclear classes as a map: what kind of nucleus each pixel belongs to, where somebody said.

The paper has none; a recipe can give them to the generator beside the semantic mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MOST_CLASSES = 255


def class_map(
    mask: NDArray[Any], classes: Mapping[int, str], class_names: Sequence[str] | None = None
) -> dict[str, Any]:
    """The fields `classes` and `class_names` of a `Layout`.

    Args:
        mask: (H, W) integer ids.
        classes: class name by id; nuclei that are left out have none.
        class_names: the order in which classes are numbered from 1; by default that of the alphabet.

    Raises:
        BadInput: an id that the mask does not hold, a class without a name, or one that is not among `class_names`.

    >>> class_map(np.array([[0, 4, 9]]), {4: "dead"})["classes"].tolist()
    [[0, 1, 0]]
    """
    bare = [number for number, name in classes.items() if not str(name).strip() or str(name) != name]
    if bare:
        raise BadInput(
            f"nucleus {bare[0]}: its class has no name (found {classes[bare[0]]!r}); give names, e.g. "
            f'{{{bare[0]}: "neoplastic"}}'
        )
    names = tuple(class_names if class_names is not None else sorted(set(classes.values())))
    if len(names) > MOST_CLASSES:
        raise BadInput(f"found {len(names)} classes, expected at most {MOST_CLASSES}; join some")
    strange = sorted(set(classes.values()) - set(names))
    if strange:
        raise BadInput(f"found the class {strange[0]!r}{nearest(strange[0], names)}")
    ids, place = np.unique(mask, return_inverse=True)
    missing = set(classes) - set(ids.tolist()) | (set(classes) & {0})
    if missing:
        raise BadInput(f"found a class for nucleus {min(missing)}, which the mask does not hold; check the ids")
    numbers = np.array([names.index(classes[number]) + 1 if number in classes else 0 for number in ids.tolist()])
    return {"classes": numbers.astype(np.uint8)[place.reshape(mask.shape)], "class_names": names}


def as_numbered(layout_classes: NDArray[np.uint8], names: Sequence[str], wanted: Sequence[str]) -> NDArray[np.uint8]:
    """A class map with its numbers as another list of names has them.

    Raises:
        BadInput: a name that occurs in the map is not in that list.
    """
    used = {names[number - 1] for number in np.unique(layout_classes).tolist() if number}
    if strange := sorted(used - set(wanted)):
        raise BadInput(f"found the class {strange[0]!r}{nearest(strange[0], wanted)}")
    table = np.array([0, *(list(wanted).index(name) + 1 if name in used else 0 for name in names)], np.uint8)
    renumbered: NDArray[np.uint8] = table[layout_classes]
    return renumbered
