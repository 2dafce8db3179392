"""Turn annotated tiles as they come into a data set on disk (docs/design.md, "Data set").

Everything is read and checked before anything is written, and all problems are named in one go. Then item
after item is written; a rerun continues where a killed one stopped, and redoes only what changed.
"""

from __future__ import annotations

import hashlib
import json
import statistics
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sian.data import imagescope
from sian.data.dataset import ID_PATTERN, MANIFEST, PREPARATIONS, Dataset, DatasetInfo, Item, open_dataset, read_info
from sian.data.formats import ANNOTATION_READERS
from sian.data.leftovers import added, check_left
from sian.data.pairs import Annotated, Collection, Pair
from sian.data.provenance import is_same, restored
from sian.data.sources import find_pairs
from sian.data.writing import DatasetWriter, check_target, is_intact
from sian.errors import BadInput, nearest, of_system
from sian.files import read_image, sha256_file, sha256_pixels
from sian.files.locks import only_writer
from sian.masks import decode_mask_png, encode_mask_png, read_mask
from sian.masks.checking import check_not_binary
from sian.masks.files import MAX_PNG_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
        drawn: how many things of each kind were drawn in the items written now, e.g. {"detection": 12}.
    """

    folder: Path
    items: tuple[Item, ...]
    added: int
    kept: int
    vanished: dict[str, int]
    drawn: dict[str, int] = field(default_factory=dict)

    @property
    def left_out(self) -> dict[str, int]:
        """How many things of each kind the annotations of all items hold that were not drawn."""
        return added(item.left_out for item in self.items)

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
    drawn: Mapping[str, int]


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
    empty: bool = False,
    report: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Import a folder of annotated tiles, or one tile, into a data set on disk.

    Args:
        source: a folder in one of the layouts of `sian.data.sources`, or one image with its annotation
            beside it.
        target: the data set; new, empty, or the result of earlier imports under the same name. Several sources make
            one data set that way, whose source and licence name them all.
        organ: for all items, whatever else is known of them.
        split: likewise.
        mpp: likewise, micrometres per pixel.
        preparation: likewise, "ffpe", "frozen" or "unknown".
        name: of the data set; by default MoNuSeg, or the folder's name.
        licence: of the data set, if its source does not tell.
        empty: whether annotations of which nothing can be drawn mean tiles without nuclei; else they are refused.
        report: called with (done, total); each item counts twice, once checked and once written.

    Raises:
        BadInput: all problems of the source, in one sentence; then nothing was written.
    """
    given = {"organ": organ, "split": split, "mpp": mpp, "preparation": preparation}
    found = find_pairs(Path(source))
    return import_collection(found, target, given=given, name=name, licence=licence, empty=empty, report=report)


def import_collection(
    collection: Collection,
    target: str | Path,
    *,
    given: Mapping[str, Any] | None = None,
    name: str | None = None,
    licence: str | None = None,
    empty: bool = False,
    report: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Import pairs that were found already; see `import_dataset`.

    Args:
        collection: the pairs.
        target: the data set.
        given: organ, split, mpp, preparation of all items; None for what is not given.
        name: of the data set.
        licence: likewise.
        empty: see `import_dataset`.
        report: likewise.

    Raises:
        BadInput: as `import_dataset`.
    """
    target = Path(target)
    known = dict(given or {})
    _check_given(known.get("organ"), known.get("split"), known.get("preparation"))
    known = {key: value for key, value in known.items() if value is not None}
    check = partial(_check, given=known, empty=empty)
    info = _info(collection, name, licence, known.get("mpp"))
    check_target(target, info)
    with only_writer(target):
        if (target / MANIFEST).is_file():
            others = {item.id for item in open_dataset(target)} - {pair.id for pair in collection.pairs}
            info = _joined(read_info(target), info, target) if others else info
        checked = _check_all(collection, target, check, report)
        return _write_all(collection, target, info, checked, report)


def _check_given(organ: str | None, split: str | None, preparation: str | None) -> None:
    if preparation is not None and preparation not in PREPARATIONS:
        raise BadInput(f"unknown preparation {preparation!r}{nearest(preparation, PREPARATIONS)}")
    for key, value in (("organ", organ), ("split", split)):
        if value is not None and (not value.strip() or value != value.strip().lower()):
            raise BadInput(f"{key} {value!r}: expected a name in lower case, such as {value.strip().lower()!r}")


def _common(known: set[float | None]) -> float | None:
    """The median where all items have a resolution and differ by no more than 15 %: 40x is 0.23 to 0.26, by scanner."""
    values = [value for value in known if value is not None]
    if not values or len(values) < len(known) or max(values) > 1.15 * min(values):
        return None
    return round(statistics.median(values), 4)


def _info(collection: Collection, name: str | None, licence: str | None, mpp: float | None) -> DatasetInfo:
    known = {pair.mpp for pair in collection.pairs}
    return DatasetInfo(
        name=name or collection.name,
        mpp=mpp or collection.mpp or _common(known),
        licence=licence or collection.licence,
        source=collection.source or collection.name,
        synthetic=collection.synthetic,
        classes=list(collection.classes),
    )


def _joined(before: DatasetInfo, now: DatasetInfo, target: Path) -> DatasetInfo:
    """What a data set says of itself that holds items of other sources than the one that comes to it now."""
    if before.synthetic != now.synthetic:
        kinds = ["real", "synthetic"][:: -1 if before.synthetic else 1]
        raise BadInput(
            f"{target}: holds {kinds[0]} images, found {kinds[1]} ones to add, expected one kind in a data set; keep "
            "them apart, and give both where they are used, e.g. sian segment train -d REAL -d SYNTHETIC"
        )
    return now.model_copy(
        update={
            "mpp": _common({before.mpp, now.mpp}),
            "licence": _listed(before.licence, now.licence),
            "source": _listed(before.source, now.source),
            "classes": list(dict.fromkeys([*before.classes, *now.classes])),
        }
    )


def _listed(before: str, now: str) -> str:
    return before if f"; {now}; " in f"; {before}; " else "; ".join(filter(None, (before, now)))


def _check_all(
    collection: Collection,
    target: Path,
    check: Callable[..., _Checked | None],
    report: Callable[[int, int], None] | None,
) -> list[_Checked | None]:
    """Read every pair; None stands for one that is in the target already."""
    existing = open_dataset(target) if (target / "dataset.json").is_file() else None
    checked: list[_Checked | None] = []
    problems: list[str] = []
    hashes = lru_cache(maxsize=8)(_sha256_source_file)
    for number, pair in enumerate(collection.pairs, start=1):
        try:
            checked.append(check(pair, existing, hashes=hashes))
        except BadInput as problem:
            problems.append(str(problem))
        except OSError as error:  # a name inside the file that no file can have, say
            if not isinstance(of_system(error), BadInput):
                raise
            reason = (error.strerror or str(error)).lower()
            problems.append(
                f"{pair.annotation}: cannot be read ({reason[:80]}), expected a whole file; export it again"
            )
        if report:
            report(number, 2 * len(collection.pairs))
    if problems:
        more = f"; and {len(problems) - MAX_PROBLEMS} more" if len(problems) > MAX_PROBLEMS else ""
        raise BadInput("; ".join(problems[:MAX_PROBLEMS]) + more)
    return checked


def _check(
    pair: Pair, existing: Dataset | None, *, given: dict[str, Any], empty: bool, hashes: Callable[[Path], str]
) -> _Checked | None:
    if not ID_PATTERN.fullmatch(pair.id):
        raise BadInput(
            f"{pair.image}: the name has unusual characters; expected letters, digits, spaces and any of "
            "._-+=@#&'~!()[]; rename it"
        )
    sha256_source = _hash_source(pair, given, hashes)
    if existing is not None and _is_done(existing, pair.id, sha256_source):
        return None
    image = _read_picture(pair)
    height, width = image.shape[:2]
    if not image.any():
        raise BadInput(
            f"{pair.image}: every pixel is black, expected H&E; the file is damaged or empty, export it again"
        )
    if pair.sha256_pixels is not None and sha256_pixels(image) != pair.sha256_pixels:
        raise BadInput(f"{pair.image}: its pixels are not the ones that tiles.csv lists; copy it again")
    del image  # it is read again when it is written; both in memory at once would need twice as much
    annotated = _read_annotation(pair, height, width)
    own = is_same(annotated.mask, pair.facts.get("sha256_mask"))
    check_left(pair.annotation, annotated, empty=empty or own)
    if annotated.drawn is None and not own and not annotated.classes:  # classes are told by id
        check_not_binary(annotated.mask, str(pair.annotation))
    known, classes = restored(annotated, pair.facts)
    facts = {
        "organ": pair.organ,
        "split": pair.split,
        "preparation": pair.preparation,
        "patient": pair.patient,
        "mpp": pair.mpp,
        "source": pair.source,
        "classes": ids_by_class(classes),
    }
    _check_text(pair, facts | known | given)
    packed = encode_mask_png(annotated.mask) if int(annotated.mask.max()) <= MAX_PNG_ID else annotated.mask
    return _Checked(pair, sha256_source, packed, facts | known | given, annotated.vanished, annotated.drawn or {})


def _check_text(pair: Pair, facts: Mapping[str, Any]) -> None:
    """Refuse text that no file can hold: half of a character, as JSON can spell it."""
    try:
        json.dumps(facts, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        found = error.object[max(error.start - 20, 0) : error.start + 20]
        raise BadInput(
            f"{pair.annotation}: found text that is broken ({found!a}), expected Unicode; repair the name there"
        ) from error


def _read_picture(pair: Pair) -> npt.NDArray[np.uint8]:
    return pair.read_picture() if pair.read_picture else read_image(pair.image)


def _read_annotation(pair: Pair, height: int, width: int) -> Annotated:
    """Read a pair's annotation by the reader it brings, or by the ending of its name."""
    name = pair.annotation.name.lower()
    if pair.read_annotation is not None:
        return pair.read_annotation(pair.annotation, height, width)
    for ending, read in ANNOTATION_READERS.items():
        if name.endswith(ending):
            return read(pair.annotation, height, width)
    if name.endswith((".xml", ".xml.gz")):
        return imagescope.read(pair.annotation, height, width)
    mask = read_mask(pair.annotation, numbered=True)
    if mask.shape != (height, width):
        raise BadInput(
            f"{pair.annotation}: found {mask.shape[0]} x {mask.shape[1]} pixels, "
            f"expected {height} x {width} as in {pair.image.name}; check that they belong together"
        )
    return Annotated(mask)


def ids_by_class(classes: Mapping[int, str]) -> dict[str, list[int]] | None:
    """Class names by id as `Item.classes` holds them: ids by class name, both in order; None without classes."""
    names = sorted(set(classes.values()))
    return {name: sorted(i for i, own in classes.items() if own == name) for name in names} or None


def _hash_source(pair: Pair, given: dict[str, Any], hashes: Callable[[Path], str]) -> str:
    """SHA-256 over the two files and all that was known beforehand: what an item is made from.

    Args:
        pair: the item.
        given: what the user said.
        hashes: a file's SHA-256; keeps those of files that hold many items.
    """
    known = (
        pair.organ,
        pair.split,
        pair.preparation,
        pair.patient,
        pair.mpp,
        pair.source,
        sorted(given.items()),
        *((pair.part, sorted(pair.facts.items())) if pair.part or pair.facts else ()),
    )
    parts = (hashes(pair.image), hashes(pair.annotation), repr(known))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _sha256_source_file(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files and their names in order."""
    if not path.is_dir():
        return sha256_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    listed = "\n".join(f"{file.relative_to(path).as_posix()} {sha256_file(file)}" for file in files)
    return hashlib.sha256(listed.encode()).hexdigest()


def _is_done(existing: Dataset, item_id: str, sha256_source: str) -> bool:
    if item_id not in existing:
        return False
    item = existing[item_id]
    return item.sha256_source == sha256_source and is_intact(existing, item)


def _with_classes(info: DatasetInfo, target: Path, checked: list[_Checked | None]) -> DatasetInfo:
    """The classes that the source lists, then others found in the items, those there already included."""
    found = [ready.facts["classes"] or {} for ready in checked if ready is not None]
    if None in checked:
        found += [item.classes or {} for item in open_dataset(target)]
    others = sorted({name for classes in found for name in classes} - set(info.classes))
    return info.model_copy(update={"classes": [*info.classes, *others]})


def _write_all(
    collection: Collection,
    target: Path,
    info: DatasetInfo,
    checked: list[_Checked | None],
    report: Callable[[int, int], None] | None,
) -> ImportReport:
    writer = DatasetWriter(target, _with_classes(info, target, checked))
    total = len(checked)
    for number, ready in enumerate(checked, start=1):
        if ready is not None:
            mask = decode_mask_png(ready.mask) if isinstance(ready.mask, bytes) else ready.mask
            image = _read_picture(ready.pair)
            writer.add(ready.pair.id, image, mask, sha256_source=ready.sha256_source, **ready.facts)
        if report:
            report(total + number, 2 * total)
    return ImportReport(
        folder=target,
        items=tuple(writer.items[pair.id] for pair in collection.pairs),
        added=sum(ready is not None for ready in checked),
        kept=sum(ready is None for ready in checked),
        vanished={ready.pair.id: ready.vanished for ready in checked if ready is not None and ready.vanished},
        drawn=added(ready.drawn for ready in checked if ready is not None),
    )
