"""The items of a shard: which members of a tar file belong together, and what they hold.

The rule is WebDataset's: a name goes up to the first dot behind its last slash, and what follows says what the member
is. Images are ``NAME.image.png`` or ``NAME.png`` (jpg, webp), masks ``NAME.mask.png16``, ``.mask.png`` or
``.mask.tif``, and ``NAME.json`` is what is known of them. Members of other kinds are left alone.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sian.errors import BadInput, first_line
from sian.files.images import decode_image
from sian.files.tar import Member, read_members
from sian.masks.files import decode_mask_png, read_mask

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PICTURES = ("png", "jpg", "jpeg", "webp")
IMAGE_KEYS = (*(f"image.{ending}" for ending in PICTURES), *PICTURES)
MASK_KEYS = ("mask.png16", "mask.png", "mask.tif")  # the last for ids beyond 65,535
RECORD_KEYS = ("json",)
MAX_RECORD_BYTES = 16 << 20  # ids by class of a million nuclei
ENDINGS = tuple(f".{key}" for key in (*PICTURES, *MASK_KEYS, *RECORD_KEYS))
KINDS = {"image": IMAGE_KEYS, "mask": MASK_KEYS, "record": RECORD_KEYS}


@dataclass(frozen=True)
class ShardItem:
    """Members of one name.

    Attributes:
        name: without the folders that it lies in.
        image: None where the shard holds masks alone.
        mask: None where the shard holds images alone.
        record: what is known of them, as JSON.
    """

    name: str
    image: Member | None = None
    mask: Member | None = None
    record: Member | None = None


def read_items(path: Path, content: bytes | None = None) -> list[ShardItem]:
    """The items of a shard, in its order; with `content` nothing is read from disk, and `path` is only a name.

    Raises:
        BadInput: not a whole tar file, two images or masks of one name, or a name with a dot, which would be cut there.
    """
    parts: dict[str, dict[str, Member]] = {}
    for member in read_members(path, content, _may_be_ours):
        folder, _, file = member.name.rpartition("/")
        name, _, key = file.partition(".")
        key = key.lower()
        kind = next((kind for kind, keys in KINDS.items() if key in keys), None)
        if kind is None:
            _check_no_dot(member, key)
        else:
            of_item = parts.setdefault(f"{folder}/{name}", {})
            if kind in of_item:
                raise BadInput(f"{member}: found {of_item[kind].name} beside it, expected one {kind} a name; keep one")
            of_item[kind] = member
    return [ShardItem(name.rpartition("/")[2], **members) for name, members in parts.items()]


def _may_be_ours(name: str) -> bool:
    """Whether a name ends as those of items do. One that starts with a dot is a program's own, as ._NAME of macOS."""
    file = name.rpartition("/")[2].lower()
    return not file.startswith(".") and file.endswith(ENDINGS)


def _check_no_dot(member: Member, key: str) -> None:
    whole = next((ending for ending in ("image.png", *MASK_KEYS) if key.endswith(f".{ending}")), None)
    if whole is not None:
        raise BadInput(
            f"{member}: found a dot before .{whole}, expected a name without dots, at the first of which WebDataset "
            "cuts; make the shard again"
        )


def read_picture(member: Member) -> npt.NDArray[np.uint8]:
    """An item's image: (H, W, 3) uint8."""
    return decode_image(member.read(), str(member))


def read_ids(member: Member) -> npt.NDArray[np.int32]:
    """An item's mask: (H, W) int32."""
    return decode_ids(member.read(), str(member))


def decode_ids(content: bytes, name: str) -> npt.NDArray[np.int32]:
    """A mask from a member's bytes; `name` is the member's, whose ending tells PNG from TIFF."""
    if not name.lower().endswith(".tif"):
        return decode_mask_png(content, name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.tif"
        path.write_bytes(content)
        try:
            return read_mask(path, numbered=True)
        except BadInput as error:
            raise BadInput(str(error).replace(str(path), name)) from None


def read_record(member: Member | None) -> dict[str, Any]:
    """An item's JSON as it is; {} where there is none.

    Raises:
        BadInput: not one JSON object.
    """
    if member is None:
        return {}
    if member.length > MAX_RECORD_BYTES:
        raise BadInput(f"{member}: found {member.length:,} bytes, expected at most {MAX_RECORD_BYTES:,} of JSON")
    try:
        found = json.loads(member.read())
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{member}: is not JSON ({first_line(error)}); make the shard again") from None
    if not isinstance(found, dict):
        raise BadInput(f"{member}: expected an object, found {type(found).__name__}; make the shard again")
    return found
