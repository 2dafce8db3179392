"""OME-TIFF: SPLIT/ID.ome.tif, tiled and pyramidal, and SPLIT/ID_labels.ome.tif with the ids.

Lossless (deflate). Where it comes from, and the classes of the nuclei, are OME map annotations.
"""

from __future__ import annotations

import json
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.formats.format import (
    Format,
    Sample,
    as_mask,
    as_picture,
    check_shape,
    files_in,
    folders_below,
    name_collisions,
)
from sian.data.formats.pyramid import mask_levels, picture_levels
from sian.data.pairs import Annotated, Pair
from sian.data.provenance import origin_text
from sian.errors import BadInput, first_line
from sian.files.images import DECODE_ERRORS
from sian.masks import nucleus_ids
from sian.masks.files import MAX_PNG_ID, QUIET, check_whole

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy.typing as npt

    from sian.data.dataset import Dataset
    from sian.data.provenance import Provenance

ENDINGS = (".ome.tif", ".ome.tiff")
LABELS_MARK = "_labels"
TILE = (256, 256)
NAMESPACE = "sian.provenance/1"
MAX_XML = 16 << 20
MICRONS = {"µm", "μm", "um", None}  # the two ways to write micro; micrometres are OME's default
SLACK_BYTES = 4096  # by which a compressed tile may exceed its pixels
EXPECTED = "expected one page of an OME-TIFF"


def write(folder: Path, dataset: Dataset, samples: Iterable[Sample]) -> None:
    """Write a data set; see `Format.write`."""
    for sample in samples:
        part = folder / sample.item.split
        part.mkdir(exist_ok=True)
        origin = origin_text(sample.item, dataset.info)
        _write_pyramid(part / f"{sample.item.id}.ome.tif", picture_levels(sample.image), sample, origin)
        kind = np.uint16 if int(sample.mask.max()) <= MAX_PNG_ID else np.uint32
        if sample.item.classes:
            origin = {**origin, "Classes": json.dumps(sample.item.classes)}
        levels = mask_levels(sample.mask.astype(kind))
        _write_pyramid(part / f"{sample.item.id}{LABELS_MARK}.ome.tif", levels, sample, origin)


def _write_pyramid(path: Path, levels: list[npt.NDArray[Any]], sample: Sample, origin: dict[str, str]) -> None:
    import tifffile

    colour = levels[0].ndim == 3
    metadata: dict[str, Any] = {
        "axes": "YXS" if colour else "YX",
        "Name": sample.item.id,
        "MapAnnotation": {"Namespace": NAMESPACE, **origin},
    }
    if sample.item.mpp:
        metadata |= {"PhysicalSizeX": sample.item.mpp, "PhysicalSizeXUnit": "µm"}
        metadata |= {"PhysicalSizeY": sample.item.mpp, "PhysicalSizeYUnit": "µm"}
    options: dict[str, Any] = {
        "photometric": "rgb" if colour else "minisblack",
        "tile": TILE,
        "compression": "zlib",
        "maxworkers": 1,
    }
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(levels[0], subifds=len(levels) - 1, metadata=metadata, software="sian", **options)
        for level in levels[1:]:
            file.write(level, subfiletype=1, metadata=None, **options)


def find(source: Path, provenance: Provenance | None) -> list[Pair] | None:  # noqa: ARG001 - the shape of `Format.find`
    """Find ID.ome.tif with ID_labels.ome.tif; see `Format.find`."""
    pairs = []
    for folder in folders_below(source):
        files = {file.name[: file.name.lower().rindex(".ome.")]: file for file in files_in(folder, ENDINGS)}
        for name, image in files.items():
            if name + LABELS_MARK in files:
                split = folder.name if folder != source else "train"
                labels = files[name + LABELS_MARK]
                pairs.append(
                    Pair(
                        name, image, labels, split=split, read_picture=partial(_picture, image), read_annotation=_labels
                    )
                )
    return pairs or None


def _picture(path: Path) -> npt.NDArray[np.uint8]:
    array, _ = _read(path)
    if array.dtype != np.uint8:
        raise BadInput(f"{path}: found {array.dtype} pixels, expected 8-bit RGB; export it as such")
    return as_picture(array, str(path))


def _labels(path: Path, height: int, width: int) -> Annotated:
    array, description = _read(path)
    mask = as_mask(array, str(path), height, width)
    mpp, notes = _ome(path, description)
    return Annotated(mask, _classes(path, notes.get("Classes"), mask), {"mpp": mpp} if mpp else {})


def _read(path: Path) -> tuple[npt.NDArray[Any], str]:
    """The first page at full size, and its OME-XML; other files that the XML names are never opened."""
    import tifffile

    logging.getLogger("tifffile").addHandler(QUIET)
    try:
        with tifffile.TiffFile(path, is_ome=False) as file:
            if len(file.pages) != 1:
                raise BadInput(f"{path}: found {len(file.pages)} pages, {EXPECTED}; export one plane alone")
            page = file.pages.first
            check_shape(str(path), page.shape)
            check_shape(str(path), page.chunks)
            check_whole(path, page)
            raw = int(np.prod(page.chunks)) * np.dtype(page.dtype).itemsize
            if max(page.databytecounts, default=0) > raw + SLACK_BYTES:
                raise BadInput(f"{path}: found a tile larger than its pixels, {EXPECTED}; export it again")
            return np.asarray(page.asarray(maxworkers=1)), page.description
    except BadInput:
        raise
    except (*DECODE_ERRORS, AttributeError, RuntimeError, MemoryError, AssertionError) as error:
        raise BadInput(f"{path}: cannot be read as TIFF ({first_line(error)}), {EXPECTED}; export it again") from error


def _ome(path: Path, description: str) -> tuple[float | None, dict[str, str]]:
    """Micrometres per pixel and the map annotation, from OME-XML."""
    from xml.etree.ElementTree import ParseError  # the exception only; defusedxml parses

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    if not description.lstrip().startswith("<") or len(description) > MAX_XML:
        raise BadInput(f"{path}: holds no OME-XML, or the file is cut short; copy or export it again")
    try:
        root = fromstring(description.encode(), forbid_dtd=True)
    except (DefusedXmlException, ParseError, ValueError, LookupError) as error:
        raise BadInput(
            f"{path}: its OME-XML is broken ({first_line(error)}); expected plain XML; export it again"
        ) from error
    pixels = root.find(".//{*}Pixels")
    notes = {entry.get("K", ""): entry.text or "" for entry in root.iterfind(".//{*}MapAnnotation/{*}Value/{*}M")}
    return (None if pixels is None else _mpp(pixels)), notes


def _mpp(pixels: Any) -> float | None:
    try:
        mpp = float(pixels.get("PhysicalSizeX", "nan"))
    except ValueError:
        return None
    return mpp if 0.01 <= mpp <= 100 and pixels.get("PhysicalSizeXUnit") in MICRONS else None


def _classes(path: Path, text: str | None, mask: npt.NDArray[np.int32]) -> dict[int, str]:
    if text is None:
        return {}
    present = set(nucleus_ids(mask).tolist())
    try:
        return {
            int(nucleus): str(name) for name, ids in json.loads(text).items() for nucleus in ids if nucleus in present
        }
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"{path}: its classes are not JSON as SIAN writes it; export it again") from error


FORMAT = Format(
    name="ome-tiff",
    describes="OME-TIFF: SPLIT/ID.ome.tif and SPLIT/ID_labels.ome.tif, tiled, pyramidal, lossless",
    losses="Holds pixels, ids, classes and mpp whole; split, organ and patient only as notes and in provenance.json.",
    write=write,
    find=find,
    problems=partial(name_collisions, marks=(LABELS_MARK,)),
)
