"""``type_info.json``: the names of class numbers, as HoVer-Net's tools read them: {"1": ["name", [r, g, b]]}."""

from __future__ import annotations

import colorsys
import json
from typing import TYPE_CHECKING

from sian.errors import BadInput
from sian.files.jsonfiles import read_json

if TYPE_CHECKING:
    from pathlib import Path

TYPE_INFO = "type_info.json"
LEVELS_UP = 3  # folders above an annotation in which the file is looked for
UNNAMED = "type {}"  # a class number that has no name


def write_type_info(folder: Path, names: list[str]) -> None:
    """Write the names of classes 1, 2, ...; 0 is what HoVer-Net calls "nolabe"."""
    entries = {"0": ["nolabe", [0, 0, 0]]} | {
        str(number): [name, class_colour(number - 1, len(names))] for number, name in enumerate(names, start=1)
    }
    (folder / TYPE_INFO).write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


def class_colour(number: int, count: int) -> list[int]:
    """A colour for class `number` of `count`: hues as far apart as they can be."""
    return [round(255 * part) for part in colorsys.hsv_to_rgb(number / max(count, 1), 0.8, 0.9)]


def name_types(annotation: Path, numbers: dict[int, int]) -> dict[int, str]:
    """Class names by nucleus id, from class numbers and the ``type_info.json`` near the annotation.

    Without that file a class is called after its number.

    Raises:
        BadInput: the file is there and lacks the name of a number.
    """
    if not numbers:
        return {}
    names = _names_near(annotation)
    strange = sorted(set(numbers.values()) - set(names)) if names else []
    if strange:
        raise BadInput(
            f"{annotation}: found the class number {strange[0]}, which {TYPE_INFO} has no name for (it has "
            f"{', '.join(map(str, sorted(names)))}); add it there"
        )
    return {nucleus: names.get(number, UNNAMED.format(number)) for nucleus, number in numbers.items()}


def _names_near(annotation: Path) -> dict[int, str]:
    for folder in annotation.absolute().parents[:LEVELS_UP]:
        if (folder / TYPE_INFO).is_file():
            return _read(folder / TYPE_INFO)
    return {}


def _read(path: Path) -> dict[int, str]:
    content = read_json(path)
    try:
        names = {int(number): entry[0] for number, entry in content.items()}
    except (AttributeError, ValueError, TypeError, IndexError, KeyError) as error:
        raise BadInput(f'{path}: expected {{"1": ["name", [r, g, b]]}}, found something else; repair it') from error
    if not all(isinstance(name, str) and name.strip() for name in names.values()):
        raise BadInput(f"{path}: found a class without a name, expected one for each number; name it")
    return names
