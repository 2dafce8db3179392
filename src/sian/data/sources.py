"""Find images and their annotations in the folders that people have (docs/design.md, "Data set").

Known: MoNuSeg's training zip (``Tissue Images`` + ``Annotations``) and flat test folder, a folder with
``tiles.csv`` or ``items.csv``, ``images/`` + ``masks/`` (or ``imgs/`` + ``mat/``), pictures in ``imgs/`` with their
annotations in the folder above, and NAME.png beside NAME_labels.png, NAME-labelled.png, NAME_mask.png, NAME.xml or
NAME.xml.gz; each also below ``train``, ``test`` and ``val``; and everything in `sian.data.formats`. A new layout is one
function here, a new format one file there. Nothing is read but names, tables and the headers of formats that hold
many items in one file.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sian.data import item_tables, monuseg
from sian.data.dataset import tcga_patient, tcga_preparation
from sian.data.folder_names import IMAGE_FOLDERS, MASK_FOLDERS, SPLIT_FOLDERS
from sian.data.formats import FORMATS
from sian.data.pairs import Collection, Pair
from sian.data.provenance import read_provenance, with_provenance
from sian.data.tile_names import OUTLINE_SUFFIXES, composed, full_stem, is_other_json, unmarked
from sian.errors import BadInput
from sian.files.images import IMAGE_SUFFIXES, SCANNER_SUFFIXES, ZARR_SUFFIXES
from sian.masks.files import MASK_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Container, Iterable
    from pathlib import Path

    from sian.data.provenance import Provenance

ARCHIVE_SUFFIXES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz")
SLIDE = (
    "found a slide, expected a tile: a data set holds annotated tiles; import the slide's annotated regions one by "
    "one, each with --region X,Y,WIDTH,HEIGHT"
)
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
    if source.is_file() or source.suffix.lower() in ZARR_SUFFIXES:
        return _one_image(source)
    for table, reader in (("tiles.csv", item_tables.read_tiles), ("items.csv", item_tables.read_items)):
        if (source / table).is_file():
            found = reader(source)
            return replace(found, pairs=tuple(_unique(source, found.pairs)))
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
    if path.suffix.lower() in (*SCANNER_SUFFIXES, *ZARR_SUFFIXES):
        raise BadInput(f"{path}: {SLIDE}")
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise BadInput(f"{path}: found {path.suffix or 'no suffix'}, expected an image as {', '.join(IMAGE_SUFFIXES)}")
    return _known(Collection(path.stem, (Pair(composed(path.stem), path, annotation_beside(path)),)))


def annotation_beside(path: Path) -> Path:
    """The annotation that lies beside a picture and has its name.

    Raises:
        BadInput: none, or several.
    """
    stem = composed(path.stem)
    annotations = [
        file for file in _annotations([path.parent], {stem}) if file != path and _stem_among(file, {stem}) == stem
    ]
    if len(annotations) != 1:
        raise BadInput(
            f"{path}: found {len(annotations)} annotations beside it, expected one named {path.stem}.xml, "
            f"{path.stem}.xml.gz, {path.stem}.geojson or {path.stem}_labels.png"
        )
    return annotations[0]


def _folder_pairs(folder: Path, split: str | None, depth: int) -> Iterable[Pair]:
    """The pairs in a folder and below it."""
    below = [child for child in sorted(folder.iterdir()) if child.is_dir() and not child.name.startswith((".", "__"))]
    images = [child for child in below if child.name.lower() in IMAGE_FOLDERS]
    masks = [child for child in below if child.name.lower() in MASK_FOLDERS]
    pictures = [file for child in images for file in _files(child, IMAGE_SUFFIXES)]
    stems = {composed(picture.stem) for picture in pictures}
    apart = _annotations(masks or [folder], stems) if images else []
    if images and (masks or any(_stem_among(file, stems) in stems for file in apart)):
        yield from _match(folder, pictures, apart, split)
        return
    files = _files(folder, IMAGE_SUFFIXES)
    annotations = _annotations([folder], {composed(file.stem) for file in files})
    pictures = _pictures(files, annotations)
    annotations = [file for file in annotations if file not in pictures]
    if pictures or annotations:
        yield from _match(folder, pictures, annotations, split)
    if depth:
        for child in below:
            yield from _folder_pairs(child, SPLIT_FOLDERS.get(child.name.lower(), split), depth - 1)


def _pictures(files: list[Path], annotations: list[Path]) -> list[Path]:
    """Which files are pictures: those without a mask's mark, and those that an annotation belongs to by its name."""
    outlines = {full_stem(file) for file in annotations if file.suffix.lower() not in MASK_SUFFIXES}
    marked = {unmarked(full_stem(file)) for file in annotations if file.suffix.lower() in MASK_SUFFIXES}
    stems = {file: composed(file.stem) for file in files}
    return [file for file, stem in stems.items() if unmarked(stem) == stem or stem in outlines | marked]


def _match(folder: Path, images: list[Path], annotations: list[Path], split: str | None) -> list[Pair]:
    """Pair images and annotations by name; complain of everything that is left over, in one go."""
    stems = {composed(image.stem) for image in images}
    by_stem: dict[str, list[Path]] = {}
    for annotation in annotations:
        by_stem.setdefault(_stem_among(annotation, stems), []).append(annotation)
    pairs, problems = [], []
    for image in images:
        found = _exact(by_stem.pop(composed(image.stem), []))
        if len(found) == 1:
            pairs.append(Pair(composed(image.stem), image, found[0], split=split or "train"))
        else:
            names = ", ".join(file.name for file in found) or "none"
            problems.append(f"{image.name} needs one annotation, found {names}")
    problems += [f"{file.name} has no image" for files in by_stem.values() for file in files]
    if problems:
        raise BadInput(f"{folder}: {'; '.join(problems)}; {LAYOUTS}; add what is missing or move the rest away")
    return pairs


def _stem_among(annotation: Path, stems: Container[str]) -> str:
    """The stem of the picture that an annotation is of: its own, or its own without a mask's mark."""
    stem = full_stem(annotation)
    return stem if stem in stems else unmarked(stem)


def _exact(found: list[Path]) -> list[Path]:
    """HoVer-Net writes NAME.mat and NAME.json of the same nuclei: the first has their pixels."""
    endings = sorted(file.suffix.lower() for file in found)
    return [file for file in found if file.suffix.lower() == ".mat"] if endings == [".json", ".mat"] else found


def _unique(source: Path, pairs: Iterable[Pair]) -> list[Pair]:
    found = list(pairs)
    if not found and (slides := [file for file in source.rglob("*") if file.suffix.lower() in SCANNER_SUFFIXES]):
        raise BadInput(f"{min(slides)}: {SLIDE}")
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


def _several_sets(source: Path, sets: list[Path]) -> Collection:
    """A folder of folders with ``items.csv``: the ids get their set's name in front."""
    collections = [item_tables.read_items(folder) for folder in sets]
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


def _annotations(folders: list[Path], stems: Container[str]) -> list[Path]:
    """Files that may be annotations; JSON only of a picture's name and as hover_net writes it."""
    files = [file for folder in folders for file in _files(folder, (*OUTLINE_SUFFIXES, *MASK_SUFFIXES))]
    return [file for file in files if file.suffix.lower() != ".json" or _is_of_one(file, stems)]


def _is_of_one(file: Path, stems: Container[str]) -> bool:
    return full_stem(file) in stems and not is_other_json(file)


def _files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    files = (file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith("."))
    return [file for file in files if file.name.lower().endswith(endings)]
