"""Shards of images and masks: tar files in WebDataset's manner, read by number without unpacking them.

Members of one name belong together: ``NAME.image.png``, ``NAME.mask.png`` (or ``.mask.tif``) and ``NAME.json``, which
may tell organ and classes. Nothing is unpacked under its own name, so no member's path can lead anywhere.
"""

from __future__ import annotations

import json
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sian.errors import BadInput, first_line
from sian.files.images import decode_image, open_picture
from sian.masks import check_mask, read_mask
from sian.masks.checking import MAX_ID
from sian.torchdata.example import Example

IMAGE_ENDS = (".image.png", ".png")
MASK_ENDS = (".mask.png", ".mask.tif")
MOST_BYTES = 1 << 30  # of one member

Span = tuple[str, int, int]  # member, its first byte in the tar file, its length


@dataclass(frozen=True)
class _Member:
    """The members of one name."""

    shard: Path
    key: str
    mask: Span
    image: Span | None
    facts: Span | None


class Shards:
    """The examples of tar files, in the files' order.

    Args:
        paths: the tar files.

    Raises:
        BadInput: a file is no tar file, or holds an image without a mask, or nothing.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.name = str(paths[0].parent if len(paths) > 1 else paths[0])
        self._members = [member for path in paths for member in _index(path)]
        if not self._members:
            raise BadInput(f"{self.name}: found no masks in the shards, expected members named NAME.mask.png")

    def __len__(self) -> int:
        return len(self._members)

    def shape(self, number: int) -> tuple[int, int]:
        """Height and width, from the mask."""
        height, width = self.read(number).mask.shape
        return height, width

    def read(self, number: int) -> Example:
        """Image and mask of one name."""
        member = self._members[number]
        with member.shard.open("rb") as stream:
            content = {
                part: _bytes(stream, member.shard, span)
                for part, span in (("mask", member.mask), ("image", member.image), ("facts", member.facts))
                if span is not None
            }
        mask = _mask(content["mask"], f"{member.shard}: {member.mask[0]}")
        image = None
        if member.image is not None:
            image = decode_image(content["image"], f"{member.shard}: {member.image[0]}")
            if image.shape[:2] != mask.shape:
                raise BadInput(
                    f"{member.shard}: {member.key} has an image of {image.shape[0]} x {image.shape[1]} and a mask of "
                    f"{mask.shape[0]} x {mask.shape[1]} pixels, expected equal sizes; make the shard again"
                )
        facts = _facts(content.get("facts"), f"{member.shard}: {member.key}.json")
        return Example(mask, image, str(facts.get("organ") or "unknown"), _classes(facts.get("classes")))


def find_shards(paths: Iterable[Path]) -> list[Path]:
    """The tar files among the paths and in the folders named (and in their ``shards``), sorted; empty if none."""
    found: list[Path] = []
    for path in paths:
        folders = [folder for folder in (path, path / "shards") if folder.is_dir()]
        found += sorted(e for f in folders for e in f.glob("*.tar") if not e.name.startswith("."))
        if path.suffix == ".tar" and path.is_file():
            found.append(path)
    return found


def _index(path: Path) -> list[_Member]:
    parts: dict[str, dict[str, Span]] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                part = _part(member.name)
                if member.isreg() and not member.issparse() and part is not None:
                    key, kind = part
                    parts.setdefault(key, {})[kind] = (member.name, member.offset_data, member.size)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise BadInput(
            f"{path}: cannot be read as a tar file ({first_line(error)}); copy it or make it again"
        ) from None
    bare = [key for key, spans in parts.items() if "image" in spans and "mask" not in spans]
    if bare:
        raise BadInput(f"{path}: found an image without a mask ({bare[0]}), expected {bare[0]}.mask.png; make it again")
    return [
        _Member(path, key, spans["mask"], spans.get("image"), spans.get("json"))
        for key, spans in parts.items()
        if "mask" in spans
    ]


def _part(name: str) -> tuple[str, str] | None:
    """The key and the kind of a member."""
    for kind, ends in (("mask", MASK_ENDS), ("image", IMAGE_ENDS), ("json", (".json",))):
        for end in ends:
            if name.endswith(end):
                return name.removesuffix(end), kind
    return None


def _bytes(stream: Any, shard: Path, span: Span) -> bytes:
    name, start, length = span
    if length > MOST_BYTES:
        raise BadInput(f"{shard}: {name} has {length:,} bytes, expected at most {MOST_BYTES:,}; make the shard again")
    stream.seek(start)
    content: bytes = stream.read(length)
    if len(content) < length:
        raise BadInput(f"{shard}: is cut short inside {name}; copy it or make it again")
    return content


def _mask(content: bytes, name: str) -> Any:
    if not name.endswith(".tif"):
        with open_picture(Path(name), ("PNG",), content=content) as picture:
            return check_mask(np.array(picture), name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.tif"
        path.write_bytes(content)
        return read_mask(path)


def _facts(content: bytes | None, name: str) -> dict[str, Any]:
    try:
        facts = json.loads(content or b"{}")
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{name}: is not JSON ({first_line(error)}); make the shard again") from None
    if not isinstance(facts, dict):
        raise BadInput(f"{name}: expected an object, found {type(facts).__name__}; make the shard again")
    return facts


def _classes(found: Any) -> dict[int, str]:
    """Class name by id, of what the JSON says; what is none is left out."""
    if not isinstance(found, dict):
        return {}
    listed = ((name, ids) for name, ids in found.items() if isinstance(ids, list))
    return {number: name for name, ids in listed for number in ids if isinstance(number, int) and 0 < number <= MAX_ID}
