"""Write a data set in a format that other programs read; the formats are `sian.data.formats`.

All or nothing: the folder appears when it is whole. Beside the files lies ``provenance.json``, which says where every
item comes from and holds what the format can't.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sian.data.dataset import ID_PATTERN, Dataset, open_dataset
from sian.data.formats import FORMATS, Format, Sample
from sian.data.provenance import PROVENANCE, Provenance
from sian.errors import BadInput, nearest
from sian.files import write_json
from sian.files.folders import atomic_folder, check_free
from sian.files.locks import only_writer
from sian.masks import nucleus_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESERVED_SPLITS = {"annotations", "images", "masks", "labels"}  # folders that mean something else in some format


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote.

    Attributes:
        folder: where.
        format: in which format.
        items: how many images.
        nuclei: how many nuclei, all together.
    """

    folder: Path
    format: Format
    items: int
    nuclei: int


def export_dataset(
    dataset: str | Path | Dataset,
    target: str | Path,
    format: str,  # noqa: A002 - what users call it
    *,
    report: Callable[[int, int], None] | None = None,
) -> ExportReport:
    """Write a data set in one of `sian.data.formats.FORMATS`.

    Args:
        dataset: a data set on disk, opened or not; `Dataset.split` gives a part.
        target: a folder that does not exist yet or is empty.
        format: the format's name, e.g. "coco".
        report: called with (items written, items in all).

    Raises:
        BadInput: unknown format, a target that holds something, an item that cannot be read, or a data set that the
            format can't hold; then nothing is written.
        MissingResource: the disk is full, or the format's package is not installed.
    """
    data = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
    if format not in FORMATS:
        raise BadInput(f"unknown format {format!r}{nearest(format, FORMATS)}")
    chosen = FORMATS[format]
    target = Path(target)
    _check(data, target, chosen)
    with only_writer(target, folder=False), atomic_folder(target) as folder:
        chosen.write(folder, data, _samples(data, report))
        provenance = Provenance(layout=chosen.name, losses=chosen.losses, dataset=data.info, items=list(data.items))
        write_json(folder / PROVENANCE, provenance.model_dump(exclude_none=True))
    return ExportReport(target, chosen, len(data), sum(item.nuclei for item in data))


def _check(data: Dataset, target: Path, chosen: Format) -> None:
    check_free(target.absolute())
    if not len(data):
        raise BadInput(f"{data.folder}: holds no items, expected at least one to export; import some first")
    found = chosen.problems(data)
    for split in data.splits:
        if not ID_PATTERN.fullmatch(split) or split.lower() in RESERVED_SPLITS:
            found.append(f"found the split {split!r}, expected a plain name such as train; rename it")
    if found:
        raise BadInput(f"{data.folder}, as {chosen.name}: {'; '.join(found)}")


def _samples(data: Dataset, report: Callable[[int, int], None] | None) -> Iterator[Sample]:
    for number, item in enumerate(data, start=1):
        mask = data.mask(item)
        strangers = set(item.class_by_id) - set(nucleus_ids(mask).tolist())
        if strangers:
            raise BadInput(
                f"{data.folder}: {item.id} has a class for nucleus {min(strangers)}, which its mask does not hold; "
                "import it again"
            )
        yield Sample(item, data.image(item), mask)
        if report:
            report(number, len(data))
