"""``manifest.jsonl``: one line a shard, written when the shard's files are whole; the line is what makes it exist.

A line says: shard, files, their bytes, their SHA-256, the version of SIAN that made it, a record of every image kept
("items"), of every image that the gate refused ("rejected", with the reason) and of every one that could not be made
("failed"). A killed writer leaves at most an unfinished last line, which is cut off. A complete data set has its lines
in order.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sian.data.dataset import ITEMS, Item, complete_lines
from sian.errors import BadInput
from sian.files import write_text

MANIFEST = "manifest.jsonl"


class ShardLine(BaseModel):
    """One line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shard: int = Field(ge=0)
    files: list[str]
    bytes: list[int]
    sha256: str
    version: str = ""  # the first versions did not say
    items: list[dict[str, Any]]
    rejected: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if len(self.files) != len(self.bytes):
            raise ValueError(f"found {len(self.files)} files and sizes of {len(self.bytes)}")
        for record in self.items:
            Item.model_validate(_of_item(record))  # ids are names, and paths stay in the folder
        return self

    def is_there(self, folder: Path) -> bool:
        """Whether its files are there and of the right size; contents are `verify`'s affair."""
        try:
            return all((folder / f).stat().st_size == n for f, n in zip(self.files, self.bytes, strict=True))
        except OSError:
            return False

    def text(self) -> str:
        """The line."""
        return json.dumps(self.model_dump(), ensure_ascii=False, allow_nan=False) + "\n"

    def item_lines(self) -> str:
        """The lines of its items in a data set's ``items.jsonl``."""
        return "".join(json.dumps(_of_item(record), ensure_ascii=False) + "\n" for record in self.items)


class Manifest:
    """The shards of a folder that exist.

    Args:
        folder: of the data set.
        with_items: whether ``items.jsonl`` is kept as well, for the form that is a data set of folders.

    Attributes:
        lines: by number of the shard.
    """

    def __init__(self, folder: Path, with_items: bool = False) -> None:
        self.folder, self.with_items = folder, with_items
        self.path = folder / MANIFEST
        self._text = _read(self.path)
        self.lines: dict[int, ShardLine] = {}
        self._texts: dict[int, str] = {}
        for number, text in enumerate(complete_lines(self._text), start=1):
            line = self._parsed(number, text)
            self.lines[line.shard], self._texts[line.shard] = line, text + "\n"

    def repair(self, keep: set[int]) -> None:
        """Cut off what a killed writer left, and forget all shards but those of `keep`."""
        self.lines = {number: line for number, line in self.lines.items() if number in keep}
        self._write_if_changed()
        self._write_items_if_changed()

    def add(self, line: ShardLine) -> None:
        """Make a shard exist."""
        text = line.text()
        _append(self.path, text)
        self._text += text
        self.lines[line.shard], self._texts[line.shard] = line, text
        if self.with_items:
            _append(self.folder / ITEMS, line.item_lines())

    def finish(self) -> None:
        """Put the lines in order."""
        self.lines = dict(sorted(self.lines.items()))
        if self._write_if_changed():
            self._write_items_if_changed()

    def _write_if_changed(self) -> bool:
        text = "".join(self._texts[number] for number in self.lines)
        if text == self._text:
            return False
        write_text(self.path, text)
        self._text = text
        return True

    def _write_items_if_changed(self) -> None:
        if not self.with_items:
            return
        items = "".join(line.item_lines() for line in self.lines.values())
        if items != _read(self.folder / ITEMS):
            write_text(self.folder / ITEMS, items)

    def _parsed(self, number: int, text: str) -> ShardLine:
        try:
            return ShardLine.model_validate_json(text)
        except ValidationError as error:
            problem = error.errors()[0]
            raise BadInput(
                f"{self.path}, line {number}: {'.'.join(map(str, problem['loc'])) or 'the line'}: {problem['msg']}; "
                "expected what `sian dataset` wrote; remove that line, and its shard is made again"
            ) from None


def _of_item(record: dict[str, Any]) -> dict[str, Any]:
    """What of a record stands in a data set's ``items.jsonl``."""
    return {key: value for key, value in record.items() if key in Item.model_fields}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as UTF-8 text; expected a manifest of `sian dataset`") from error


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8", newline="\n") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
