"""OME-TIFF: SPLIT/ID.ome.tif, tiled and pyramidal, and SPLIT/ID_labels.ome.tif with the ids.

Lossless (deflate). Where it comes from, and the classes of the nuclei, are OME map annotations.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.formats.format import Format, Sample, as_mask, as_picture, files_in, folders_below, name_collisions
from sian.data.formats.pixelsize import agreed_size, microns, square_pixel
from sian.data.formats.pyramid import mask_levels, picture_levels
from sian.data.pairs import Annotated, Pair
from sian.data.provenance import origin_text
from sian.errors import BadInput, first_line
from sian.files.images import MAX_PIXELS
from sian.files.regular import check_filled
from sian.files.tiff import read_pages
from sian.masks import nucleus_ids
from sian.masks.files import MAX_PNG_ID, tiff_arrays, tiff_description

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
CHANNELS = 3
OME_COLOURS = ("-16776961", "16711935", "65535")  # red, green, blue as OME-XML writes them: RGBA, signed
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
                        name,
                        image,
                        labels,
                        split=split,
                        read_picture=partial(_picture, image),
                        read_annotation=partial(_labels, image),
                    )
                )
    return pairs or None


def _picture(path: Path) -> npt.NDArray[np.uint8]:
    arrays, description = _read(path, most=CHANNELS)
    array = _colours(path, arrays, description)
    if array.dtype != np.uint8:
        raise BadInput(f"{path}: found {array.dtype} pixels, expected 8-bit RGB; export it as such")
    return as_picture(array, str(path))


def _colours(path: Path, arrays: list[npt.NDArray[Any]], description: str) -> npt.NDArray[Any]:
    """R, G, B last, however the file arranges them: in each pixel, in planes of a page, or a page each."""
    root = parse_xml(path, description) if description.lstrip().startswith("<") else None
    channels = [] if root is None else root.findall(".//{*}Pixels/{*}Channel")
    _check_order(path, [channel.get("Color") for channel in channels])
    if len(arrays) == 1:
        planar = arrays[0].ndim == 3 and arrays[0].shape[0] == CHANNELS != arrays[0].shape[2]
        return np.moveaxis(arrays[0], 0, -1) if planar else arrays[0]
    pixels = None if root is None else root.find(".//{*}Pixels")
    sizes = [] if pixels is None else [pixels.get(f"Size{axis}") for axis in "CZT"]
    if len(arrays) != CHANNELS or sizes != ["3", "1", "1"] or len({array.shape for array in arrays}) != 1:
        raise BadInput(f"{path}: found {len(arrays)} pages that are not R, G and B, {EXPECTED}; export one plane alone")
    return np.stack(arrays, axis=-1)


def _check_order(path: Path, colours: list[str | None]) -> None:
    """Refuse channels that are said to be red, green and blue in another order: the picture would be blue."""
    if len(colours) == CHANNELS and set(colours) == set(OME_COLOURS) and tuple(colours) != OME_COLOURS:
        raise BadInput(f"{path}: its channels are not in the order red, green, blue; export them in that order")


def _labels(image: Path, path: Path, height: int, width: int) -> Annotated:
    (array,), description = _read(path, most=1)
    mask = as_mask(array, str(path), height, width)
    root = parse_xml(path, description)
    notes = {entry.get("K", ""): entry.text or "" for entry in root.iterfind(".//{*}MapAnnotation/{*}Value/{*}M")}
    mpp = agreed_size(str(path), _image_mpp(image), pixel_size(path, root))
    return Annotated(mask, _classes(path, notes.get("Classes"), mask), {"mpp": mpp} if mpp else {})


def _read(path: Path, most: int) -> tuple[list[npt.NDArray[Any]], str]:
    """The pages at full size, and their OME-XML."""
    check_filled(path, "an OME-TIFF")
    pages = read_pages(path, most=most, max_pixels=MAX_PIXELS)
    if sum(page.width * page.height * page.samples for page in pages) > (CHANNELS + 1) * MAX_PIXELS:
        raise BadInput(f"{path}: found {pages[0].samples} numbers a pixel, {EXPECTED}; export it as RGB")
    arrays = tiff_arrays(path)
    return arrays, tiff_description(path)


def parse_xml(path: Path, description: str) -> Any:
    """The root of a description's OME-XML.

    Raises:
        BadInput: none, or not plain XML.
    """
    from xml.etree.ElementTree import ParseError  # the exception only; defusedxml parses

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    if not description.lstrip().startswith("<") or len(description) > MAX_XML:
        raise BadInput(f"{path}: holds no OME-XML, or the file is cut short; copy or export it again")
    try:
        return fromstring(description.encode(), forbid_dtd=True)
    except (DefusedXmlException, ParseError, ValueError, LookupError) as error:
        raise BadInput(
            f"{path}: its OME-XML is broken ({first_line(error)}); expected plain XML; export it again"
        ) from error


def _image_mpp(image: Path) -> float | None:
    description = tiff_description(image)
    return pixel_size(image, parse_xml(image, description)) if description.lstrip().startswith("<") else None


def pixel_size(path: Path, root: Any) -> float | None:
    """Micrometres per pixel, if the XML says so; the unit is micrometres unless it says another."""
    pixels = root.find(".//{*}Pixels")
    if pixels is None:
        return None
    sizes = (microns(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "XY")
    return square_pixel(str(path), *sizes)


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
