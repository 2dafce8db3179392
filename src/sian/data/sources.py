"""Find images and their annotations in the folders that people have (DESIGN section 3).

Known: MoNuSeg's training zip (``Tissue Images`` + ``Annotations``) and flat test folder, a folder with
``tiles.csv`` or ``items.csv``, ``images/`` + ``masks/``, and NAME.png beside NAME_labels.png,
NAME_mask.png, NAME.xml or NAME.xml.gz; each also below ``train``, ``test`` and ``val``; and everything in
`sian.data.formats`. A new layout is one function here, a new format one file there. Nothing is read but names, tables
and the headers of formats that hold many items in one file.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

from sian.data import monuseg
from sian.data.dataset import PREPARATIONS, Preparation, tcga_patient, tcga_preparation
from sian.data.formats import ANNOTATION_READERS, FORMATS
from sian.data.pairs import Collection, Pair
from sian.data.provenance import read_provenance, with_provenance
from sian.errors import BadInput
from sian.files.images import IMAGE_SUFFIXES
from sian.masks.files import MASK_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sian.data.provenance import Provenance

IMAGE_FOLDERS = ("tissue images", "tissue_images", "images", "image")
MASK_FOLDERS = ("annotations", "masks", "mask", "labels", "label")
MASK_MARKS = ("_labels", "_label", "_masks", "_mask")
OUTLINE_SUFFIXES = (".xml.gz", ".xml", *ANNOTATION_READERS)
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "val",
    "validation": "val",
}
ARCHIVE_SUFFIXES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz")
DEPTH = 3  # levels of folders below the source in which images are looked for
LAYOUTS = (
    "expected images/ and masks/ (or 'Tissue Images'/ and Annotations/) with equal file names, "
    "or NAME.png beside NAME_labels.png or NAME.xml"
)


def find_pairs(source: Path) -> Collection:
    """Find the pairs in a folder, or the pair of one image file.

    Raises:
        BadInput: nothing there, or images without annotation, or annotations without image; all are named.
    """
    if not source.exists():
        raise BadInput(f"{source}: no such file or folder; check the path")
    if source.is_file():
        return _one_image(source)
    for table, reader in (("tiles.csv", _tiles_table), ("items.csv", _items_table)):
        if (source / table).is_file():
            return reader(source)
    sets = sorted(table.parent for table in source.glob("*/items.csv"))
    if sets:
        return _several_sets(source, sets)
    provenance = read_provenance(source)
    pairs = _format_pairs(source, provenance) or _folder_pairs(source, None, DEPTH)
    found = _known(Collection(source.resolve().name, tuple(_unique(source, pairs))))
    return found if provenance is None else with_provenance(found, provenance)


def _format_pairs(source: Path, provenance: Provenance | None) -> list[Pair] | None:
    """The pairs of a format whose pictures or annotations are not files of their own."""
    if provenance is not None and provenance.layout in FORMATS:
        find = FORMATS[provenance.layout].find
        return find(source, provenance) if find else None
    found = (known.find(source, provenance) for known in FORMATS.values() if known.find)
    return next((pairs for pairs in found if pairs), None)


def _one_image(path: Path) -> Collection:
    if path.suffix.lower() in ARCHIVE_SUFFIXES:
        raise BadInput(f"{path}: found an archive, expected a folder; unpack it and give the folder")
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise BadInput(f"{path}: found {path.suffix or 'no suffix'}, expected an image as {', '.join(IMAGE_SUFFIXES)}")
    folder = path.parent
    annotations = [file for file in _annotations([folder]) if _stem(file) == path.stem and file != path]
    if len(annotations) != 1:
        raise BadInput(
            f"{path}: found {len(annotations)} annotations beside it, expected one named {path.stem}.xml, "
            f"{path.stem}.xml.gz or {path.stem}_labels.png"
        )
    return _known(Collection(path.stem, (Pair(path.stem, path, annotations[0]),)))


def _folder_pairs(folder: Path, split: str | None, depth: int) -> Iterable[Pair]:
    """The pairs in a folder and below it."""
    below = [child for child in sorted(folder.iterdir()) if child.is_dir() and not child.name.startswith((".", "__"))]
    images = [child for child in below if child.name.lower() in IMAGE_FOLDERS]
    masks = [child for child in below if child.name.lower() in MASK_FOLDERS]
    if images and masks:
        pictures = [file for child in images for file in _files(child, IMAGE_SUFFIXES)]
        yield from _match(folder, pictures, _annotations(masks), split)
        return
    pictures = [file for file in _files(folder, IMAGE_SUFFIXES) if _stem(file) == file.stem]
    annotations = [file for file in _annotations([folder]) if file not in pictures]
    if pictures or annotations:
        yield from _match(folder, pictures, annotations, split)
    if depth:
        for child in below:
            yield from _folder_pairs(child, SPLIT_FOLDERS.get(child.name.lower(), split), depth - 1)


def _match(folder: Path, images: list[Path], annotations: list[Path], split: str | None) -> list[Pair]:
    """Pair images and annotations by name; complain of everything that is left over, in one go."""
    by_stem: dict[str, list[Path]] = {}
    for annotation in annotations:
        by_stem.setdefault(_stem(annotation), []).append(annotation)
    pairs, problems = [], []
    for image in images:
        found = by_stem.pop(image.stem, [])
        if len(found) == 1:
            pairs.append(Pair(image.stem, image, found[0], split=split or "train"))
        else:
            names = ", ".join(file.name for file in found) or "none"
            problems.append(f"{image.name} needs one annotation, found {names}")
    problems += [f"{file.name} has no image" for files in by_stem.values() for file in files]
    if problems:
        raise BadInput(f"{folder}: {'; '.join(problems)}; {LAYOUTS}; add what is missing or move the rest away")
    return pairs


def _unique(source: Path, pairs: Iterable[Pair]) -> list[Pair]:
    found = list(pairs)
    if not found:
        raise BadInput(f"{source}: found no image with an annotation, {LAYOUTS}")
    seen: dict[str, Pair] = {}
    for pair in found:
        other = seen.setdefault(pair.id.casefold(), pair)
        if other is not pair:
            raise BadInput(f"{pair.image}: has the same name as {other.image}, expected each once; rename one")
    return found


def _known(collection: Collection) -> Collection:
    """Fill in what names tell: MoNuSeg's table, and preparation and patient from TCGA barcodes."""
    is_monuseg = all(pair.id in monuseg.TILES for pair in collection.pairs)
    pairs = tuple(_from_name(pair, is_monuseg) for pair in collection.pairs)
    if is_monuseg:
        return Collection(monuseg.NAME, pairs, monuseg.LICENCE, monuseg.SOURCE)
    return replace(collection, pairs=pairs)


def _from_name(pair: Pair, is_monuseg: bool) -> Pair:
    pair = replace(pair, preparation=tcga_preparation(pair.id), patient=tcga_patient(pair.id))
    if not is_monuseg:
        return replace(pair, source=pair.source or pair.image.name)
    split, organ = monuseg.TILES[pair.id]
    return replace(pair, split=split, organ=organ, mpp=monuseg.MPP, source=pair.source or monuseg.NAME)


def _tiles_table(source: Path) -> Collection:
    """A folder with ``tiles.csv``: tile, split, organ, annotation, source, sha256_pixels; files in SPLIT/."""
    pairs, problems = [], []
    for row in _read_table(source / "tiles.csv", ("tile", "split", "organ")):
        tile, folder = row["tile"], source / row["split"]
        image = _existing(folder, tile, IMAGE_SUFFIXES)
        annotation = _existing(folder, tile, (*OUTLINE_SUFFIXES, *(m + s for m in MASK_MARKS for s in MASK_SUFFIXES)))
        if image is None or annotation is None:
            problems.append(f"{tile} has no {'image' if image is None else 'annotation'} in {folder.name}/")
            continue
        pairs.append(
            Pair(
                tile,
                image,
                annotation,
                organ=row["organ"],
                split=row["split"],
                preparation=tcga_preparation(tile),
                patient=tcga_patient(tile),
                mpp=monuseg.MPP if tile in monuseg.TILES else None,
                source=f"{monuseg.NAME}; {row.get('source') or source.name}",
                sha256_pixels=row.get("sha256_pixels") or None,
            )
        )
    if problems:
        raise BadInput(f"{source / 'tiles.csv'}: {'; '.join(problems)}; copy what is missing")
    return Collection(monuseg.NAME, tuple(_unique(source, pairs)), monuseg.LICENCE, monuseg.SOURCE)


def _items_table(source: Path) -> Collection:
    """A folder with ``items.csv``: id, organ, preparation, mpp, patient, licence; files beside it."""
    table = source / "items.csv"
    pairs, problems = [], []
    rows = _read_table(table, ("id",))
    for row in rows:
        image = _existing(source, row["id"], IMAGE_SUFFIXES)
        annotation = _existing(
            source, row["id"], (*OUTLINE_SUFFIXES, *(m + s for m in MASK_MARKS for s in MASK_SUFFIXES))
        )
        if image is None or annotation is None:
            problems.append(f"{row['id']} has no {'image' if image is None else 'annotation'}")
            continue
        pairs.append(_listed(table, row, image, annotation))
    if problems:
        raise BadInput(f"{table}: {'; '.join(problems)}; copy what is missing")
    return Collection(source.name, tuple(_unique(source, pairs)), _licence(rows), source.name)


def _listed(table: Path, row: dict[str, str], image: Path, annotation: Path) -> Pair:
    preparation = row.get("preparation") or "unknown"
    known: dict[str, Preparation] = {name: name for name in PREPARATIONS}
    if preparation not in known:
        raise BadInput(f"{table}: found preparation {preparation!r}, expected one of {', '.join(PREPARATIONS)}")
    try:
        mpp = float(row["mpp"].removeprefix("~")) if row.get("mpp") else None
    except ValueError as error:
        raise BadInput(f"{table}: found mpp {row['mpp']!r}, expected micrometres per pixel such as 0.25") from error
    return Pair(
        row["id"],
        image,
        annotation,
        organ=row.get("organ") or "unknown",
        split=row.get("split") or "train",
        preparation=known[preparation],
        patient=row.get("patient") or tcga_patient(row["id"]),
        mpp=mpp,
        source=row.get("source") or table.parent.name,
    )


def _several_sets(source: Path, sets: list[Path]) -> Collection:
    """A folder of folders with ``items.csv``: the ids get their set's name in front."""
    collections = [_items_table(folder) for folder in sets]
    pairs = [
        replace(
            pair,
            id=f"{part.name}-{pair.id}",
            patient=pair.patient and (pair.patient if tcga_patient(pair.patient) else f"{part.name} {pair.patient}"),
        )
        for part in collections
        for pair in part.pairs
    ]
    licences = " / ".join(sorted({part.licence for part in collections}))
    names = ", ".join(part.name for part in collections)
    return Collection(source.resolve().name, tuple(_unique(source, pairs)), licences, names)


def _licence(rows: list[dict[str, str]]) -> str:
    return " / ".join(sorted({row.get("licence") or "unknown" for row in rows})) or "unknown"


def _read_table(path: Path, needed: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, restval="", restkey="further"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be read as a table ({error}); expected comma-separated UTF-8") from error
    missing = [column for column in needed if not rows or column not in rows[0]]
    if missing:
        raise BadInput(f"{path}: found no column {', '.join(missing)}, expected {', '.join(needed)}; add it")
    for row in rows:
        for column in ("tile", "id", "split"):
            if any(mark in row.get(column, "") for mark in ("/", "\\", "..", "\0")):
                raise BadInput(f"{path}: found {column} {row[column]!r}, expected a plain name without folders")
    return rows


def _existing(folder: Path, stem: str, endings: Iterable[str]) -> Path | None:
    return next((folder / (stem + end) for end in endings if (folder / (stem + end)).is_file()), None)


def _annotations(folders: list[Path]) -> list[Path]:
    return [file for folder in folders for file in _files(folder, (*OUTLINE_SUFFIXES, *MASK_SUFFIXES))]


def _files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    files = (file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith("."))
    return [file for file in files if file.name.lower().endswith(endings)]


def _stem(path: Path) -> str:
    """A name without its ending and without the mark of a mask."""
    name = path.name
    for ending in (*OUTLINE_SUFFIXES, path.suffix):
        if ending and name.lower().endswith(ending.lower()):
            name = name[: -len(ending)]
            break
    for mark in MASK_MARKS:
        if name.lower().endswith(mark):
            return name[: -len(mark)]
    return name
