"""The classes of a mask file's nuclei: ``NAME.classes.json`` beside it, or its item in a data set.

{"neoplastic": [1, 7], "dead": [2]}     ids by class name, as items of a data set have them
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sian.data.dataset import MANIFEST, open_dataset
from sian.errors import BadInput
from sian.files.jsonfiles import read_json
from sian.masks.checking import MAX_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

SUFFIX = ".classes.json"


def classes_of(mask: str | Path) -> dict[int, str] | None:
    """Class name by id of a mask file's nuclei; None if nobody said.

    Args:
        mask: the file. ``NAME.classes.json`` beside ``NAME.png`` goes before the item of a data set whose mask it is.

    Raises:
        BadInput: the JSON is none, or holds something else than ids by class name.
    """
    path = Path(mask)
    beside = path.with_name(path.stem + SUFFIX)
    if beside.is_file():
        return _parsed(read_json(beside), beside)
    folder = path.absolute().parent.parent
    if not (folder / MANIFEST).is_file():
        return None
    inside = f"{path.absolute().parent.name}/{path.name}"
    item = next((item for item in open_dataset(folder) if item.mask == inside), None)
    return item.class_by_id if item is not None and item.classes is not None else None


def _parsed(content: object, path: Path) -> dict[int, str]:
    expected = f'{path}: expected ids by class name, e.g. {{"neoplastic": [1, 7], "dead": [2]}}'
    if not isinstance(content, dict):
        raise BadInput(f"{expected}, found {type(content).__name__}")
    found: dict[int, str] = {}
    for name, ids in _sorted(content, expected).items():
        for number in ids:
            if number in found:
                raise BadInput(f"{path}: nucleus {number} is in two classes, {found[number]!r} and {name!r}")
            found[number] = name
    return found


def _sorted(content: Mapping[object, object], expected: str) -> dict[str, list[int]]:
    """The content, checked entry by entry."""
    checked: dict[str, list[int]] = {}
    for name, ids in content.items():
        if not str(name).strip():
            raise BadInput(f"{expected}, found a class without a name for {ids!r}")
        if not isinstance(ids, list):
            raise BadInput(f"{expected}, found {name!r}: {ids!r}; class numbers need names")
        if not all(isinstance(number, int) and 0 < number <= MAX_ID for number in ids):
            raise BadInput(f"{expected}, found an id that is none under {name!r}")
        checked[str(name)] = ids
    return checked
