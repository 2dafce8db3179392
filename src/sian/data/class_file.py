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
    from collections.abc import Iterable, Mapping

SUFFIX = ".classes.json"


def classes_of(mask: str | Path) -> dict[int, str] | None:
    """Class name by id of a mask file's nuclei; None if the file has no classes.

    Args:
        mask: the file. ``NAME.classes.json`` beside ``NAME.png`` goes before the item of a data set whose mask it is.

    Raises:
        BadInput: the file is not JSON, or holds something other than ids by class name.
    """
    return classes_of_each([mask])[0]


def classes_of_each(masks: Iterable[str | Path]) -> list[dict[int, str] | None]:
    """`classes_of` for many masks; a data set that they lie in is opened once."""
    opened: dict[Path, dict[str, dict[int, str]]] = {}
    found: list[dict[int, str] | None] = []
    for mask in masks:
        path = Path(mask)
        beside, folder = path.with_name(path.stem + SUFFIX), path.absolute().parent.parent
        if beside.is_file():
            found.append(_parsed(read_json(beside), beside))
            continue
        if folder not in opened:
            items = open_dataset(folder).items if (folder / MANIFEST).is_file() else []
            opened[folder] = {item.mask: item.class_by_id for item in items if item.classes is not None}
        found.append(opened[folder].get(f"{path.absolute().parent.name}/{path.name}"))
    return found


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
            raise BadInput(f"{expected}, found something other than ids under {name!r}")
        checked[str(name)] = ids
    return checked
