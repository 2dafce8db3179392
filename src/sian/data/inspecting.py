"""Look at a whole data set and say everything that is wrong or worth knowing, in one go (DESIGN section 3).

Problems make items unusable: broken files, other sizes or pixels than the manifest says. Notes are for the
user to judge: duplicates, a patient in two splits, unknown magnification.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sian.data import monuseg
from sian.data.dataset import MANIFEST, Dataset, DatasetInfo, Item, check_size, open_dataset
from sian.errors import BadInput
from sian.files import sha256_array, sha256_pixels
from sian.masks import check_mask, nucleus_areas, nucleus_pieces
from sian.masks.files import read_stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt

# Median nucleus area of a tile in square micrometres; MoNuSeg's tiles lie between 5.8 and 52.
PLAUSIBLE_AREA_UM2 = (4.0, 200.0)
MPP_SPREAD = 1.15  # larger ratios within a data set are another magnification, not another scanner
NO_CLASS = "no class"
WRAPPED_IDS = (255, 65_535)


@dataclass(frozen=True)
class ItemFacts:
    """What was found in one item's files.

    Attributes:
        item: its line in the manifest.
        mask_dtype: of the mask as stored, e.g. "uint16".
        nuclei: ids found in the mask.
        highest_id: above `nuclei` when ids have gaps.
        median_area: pixels; nan without nuclei.
        smallest_area: pixels; 0 without nuclei.
        in_pieces: nuclei that lie in several separate pieces.
        sha256_image: of the pixels found.
    """

    item: Item
    mask_dtype: str
    nuclei: int
    highest_id: int
    median_area: float
    smallest_area: int
    in_pieces: int
    sha256_image: str


@dataclass(frozen=True)
class Inspection:
    """Everything that `inspect_dataset` found.

    Attributes:
        folder: the data set.
        info: what ``dataset.json`` says.
        facts: one an item, those that could be read.
        problems: what makes items unusable, a sentence each.
        notes: what the user should know, a sentence each.
        organs: items by organ and split.
        preparations: items by preparation and split.
        classes: nuclei by organ and class, with `NO_CLASS` for those of which nobody said; empty without classes.
    """

    folder: Path
    info: DatasetInfo
    facts: tuple[ItemFacts, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    organs: dict[str, dict[str, int]] = field(default_factory=dict)
    preparations: dict[str, dict[str, int]] = field(default_factory=dict)
    classes: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def nuclei(self) -> int:
        """Nuclei in all readable items together."""
        return sum(fact.nuclei for fact in self.facts)


def inspect_dataset(folder: str | Path, report: Callable[[int, int], None] | None = None) -> Inspection:
    """Read every image and mask of a data set and compare them with the manifest.

    Args:
        folder: the data set.
        report: called with (done, total).

    Raises:
        BadInput: there is no data set, or its manifest cannot be read. What is wrong with items is in the
        result.
    """
    dataset = open_dataset(folder)
    facts: list[ItemFacts] = []
    problems: list[str] = []
    for number, item in enumerate(dataset, start=1):
        try:
            facts.append(_look(dataset, item, problems))
        except BadInput as problem:
            problems.append(str(problem))
        if report:
            report(number, len(dataset))
    return Inspection(
        folder=dataset.folder,
        info=dataset.info,
        facts=tuple(facts),
        problems=tuple(problems),
        notes=tuple(_notes(dataset, facts)),
        organs=_table(dataset, "organ"),
        preparations=_table(dataset, "preparation"),
        classes=_classes(dataset),
    )


def _look(dataset: Dataset, item: Item, problems: list[str]) -> ItemFacts:
    """Read one item; raises for what cannot be read, adds to `problems` what contradicts the manifest."""
    image = dataset.image(item)
    path = dataset.path(item.mask)
    stored = read_stored(path)
    mask = check_mask(stored, str(path))
    check_size(path, mask.shape, item)
    areas = nucleus_areas(mask)
    sha256_image = sha256_pixels(image)
    for file, found, expected in (
        (item.image, sha256_image, item.sha256_image),
        (item.mask, sha256_array(mask), item.sha256_mask),
    ):
        if found != expected:
            problems.append(f"{dataset.path(file)}: is not what was imported (other pixels); import the item again")
    if len(areas) != item.nuclei:
        problems.append(
            f"{path}: found {len(areas)} nuclei, expected {item.nuclei} as items.jsonl says; import it again"
        )
    return ItemFacts(
        item=item,
        mask_dtype=str(stored.dtype),
        nuclei=len(areas),
        highest_id=int(mask.max()),
        median_area=float(np.median(areas)) if len(areas) else float("nan"),
        smallest_area=int(areas.min()) if len(areas) else 0,
        in_pieces=_in_pieces(mask),
        sha256_image=sha256_image,
    )


def _in_pieces(mask: npt.NDArray[np.int32]) -> int:
    return int((nucleus_pieces(mask) > 1).sum())


def _table(dataset: Dataset, key: str) -> dict[str, dict[str, int]]:
    """How many items of each organ (or preparation) are in each split: {organ: {split: n}}."""
    table: dict[str, dict[str, int]] = {}
    for value in sorted({str(getattr(item, key)) for item in dataset}):
        counts = Counter(item.split for item in dataset if getattr(item, key) == value)
        table[value] = {split: counts.get(split, 0) for split in dataset.splits}
    return table


def _classes(dataset: Dataset) -> dict[str, dict[str, int]]:
    """How many nuclei of each class each organ has: {organ: {class: n}}; empty if no item has classes."""
    names = list(dict.fromkeys([*dataset.info.classes, *(name for item in dataset for name in item.classes or {})]))
    if not any(item.classes for item in dataset):
        return {}
    table: dict[str, dict[str, int]] = {}
    for organ in dataset.organs:
        items = [item for item in dataset if item.organ == organ]
        counts = {name: sum(len((item.classes or {}).get(name, ())) for item in items) for name in names}
        table[organ] = {**counts, NO_CLASS: sum(item.nuclei for item in items) - sum(counts.values())}
    return table


def _notes(dataset: Dataset, facts: list[ItemFacts]) -> Iterator[str]:
    if not len(dataset):
        yield "the data set holds no items"
    yield from _duplicates(facts)
    yield from _patients(dataset)
    yield from _magnification(dataset, facts)
    yield from _masks(facts)
    yield from _class_notes(dataset)
    yield from _monuseg(dataset)
    yield from _unknown(dataset)
    yield from _strays(dataset)


def _duplicates(facts: list[ItemFacts]) -> Iterator[str]:
    same: dict[str, list[Item]] = defaultdict(list)
    for fact in facts:
        same[fact.sha256_image].append(fact.item)
    for items in same.values():
        if len(items) > 1:
            across = " in different splits" if len({item.split for item in items}) > 1 else ""
            yield f"the same image{across}: {_names(items)}"


def _patients(dataset: Dataset) -> Iterator[str]:
    by_patient: dict[str, list[Item]] = defaultdict(list)
    for item in dataset:
        if item.patient:
            by_patient[item.patient].append(item)
    for patient, items in by_patient.items():
        splits = sorted({item.split for item in items})
        if len(splits) > 1:
            yield f"patient {patient} is in {' and '.join(splits)}: {_names(items)}; scores on them flatter"


def _magnification(dataset: Dataset, facts: list[ItemFacts]) -> Iterator[str]:
    unknown = [item for item in dataset if item.mpp is None]
    if unknown:
        yield f"micrometres per pixel unknown for {_names(unknown)}; give it with `sian data import --mpp`"
    known = [item.mpp for item in dataset if item.mpp is not None]
    if known and max(known) / min(known) > MPP_SPREAD:
        yield f"several magnifications: {min(known):g} to {max(known):g} micrometres per pixel"
    low, high = PLAUSIBLE_AREA_UM2
    for fact in facts:
        area = fact.median_area * (fact.item.mpp or float("nan")) ** 2
        if area < low or area > high:
            yield (
                f"{fact.item.id}: the median nucleus has {area:.1f} square micrometres at {fact.item.mpp:g} "
                f"per pixel, usual are {low:g} to {high:g}; is the magnification right?"
            )


def _masks(facts: list[ItemFacts]) -> Iterator[str]:
    in_pieces = {fact.item.id: fact.in_pieces for fact in facts if fact.in_pieces}
    if in_pieces:
        yield (
            f"{sum(in_pieces.values())} nuclei in {len(in_pieces)} items lie in several pieces; "
            "each is described as one nucleus"
        )
    wrapped = [f.item for f in facts if f.highest_id in WRAPPED_IDS and f.nuclei == f.highest_id and f.in_pieces]
    if wrapped:
        yield f"ids end at the limit of their file format and may have wrapped: {_names(wrapped)}"
    single = [fact.item for fact in facts if fact.smallest_area == 1]
    if single:
        yield f"nuclei of a single pixel in {_names(single)}"
    empty = [fact.item for fact in facts if not fact.nuclei]
    if empty:
        yield f"no nuclei at all in {_names(empty)}; legal if that is background"


def _class_notes(dataset: Dataset) -> Iterator[str]:
    with_classes = [item for item in dataset if item.classes]
    if not with_classes:
        return
    strange = {name for item in with_classes for name in item.classes or {}} - set(dataset.info.classes)
    if strange:
        names = ", ".join(repr(name) for name in sorted(strange))
        yield f"{MANIFEST} does not name the class {names}; a recipe with data.classes needs its name there"
    without = [item for item in dataset if item.nuclei > len(item.class_by_id)]
    if without:
        yield f"nuclei without a class in {_names(without)}"


def _monuseg(dataset: Dataset) -> Iterator[str]:
    lung = [item for item in dataset if item.organ == "liver" and item.id[5:7] in monuseg.LUNG_SITE_CODES]
    lung = [item for item in lung if item.id in monuseg.TILES]
    if lung:
        yield (
            f"{len(lung)} tiles that MoNuSeg calls liver carry TCGA's codes of lung cohorts "
            f"({_names(lung, shown=6)}); the name is kept, organ_aliases in a recipe can map it"
        )
    tiles = Counter(item.split for item in dataset if item.id in monuseg.TILES)
    for split, size in monuseg.SPLIT_SIZES.items():
        if 0 < tiles[split] != size and len(tiles) > 0:
            yield f"{tiles[split]} of MoNuSeg's {size} {split} tiles are here"
    moved = [item for item in dataset if item.id in monuseg.TILES and monuseg.TILES[item.id][0] != item.split]
    if moved:
        yield f"not in MoNuSeg's official split: {_names(moved)}"


def _unknown(dataset: Dataset) -> Iterator[str]:
    for key, option in (("organ", "--organ"), ("preparation", "--preparation")):
        items = [item for item in dataset if getattr(item, key) == "unknown"]
        if items:
            yield f"{key} unknown for {_names(items)}; give it with `sian data import {option}`"
    if dataset.info.licence == "unknown":
        yield "the licence is unknown; give it with `sian data import --licence`"


def _strays(dataset: Dataset) -> Iterator[str]:
    """Files that belong to no item: what a killed writer left, or what someone put there."""
    known = {name for item in dataset for name in (item.image, item.mask)}
    for part in ("images", "masks"):
        folder = dataset.folder / part
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        strays = [file.name for file in files if f"{part}/{file.name}" not in known]
        if strays:
            shown = ", ".join(strays[:3])
            yield f"{len(strays)} files in {part}/ belong to no item ({shown}); rerun a cut-off import"


def _names(items: list[Item], shown: int = 4) -> str:
    names = ", ".join(item.id for item in items[:shown])
    return names if len(items) <= shown else f"{len(items)} items ({names}, ...)"
