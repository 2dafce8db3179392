"""What the names of tiles' files tell: which is a picture, which an annotation, and which belong together.

Names are compared composed (NFC): macOS writes the two dots of a letter apart.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from sian.data.formats import ANNOTATION_READERS, hovernet_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MASK_MARKS = tuple(
    mark + word
    for mark in ("_", "-")
    for word in ("labels", "label", "labelled", "labeled", "masks", "mask")  # QuPath's tiles have -labelled
)
OUTLINE_SUFFIXES = (".xml.gz", ".xml", *ANNOTATION_READERS)
_MARK = re.compile(f"(.+)(?:{'|'.join(map(re.escape, MASK_MARKS))})", re.IGNORECASE | re.DOTALL)


def composed(name: str) -> str:
    r"""A name with composed letters (NFC).

    >>> composed("Mu\u0308ller") == "M\u00fcller"
    True
    """
    return unicodedata.normalize("NFC", name)


def full_stem(path: Path) -> str:
    """A name without its ending, composed."""
    name = path.name
    for ending in (*OUTLINE_SUFFIXES, path.suffix):
        if ending and name.lower().endswith(ending.lower()):
            return composed(name[: -len(ending)])
    return composed(name)


def unmarked(stem: str) -> str:
    """A stem without the mark of a mask, if it has one.

    >>> unmarked("a_labels"), unmarked("slide [x=0,y=0]-labelled"), unmarked("a")
    ('a', 'slide [x=0,y=0]', 'a')
    """
    found = _MARK.fullmatch(stem)
    return found[1] if found else stem


def listing(folder: Path) -> dict[str, Path]:
    """The files of a folder by their composed names; nothing if there is no such folder."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return {composed(file.name): file for file in files if file.is_file()}


def find_beside(files: dict[str, Path], name: str, endings: Iterable[str]) -> Path | None:
    """The first of a folder's files (see `listing`) that has this name and one of the endings, in their order."""
    found = (files[composed(name + end)] for end in endings if composed(name + end) in files)
    return next((file for file in found if not is_other_json(file)), None)


def is_other_json(path: Path) -> bool:
    """Whether a file is JSON, but no annotation: notes and records are called NAME.json as well."""
    return path.suffix.lower() == ".json" and not hovernet_json.is_one(path)
