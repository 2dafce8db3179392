"""``provenance.json``: where exported files come from, item by item, so that nothing a format can't hold is lost.

Every export writes one beside its files; an import that finds one takes organs, splits, patients, models, seeds and
the rest from it. It holds what ``dataset.json`` and ``items.jsonl`` hold.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sian.data.dataset import DatasetInfo, Item
from sian.errors import BadInput
from sian.files import sha256_array
from sian.files.jsonfiles import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from sian.data.pairs import Annotated, Collection, Pair

PROVENANCE = "provenance.json"
PER_ITEM = ("organ", "split", "preparation", "patient", "mpp", "source")  # fields that `Pair` has as well
FURTHER = ("overlaps", "lost_pixels", "left_out", "model", "style", "seed", "plan")


class Provenance(BaseModel):
    """The content of ``provenance.json``.

    Attributes:
        format: always "sian.provenance/1".
        layout: the name of the format that the files beside it are in.
        losses: what that format can't hold, in words.
        dataset: what ``dataset.json`` said.
        items: what ``items.jsonl`` said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["sian.provenance/1"] = "sian.provenance/1"
    layout: str
    losses: str = ""
    dataset: DatasetInfo
    items: list[Item] = Field(default_factory=list)

    def ids(self, split: str) -> list[str]:
        """The ids of a split, in the order of the data set."""
        return [item.id for item in self.items if item.split == split]


def read_provenance(folder: Path) -> Provenance | None:
    """Read a folder's ``provenance.json``, if it has one.

    Raises:
        BadInput: it is broken.
    """
    path = folder / PROVENANCE
    if not path.is_file():
        return None
    content = read_json(path)
    try:
        return Provenance.model_validate(content)
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(map(str, detail["loc"]))
        raise BadInput(
            f"{path}: {where or 'the file'}: {detail['msg']}; expected what `sian data export` wrote; "
            "export again, or remove the file to import without it"
        ) from error


def with_provenance(collection: Collection, provenance: Provenance) -> Collection:
    """Fill in what a ``provenance.json`` tells of the whole set and of each item."""
    items = {item.id: item for item in provenance.items}
    info = provenance.dataset
    return replace(
        collection,
        name=info.name,
        pairs=tuple(_told(pair, items[pair.id]) if pair.id in items else pair for pair in collection.pairs),
        licence=info.licence,
        source=info.source,
        synthetic=info.synthetic,
        classes=tuple(info.classes),
        mpp=info.mpp,
    )


def _told(pair: Pair, item: Item) -> Pair:
    further: dict[str, Any] = {key: getattr(item, key) for key in FURTHER}
    further |= {"classes": item.classes, "sha256_mask": item.sha256_mask}
    known: dict[str, Any] = {key: getattr(item, key) for key in PER_ITEM}
    return replace(pair, **known, facts=further)


def restored(annotated: Annotated, told: Mapping[str, Any]) -> tuple[dict[str, Any], dict[int, str]]:
    """What to say of an item: what its annotation tells, completed by what its provenance tells.

    Classes that the format can't hold are taken from the provenance only while the mask is still the same.
    """
    facts = {**{key: value for key, value in told.items() if key in FURTHER and value is not None}, **annotated.facts}
    for key in ("overlaps", "lost_pixels"):  # an export has none of its own
        facts[key] = facts.get(key) or told.get(key) or 0
    facts["left_out"] = dict(annotated.left_out) or told.get("left_out")
    facts["dropped_regions"] = sum((facts["left_out"] or {}).values()) or told.get("dropped_regions") or 0
    classes = dict(annotated.classes)
    if not classes and told.get("classes") and is_same(annotated.mask, told["sha256_mask"]):
        classes = {number: name for name, ids in told["classes"].items() for number in ids}
    return facts, classes


def is_same(mask: npt.NDArray[np.int32], sha256: str | None) -> bool:
    """Whether a mask is the one of which a provenance tells."""
    return sha256 is not None and sha256_array(mask) == sha256


def item_origin(item: Item, info: DatasetInfo) -> dict[str, Any]:
    """Where one item comes from, as plain JSON values, for a format's own metadata; what is unknown is left out."""
    origin = {
        "software": "sian",
        "synthetic": info.synthetic,
        "licence": info.licence,
        "dataset": info.name,
        "source": item.source or info.source,
        "organ": item.organ,
        "preparation": item.preparation,
        "mpp": item.mpp,
        "model": item.model,
        "style": item.style,
        "seed": item.seed,
        "plan": item.plan,
    }
    return {key: value for key, value in origin.items() if value not in (None, "")}


def origin_text(item: Item, info: DatasetInfo) -> dict[str, str]:
    """The same as text for PNG chunks, MAT variables and OME annotations."""
    origin = item_origin(item, info)
    return {key.capitalize(): value if isinstance(value, str) else json.dumps(value) for key, value in origin.items()}
