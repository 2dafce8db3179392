"""Is every shard as it was written? Hashes of files, and of every image's and mask's pixels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sian.data.formats.shard_items import decode_ids, read_items
from sian.errors import BadInput
from sian.files import sha256_array, sha256_pixels
from sian.files.images import decode_image
from sian.production.manifest import Manifest, ShardLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes:
        shards: that the manifest lists.
        images: whose pixels were hashed.
        problems: a sentence for each shard that is not as it was written.
    """

    shards: int
    images: int
    problems: list[str]


def verify(folder: str | Path, report: Report | None = None) -> Verification:
    """Hash everything that the manifest of a data set lists; writes nothing.

    Args:
        folder: of `sian dataset`.
        report: called with (shards done, shards in all).

    Raises:
        BadInput: no manifest there, or a damaged one.
    """
    folder = Path(folder)
    manifest = Manifest(folder)
    if not len(manifest):
        raise BadInput(f"{folder}: found no manifest with shards, expected a folder of `sian dataset`; check the path")
    problems, images = [], 0
    for done, line in enumerate(manifest.lines(), start=1):
        problem = _problem(folder, line)
        if problem:
            problems.append(f"shard {line.shard}: {problem}")
        else:
            images += len(line.items)
        if report:
            report(done, len(manifest))
    return Verification(len(manifest), images, problems)


def _problem(folder: Path, line: ShardLine) -> str:
    """Why a shard is not as it was written; "" if it is."""
    digest = hashlib.sha256()
    contents: dict[str, bytes] = {}
    for name in line.files:
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            return f"{name} cannot be read ({error.strerror or error})"
        digest.update(content)
        contents[name] = content
    if digest.hexdigest() != line.sha256:
        return (
            f"{', '.join(line.files[:1])}: found SHA-256 {digest.hexdigest()[:12]}..., expected {line.sha256[:12]}..."
        )
    try:
        found = {(name, kind): sha for name, kind, sha in _pixels(contents)}
    except (BadInput, KeyError) as error:
        return str(error)
    for record in line.items:
        for kind in ("image", "mask"):
            if found.get((record["id"], kind)) != record[f"sha256_{kind}"]:
                return f"the pixels of {record['id']}'s {kind} are not the ones that the manifest lists"
    return ""


def _pixels(contents: dict[str, bytes]) -> Iterator[tuple[str, str, str]]:
    """Id, "image" or "mask", and SHA-256 of the pixels, of every picture in a shard's files."""
    for name, content in contents.items():
        if name.endswith(".tar"):
            for item in read_items(Path(name), content):
                for kind, member in (("image", item.image), ("mask", item.mask)):
                    if member is not None:
                        part = content[member.start : member.start + member.length]
                        yield item.name, kind, _hash(kind, part, member.name)
        else:
            kind = "image" if name.startswith("images/") else "mask"
            yield Path(name).stem, kind, _hash(kind, content, name)


def _hash(kind: str, content: bytes, name: str) -> str:
    if kind == "image":
        return sha256_pixels(decode_image(content, name))
    return sha256_array(decode_ids(content, name))
