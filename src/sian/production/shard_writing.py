"""Shards: some hundred finished images as one WebDataset tar, or as files of a data set's folders.

The bytes depend on the images alone. A shard is first written whole;
what makes it exist is its line in the manifest (`sian.production.manifest`).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Protocol

from sian.data.formats.webdataset import Packed, tar_bytes
from sian.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sian.production.worker import Made

FOLDER = "shards"


class Form(Protocol):
    """How shards lie on disk."""

    def write(self, name: str, images: list[Made]) -> dict[str, Any]:
        """Write a shard; returns what its line says of its files: "files", "bytes" of each, "sha256" over all."""


class TarShards:
    """``shards/NAME.tar`` with ID.image.png, ID.mask.png16 and ID.json."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, images: list[Made]) -> dict[str, Any]:
        """Write a shard; see `Form`."""
        content = tar_bytes(Packed(made.item.id, made.image, made.mask, made.record) for made in images)
        path = f"{FOLDER}/{name}.tar"
        write_bytes(self.folder / path, content)
        return files_line([(path, content)])


class FolderShards:
    """``images/ID.png`` and ``masks/ID.png``: the data set that `sian.open_dataset` opens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, images: list[Made]) -> dict[str, Any]:  # noqa: ARG002 - the shape of `Form.write`
        """Write a shard; see `Form`."""
        contents = [file for made in images for file in ((made.item.image, made.image), (made.item.mask, made.mask))]
        for path, content in contents:
            write_bytes(self.folder / path, content)
        return files_line(contents)


FORMS: dict[str, type[TarShards] | type[FolderShards]] = {"tar": TarShards, "folders": FolderShards}


def files_line(contents: Iterable[tuple[str, bytes]]) -> dict[str, Any]:
    """What a manifest's line says of a shard's files."""
    contents = list(contents)
    digest = hashlib.sha256(b"".join(content for _, content in contents)).hexdigest()
    return {
        "files": [path for path, _ in contents],
        "bytes": [len(content) for _, content in contents],
        "sha256": digest,
    }
