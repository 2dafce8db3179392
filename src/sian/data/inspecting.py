"""Look at a whole data set and say everything that is wrong or worth knowing, in one go (docs/design.md, "Data set").

Problems make items unusable: broken files, other sizes or pixels than the manifest says. Notes are for the
user to judge: duplicates, a patient in two splits, unknown magnification.
"""

from __future__ import annotations

import os
from array import array
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from sian.data import monuseg
from sian.data.dataset import MANIFEST, Dataset, DatasetInfo, Item, check_size, open_dataset
from sian.data.item_facts import FactTable, ItemFacts
from sian.errors import BadInput
from sian.files import sha256_array, sha256_pixels
from sian.masks import nucleus_areas, nucleus_pieces
from sian.masks.files import as_ids, read_stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

# Median nucleus area of a tile in square micrometres; MoNuSeg's tiles lie between 5.8 and 52.
PLAUSIBLE_AREA_UM2 = (4.0, 200.0)
MPP_SPREAD = 1.15  # larger ratios within a data set are another magnification, not another scanner
NO_CLASS = "no class"
WRAPPED_IDS = (255, 65_535)


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
        classes: nuclei by organ and class, with `NO_CLASS` for nuclei without one; empty without classes.
    """

    folder: Path
    info: DatasetInfo
    facts: Sequence[ItemFacts]
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
    facts = FactTable(dataset.items)
    problems: list[str] = []
    for number, item in enumerate(dataset, start=1):
        try:
            facts.add(number - 1, _look(dataset, item, problems))
        except BadInput as problem:
            problems.append(str(problem))
        if report:
            report(number, len(dataset))
    return Inspection(
        folder=dataset.folder,
        info=dataset.info,
        facts=facts,
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
    mask = as_ids(stored, str(path))
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
    counts = Counter((str(getattr(item, key)), item.split) for item in dataset)
    return {
        value: {split: counts[value, split] for split in dataset.splits}
        for value in sorted({value for value, _ in counts})
    }


def _classes(dataset: Dataset) -> dict[str, dict[str, int]]:
    """How many nuclei of each class each organ has: {organ: {class: n}}; empty if no item has classes."""
    names = dict.fromkeys(dataset.info.classes)
    counts, nuclei, with_classes = Counter[tuple[str, str]](), Counter[str](), False
    for item in dataset:
        nuclei[item.organ] += item.nuclei
        for name, ids in (item.classes or {}).items():
            names[name], with_classes = None, True
            counts[item.organ, name] += len(ids)
    if not with_classes:
        return {}
    table = {organ: {name: counts[organ, name] for name in names} for organ in dataset.organs}
    return {organ: {**found, NO_CLASS: nuclei[organ] - sum(found.values())} for organ, found in table.items()}


def _notes(dataset: Dataset, facts: FactTable) -> Iterator[str]:
    if not len(dataset):
        yield "the data set holds no items"
    yield from _duplicates(dataset, facts)
    yield from _patients(dataset)
    yield from _magnification(dataset, facts)
    yield from _masks(facts)
    yield from _class_notes(dataset)
    yield from _monuseg(dataset)
    yield from _unknown(dataset)
    yield from _strays(dataset)


def _duplicates(dataset: Dataset, facts: FactTable) -> Iterator[str]:
    for places in facts.same_images():
        across = " in different splits" if len({dataset.items[place].split for place in places}) > 1 else ""
        yield f"the same image{across}: {_names(dataset.items[place].id for place in places)}"


def _patients(dataset: Dataset) -> Iterator[str]:
    """In two rounds, as few patients are in several splits, however many items there are."""
    splits: dict[str, str] = {}
    several: dict[str, set[str]] = {}
    for item in dataset:
        if item.patient and (first := splits.setdefault(item.patient, item.split)) != item.split:
            several.setdefault(item.patient, {first}).add(item.split)
    ids: dict[str, list[str]] = {patient: [] for patient in splits if patient in several}
    for item in dataset if ids else ():
        if item.patient in several:
            ids[item.patient].append(item.id)
    for patient, names in ids.items():
        where = " and ".join(sorted(several[patient]))
        yield f"patient {patient} is in {where}: {_names(names)}; scores on them flatter"


def _magnification(dataset: Dataset, facts: FactTable) -> Iterator[str]:
    if unknown := _names(item.id for item in dataset if item.mpp is None):
        yield f"micrometres per pixel unknown for {unknown}; give it with `sian data import --mpp`"
    known = array("d", (item.mpp for item in dataset if item.mpp is not None))
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


def _masks(facts: FactTable) -> Iterator[str]:
    nuclei, highest, in_pieces = (np.array(c) for c in (facts.nuclei, facts.highest_id, facts.in_pieces))
    if in_pieces.any():
        yield (
            f"{in_pieces.sum()} nuclei in {np.count_nonzero(in_pieces)} items lie in several pieces; "
            "each is described as one nucleus"
        )
    if wrapped := _names(facts.names(np.isin(highest, WRAPPED_IDS) & (nuclei == highest) & (in_pieces > 0))):
        yield f"ids end at the limit of their file format and may have wrapped: {wrapped}"
    if single := _names(facts.names(np.array(facts.smallest_area) == 1)):
        yield f"nuclei of a single pixel in {single}"
    if empty := _names(facts.names(nuclei == 0)):
        yield f"no nuclei at all in {empty}; legal if that is background"


def _class_notes(dataset: Dataset) -> Iterator[str]:
    found = {name for item in dataset for name in item.classes or {}}
    if not found:
        return
    if strange := found - set(dataset.info.classes):
        names = ", ".join(repr(name) for name in sorted(strange))
        yield f"{MANIFEST} does not name the class {names}; a recipe with data.classes needs its name there"
    if without := _names(item.id for item in dataset if item.nuclei > len(item.class_by_id)):
        yield f"nuclei without a class in {without}"


def _monuseg(dataset: Dataset) -> Iterator[str]:
    tiles = [item for item in dataset if item.id in monuseg.TILES]
    lung = [item for item in tiles if item.organ == "liver" and item.id[5:7] in monuseg.LUNG_SITE_CODES]
    if lung:
        yield (
            f"{len(lung)} tiles that MoNuSeg calls liver carry TCGA's codes of lung cohorts "
            f"({_names((item.id for item in lung), shown=6)}); the name is kept, organ_aliases in a recipe can map it"
        )
    counts = Counter(item.split for item in tiles)
    for split, size in monuseg.SPLIT_SIZES.items():
        if 0 < counts[split] != size:
            yield f"{counts[split]} of MoNuSeg's {size} {split} tiles are here"
    if moved := _names(item.id for item in tiles if monuseg.TILES[item.id][0] != item.split):
        yield f"not in MoNuSeg's official split: {moved}"


def _unknown(dataset: Dataset) -> Iterator[str]:
    for key, option in (("organ", "--organ"), ("preparation", "--preparation")):
        if names := _names(item.id for item in dataset if getattr(item, key) == "unknown"):
            yield f"{key} unknown for {names}; give it with `sian data import {option}`"
    if dataset.info.licence == "unknown":
        yield "the licence is unknown; give it with `sian data import --licence`"


def _strays(dataset: Dataset) -> Iterator[str]:
    """Files that belong to no item: what a killed writer left, or what someone put there."""
    for part in ("images", "masks"):
        if not (dataset.folder / part).is_dir():
            continue
        known = {name for item in dataset for name in (item.image, item.mask) if name.startswith(f"{part}/")}
        with os.scandir(dataset.folder / part) as files:
            strays = sorted(file.name for file in files if f"{part}/{file.name}" not in known)
        if strays:
            shown = ", ".join(strays[:3])
            yield f"{len(strays)} files in {part}/ belong to no item ({shown}); rerun a cut-off import"


def _names(ids: Iterable[str], shown: int = 4) -> str:
    """A few ids, or how many there are and the first of them; "" of none."""
    coming = iter(ids)
    names = list(islice(coming, shown))
    further = sum(1 for _ in coming)
    return f"{shown + further} items ({', '.join(names)}, ...)" if further else ", ".join(names)
