"""Turn annotated tiles as they come into a data set on disk (DESIGN section 3).

Everything is read and checked before anything is written, and all problems are named in one go. Then item
after item is written; a rerun continues where a killed one stopped, and redoes only what changed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sian.data.dataset import ID_PATTERN, PREPARATIONS, Dataset, DatasetInfo, Item, open_dataset
from sian.data.imagescope import read_imagescope
from sian.data.sources import Collection, Pair, find_pairs
from sian.data.writing import DatasetWriter, check_target, is_intact
from sian.errors import BadInput, nearest
from sian.files import read_image, sha256_file, sha256_pixels
from sian.masks import decode_mask_png, encode_mask_png, nucleus_ids, rasterize, read_mask
from sian.masks.files import MAX_PNG_ID

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

MAX_PROBLEMS = 20  # that are spelt out


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes:
        folder: the data set.
        items: all items that the source gave, in its order.
        added: how many were written now.
        kept: how many were there already, made from the same files and intact.
        vanished: by item, outlines that own no pixel (outside the tile, or covered by earlier ones), where
            there are any among the items written now.
    """

    folder: Path
    items: tuple[Item, ...]
    added: int
    kept: int
    vanished: dict[str, int]

    @property
    def nuclei(self) -> int:
        """Nuclei in all items together."""
        return sum(item.nuclei for item in self.items)


@dataclass(frozen=True)
class _Checked:
    """A pair that was read and found good; its mask is kept packed until it is written."""

    pair: Pair
    sha256_source: str
    mask: bytes | npt.NDArray[np.int32]
    facts: dict[str, Any]
    vanished: int


def import_dataset(
    source: str | Path,
    target: str | Path,
    *,
    organ: str | None = None,
    split: str | None = None,
    mpp: float | None = None,
    preparation: str | None = None,
    name: str | None = None,
    licence: str | None = None,
    report: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Import a folder of annotated tiles, or one tile, into a data set on disk.

    Args:
        source: a folder in one of the layouts of `sian.data.sources`, or one image with its annotation
            beside it.
        target: the data set; new, empty, or the result of an earlier import of the same source.
        organ: for all items, whatever else is known of them.
        split: likewise.
        mpp: likewise, micrometres per pixel.
        preparation: likewise, "ffpe", "frozen" or "unknown".
        name: of the data set; by default MoNuSeg, or the folder's name.
        licence: of the data set, if its source does not tell.
        report: called with (done, total); each item counts twice, once checked and once written.

    Raises:
        BadInput: all problems of the source, in one sentence; then nothing was written.
    """
    target = Path(target)
    _check_given(organ, split, preparation)
    collection = find_pairs(Path(source))
    given = {"organ": organ, "split": split, "mpp": mpp, "preparation": preparation}
    given = {key: value for key, value in given.items() if value is not None}
    info = _info(collection, name, licence, mpp)
    check_target(target, info)
    checked = _check_all(collection, target, given, report)
    return _write_all(collection, target, info, checked, report)


def _check_given(organ: str | None, split: str | None, preparation: str | None) -> None:
    if preparation is not None and preparation not in PREPARATIONS:
        raise BadInput(f"unknown preparation {preparation!r}{nearest(preparation, PREPARATIONS)}")
    for key, value in (("organ", organ), ("split", split)):
        if value is not None and (not value.strip() or value != value.strip().lower()):
            raise BadInput(f"{key} {value!r}: expected a name in lower case, such as {value.strip().lower()!r}")


def _info(collection: Collection, name: str | None, licence: str | None, mpp: float | None) -> DatasetInfo:
    known = {pair.mpp for pair in collection.pairs}
    return DatasetInfo(
        name=name or collection.name,
        mpp=mpp or (known.pop() if len(known) == 1 else None),
        licence=licence or collection.licence,
        source=collection.source,
    )


def _check_all(
    collection: Collection, target: Path, given: dict[str, Any], report: Callable[[int, int], None] | None
) -> list[_Checked | None]:
    """Read every pair; None stands for one that is in the target already."""
    existing = open_dataset(target) if (target / "dataset.json").is_file() else None
    checked: list[_Checked | None] = []
    problems: list[str] = []
    for number, pair in enumerate(collection.pairs, start=1):
        try:
            checked.append(_check(pair, existing, given))
        except BadInput as problem:
            problems.append(str(problem))
        if report:
            report(number, 2 * len(collection.pairs))
    if problems:
        more = f"; and {len(problems) - MAX_PROBLEMS} more" if len(problems) > MAX_PROBLEMS else ""
        raise BadInput("; ".join(problems[:MAX_PROBLEMS]) + more)
    return checked


def _check(pair: Pair, existing: Dataset | None, given: dict[str, Any]) -> _Checked | None:
    if not ID_PATTERN.fullmatch(pair.id):
        raise BadInput(
            f"{pair.image}: the name has unusual characters; expected letters, digits, ._- and spaces; rename it"
        )
    sha256_source = _hash_source(pair, given)
    if existing is not None and _is_done(existing, pair.id, sha256_source):
        return None
    image = read_image(pair.image)
    height, width = image.shape[:2]
    if pair.sha256_pixels is not None and sha256_pixels(image) != pair.sha256_pixels:
        raise BadInput(f"{pair.image}: its pixels are not the ones that tiles.csv lists; copy it again")
    facts = {
        "organ": pair.organ,
        "split": pair.split,
        "preparation": pair.preparation,
        "patient": pair.patient,
        "mpp": pair.mpp,
        "source": pair.source,
    }
    vanished = 0
    if pair.has_outlines:
        annotation = read_imagescope(pair.annotation)
        drawn = rasterize(annotation.outlines, height, width)
        mask, vanished = drawn.mask, drawn.vanished_regions
        facts["overlaps"] = drawn.overlaps
        facts["lost_pixels"] = drawn.lost_pixels
        facts["dropped_regions"] = drawn.dropped_regions
        facts["mpp"] = annotation.mpp or pair.mpp
        _check_drawn(pair, annotation.outlines, mask, width, height)
    else:
        mask = read_mask(pair.annotation)
        if mask.shape != (height, width):
            raise BadInput(
                f"{pair.annotation}: found {mask.shape[1]} x {mask.shape[0]} pixels, "
                f"expected {width} x {height} as in {pair.image.name}; check that they belong together"
            )
    packed = encode_mask_png(mask) if int(mask.max()) <= MAX_PNG_ID else mask
    return _Checked(pair, sha256_source, packed, facts | given, vanished)


def _check_drawn(
    pair: Pair, outlines: list[npt.NDArray[np.float64]], mask: npt.NDArray[np.int32], width: int, height: int
) -> None:
    """Outlines that all miss the image belong to another image, or to the whole slide."""
    if outlines and len(nucleus_ids(mask)) == 0:
        raise BadInput(
            f"{pair.annotation}: none of its {len(outlines)} outlines covers a pixel of {pair.image.name} "
            f"({width} x {height}); expected coordinates in pixels of that image"
        )


def _hash_source(pair: Pair, given: dict[str, Any]) -> str:
    """SHA-256 over the two files and all that was known beforehand: what an item is made from."""
    known = (
        pair.organ,
        pair.split,
        pair.preparation,
        pair.patient,
        pair.mpp,
        pair.source,
        sorted(given.items()),
    )
    parts = (sha256_file(pair.image), sha256_file(pair.annotation), repr(known))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _is_done(existing: Dataset, item_id: str, sha256_source: str) -> bool:
    if item_id not in existing:
        return False
    item = existing[item_id]
    return item.sha256_source == sha256_source and is_intact(existing, item)


def _write_all(
    collection: Collection,
    target: Path,
    info: DatasetInfo,
    checked: list[_Checked | None],
    report: Callable[[int, int], None] | None,
) -> ImportReport:
    writer = DatasetWriter(target, info)
    total = len(checked)
    for number, ready in enumerate(checked, start=1):
        if ready is not None:
            mask = decode_mask_png(ready.mask) if isinstance(ready.mask, bytes) else ready.mask
            image = read_image(ready.pair.image)
            writer.add(ready.pair.id, image, mask, sha256_source=ready.sha256_source, **ready.facts)
        if report:
            report(total + number, 2 * total)
    return ImportReport(
        folder=target,
        items=tuple(writer.items[pair.id] for pair in collection.pairs),
        added=sum(ready is not None for ready in checked),
        kept=sum(ready is None for ready in checked),
        vanished={ready.pair.id: ready.vanished for ready in checked if ready is not None and ready.vanished},
    )
