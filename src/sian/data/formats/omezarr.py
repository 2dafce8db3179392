"""OME-Zarr 0.5 (Zarr 3): SPLIT/ID.ome.zarr with the image as c, y, x and labels/nuclei with the ids.

Needs the extra ``sian[formats]``. Reading takes 0.4 (Zarr 2) as well, shards, bioformats2raw's layout and any name that
ends in .zarr; metadata and chunks are judged before Zarr sees a byte, see `sian.data.formats.zarrfiles`.
"""

from __future__ import annotations

import itertools
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.formats.format import FOLDER_DEPTH, Format, Sample, as_mask, as_picture, class_names
from sian.data.formats.pixelsize import agreed_size, microns, square_pixel
from sian.data.formats.pyramid import mask_levels, picture_levels
from sian.data.formats.typeinfo import class_colour
from sian.data.formats.zarrfiles import array_shape, attributes, is_stored, read_array, zarr_library
from sian.data.pairs import Annotated, Pair
from sian.data.provenance import item_origin
from sian.errors import BadInput
from sian.masks import nucleus_ids
from sian.masks.files import MAX_PNG_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from sian.data.dataset import Dataset, Item
    from sian.data.provenance import Provenance

VERSION = "0.5"
ENDING = ".ome.zarr"
ENDINGS = (".zarr", ".ngff")
GROUP_FILES = ("zarr.json", ".zgroup", ".zattrs")
LAYOUT = "bioformats2raw.layout"
MAX_SERIES = 1000
MAX_LEVELS = 32
LABELS = "nuclei"
CHUNK = 256  # pixels on a side
COLOURS = (("Red", "FF0000"), ("Green", "00FF00"), ("Blue", "0000FF"))
EXPECTED = "expected OME-Zarr 0.4 or 0.5 with one RGB image and labels"


def write(folder: Path, dataset: Dataset, samples: Iterable[Sample]) -> None:
    """Write a data set; see `Format.write`.

    Raises:
        MissingResource: zarr is not installed.
    """
    zarr = zarr_library()
    names = class_names(dataset)
    for sample in samples:
        item = sample.item
        part = folder / item.split
        part.mkdir(exist_ok=True)
        root = zarr.open_group(str(part / (item.id + ENDING)), mode="w", zarr_format=3)
        levels = [np.moveaxis(level, -1, 0) for level in picture_levels(sample.image)]
        _write_levels(root, levels, "cyx")
        root.attrs["ome"] = {
            "version": VERSION,
            "multiscales": [_multiscale(item, len(levels), "cyx")],
            "omero": {"channels": [_channel(name, colour) for name, colour in COLOURS]},
        }
        root.attrs["provenance"] = item_origin(item, dataset.info)
        labels = root.create_group("labels")
        labels.attrs["ome"] = {"version": VERSION, "labels": [LABELS]}
        _write_labels(labels.create_group(LABELS), sample, names)


def _write_labels(group: Any, sample: Sample, names: list[str]) -> None:
    kind = np.uint16 if int(sample.mask.max()) <= MAX_PNG_ID else np.uint32
    levels = mask_levels(sample.mask.astype(kind))
    _write_levels(group, levels, "yx")
    label: dict[str, Any] = {"source": {"image": "../../"}}
    classes = sample.item.class_by_id
    if classes:
        ids = sorted(classes)
        label["properties"] = [{"label-value": nucleus, "class": classes[nucleus]} for nucleus in ids]
        label["colors"] = [
            {"label-value": nucleus, "rgba": [*class_colour(names.index(classes[nucleus]), len(names)), 255]}
            for nucleus in ids
        ]
    group.attrs["ome"] = {
        "version": VERSION,
        "multiscales": [_multiscale(sample.item, len(levels), "yx")],
        "image-label": label,
    }


def _write_levels(group: Any, levels: list[npt.NDArray[Any]], axes: str) -> None:
    for number, level in enumerate(levels):
        chunks = tuple(side if axis == "c" else min(side, CHUNK) for side, axis in zip(level.shape, axes, strict=True))
        array = group.create_array(
            str(number),
            shape=level.shape,
            chunks=chunks,
            dtype=level.dtype,
            dimension_names=list(axes),
            config={"write_empty_chunks": True},  # a chunk that is missing is one that was lost
        )
        array[...] = level


def _multiscale(item: Item, count: int, axes: str) -> dict[str, Any]:
    unit = {"unit": "micrometer"} if item.mpp else {}
    kinds: dict[str, dict[str, str]] = {"c": {"type": "channel"}}
    described = [{"name": axis, **kinds.get(axis, {"type": "space", **unit})} for axis in axes]
    datasets = []
    for level in range(count):
        scale = [1.0 if axis == "c" else (item.mpp or 1.0) * 2**level for axis in axes]
        datasets.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    return {"name": item.id, "axes": described, "datasets": datasets}


def _channel(name: str, colour: str) -> dict[str, Any]:
    window = {"start": 0, "end": 255, "min": 0, "max": 255}
    return {"label": name, "color": colour, "active": True, "window": window}


def find(source: Path, provenance: Provenance | None) -> list[Pair] | None:  # noqa: ARG001 - the shape of `Format.find`
    """Find stores, whose folders end in .zarr; see `Format.find`. The source itself may be one, whatever its name."""
    if source.name.lower().endswith(ENDINGS) or any((source / name).is_file() for name in GROUP_FILES):
        return _pairs(source, "train")
    pairs = [pair for folder, store in _stores(source, FOLDER_DEPTH) for pair in _pairs(store, _split(source, folder))]
    return pairs or None


def _stores(folder: Path, depth: int) -> Iterator[tuple[Path, Path]]:
    """The stores in a folder and below it, each with the folder it lies in; nothing inside a store is walked."""
    below = [child for child in sorted(folder.iterdir()) if child.is_dir() and not child.is_symlink()]
    yield from ((folder, child) for child in below if child.name.lower().endswith(ENDINGS))
    for child in below if depth else []:
        if not child.name.startswith((".", "__")) and not child.name.lower().endswith(ENDINGS):
            yield from _stores(child, depth - 1)


def _split(source: Path, folder: Path) -> str:
    return folder.name if folder != source else "train"


def _pairs(store: Path, split: str) -> list[Pair]:
    """The images of a store that have labels: one, or several in bioformats2raw's layout."""
    name = store.name[: store.name.lower().rindex(".zarr")] if store.name.lower().endswith(".zarr") else store.name
    name = name.removesuffix(".ome")
    about = attributes(store)
    if "plate" in about:
        raise BadInput(f"{store}: found a plate of wells, {EXPECTED}; export the images alone")
    if LAYOUT not in about:
        return [_pair(store, store, name, split)]
    images = [image for image in _series(store) if (image / "labels").is_dir()]
    if not images:
        raise BadInput(f"{store}: found no image with labels, {EXPECTED}; export the instance mask with it")
    ids = [name] if len(images) == 1 else [f"{name}-{image.name}" for image in images]
    return [_pair(store, image, own, split) for image, own in zip(images, ids, strict=True)]


def _series(store: Path) -> list[Path]:
    """The images of bioformats2raw's layout: those that its OME group lists, else 0, 1, 2, ..."""
    listed = attributes(store / "OME").get("series")
    if isinstance(listed, list) and all(
        isinstance(name, str) and name.isdecimal() and len(name) < 20 for name in listed
    ):
        return [store / name for name in listed[:MAX_SERIES]]
    return list(itertools.takewhile(Path.is_dir, (store / str(number) for number in range(MAX_SERIES))))


def _pair(store: Path, image: Path, name: str, split: str) -> Pair:
    return Pair(
        name,
        store,
        store,
        split=split,
        part="" if image == store else image.name,
        read_picture=partial(_picture, store, image),
        read_annotation=partial(_annotation, image),
    )


def _picture(store: Path, image: Path) -> npt.NDArray[np.uint8]:
    multiscale, place = _first_level(store, image)
    check_channels(image)
    array = _plane(store, read_array(store, place, whole=True), axes_of(multiscale, place), "cyx")
    if array.dtype != np.uint8:
        raise BadInput(f"{store}: found {array.dtype} pixels, {EXPECTED} in 8 bits; export it as such")
    return as_picture(np.moveaxis(array, 0, -1), str(store))


def check_channels(image: Path) -> None:
    """Refuse channels that are said to be red, green and blue in another order: the picture would be blue."""
    omero = attributes(image).get("omero")
    channels = omero.get("channels") if isinstance(omero, dict) else None
    listed = channels if isinstance(channels, list) else []
    found = [str(channel.get("color")).upper() for channel in listed if isinstance(channel, dict)]
    wanted = [colour for _, colour in COLOURS]
    if sorted(found) == sorted(wanted) and found != wanted:
        raise BadInput(f"{image}: its channels are not in the order red, green, blue; export them in that order")


def _annotation(image: Path, store: Path, height: int, width: int) -> Annotated:
    group = image / "labels" / label_name(image)
    multiscale, place = _first_level(store, group)
    array = _plane(store, read_array(store, place, whole=False), axes_of(multiscale, place), "yx")
    mask = as_mask(array, str(place), height, width)
    picture, _ = _first_level(store, image)
    mpp = agreed_size(str(group), pixel_size(image, picture), pixel_size(group, multiscale))
    drawn: dict[str, int] | None = (
        None if is_stored(store, place) else {}
    )  # lost files look the same: only with --empty
    return Annotated(mask, _classes(group, mask), {"mpp": mpp} if mpp else {}, drawn=drawn)


def label_name(image: Path) -> str:
    """Which of an image's labels hold the nuclei."""
    names = attributes(image / "labels").get("labels")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadInput(f"{image}: found no labels, {EXPECTED}; export the instance mask with it")
    if LABELS in names:
        return LABELS
    if len(names) != 1:
        raise BadInput(f"{image}: found the labels {', '.join(names)[:200]}, expected one or {LABELS!r}; keep one")
    return str(names[0])


def _first_level(store: Path, group: Path) -> tuple[dict[str, Any], Path]:
    """The multiscale of a group, and the folder of its largest array, which comes first."""
    multiscale, places = all_levels(store, group)
    return multiscale, places[0]


def all_levels(store: Path, group: Path) -> tuple[dict[str, Any], list[Path]]:
    """The multiscale of a group, and the folders of its arrays, the largest first.

    Raises:
        BadInput: no multiscale, several of them, or paths that lead elsewhere.
    """
    multiscales = attributes(group).get("multiscales")
    try:
        multiscale = multiscales[0]  # type: ignore[index]
        paths = [level["path"] for level in multiscale["datasets"]]
        paths[0]
    except (TypeError, KeyError, IndexError) as error:
        raise BadInput(f"{group}: found no multiscales, {EXPECTED}; export it again") from error
    if len(multiscales) > 1:  # type: ignore[arg-type]
        raise BadInput(f"{group}: found several images (multiscales), {EXPECTED}; export one alone")
    for path in paths[:MAX_LEVELS]:
        if not isinstance(path, str) or "\\" in path or "\0" in path:
            raise BadInput(f"{group}: found the path {path!r}, expected one inside {store.name}; export it again")
    sizes = [math.prod(array_shape(store, group / path)) for path in paths[:MAX_LEVELS] if _is_array(group / path)]
    if sizes and max(sizes) > sizes[0]:
        raise BadInput(f"{group}: its first level is not the largest, which the format demands; export it again")
    return multiscale, [group / path for path in paths[:MAX_LEVELS]]


def _is_array(place: Path) -> bool:
    return (place / "zarr.json").is_file() or (place / ".zarray").is_file()


def axes_of(multiscale: dict[str, Any], place: Path) -> str:
    """The axes' letters in the array's order, e.g. "cyx"."""
    try:
        names = [axis if isinstance(axis, str) else axis["name"] for axis in multiscale["axes"]]
    except (TypeError, KeyError) as error:
        raise BadInput(f"{place}: found no axes, {EXPECTED}; export it again") from error
    if not all(isinstance(name, str) and len(name) == 1 for name in names) or len(set(names)) != len(names):
        raise BadInput(f"{place}: found the axes {str(names)[:100]}, expected t, c, z, y, x; export it again")
    return "".join(names)


def _plane(store: Path, array: npt.NDArray[Any], axes: str, wanted: str) -> npt.NDArray[Any]:
    """An array with the wanted axes in their order; others must have length 1."""
    if len(axes) != array.ndim or not set(wanted) <= set(axes):
        raise BadInput(f"{store}: found axes {axes} for shape {array.shape}, expected {', '.join(wanted)} among them")
    for place, axis in reversed(list(enumerate(axes))):
        if axis not in wanted:
            if array.shape[place] != 1:
                raise BadInput(
                    f"{store}: found {array.shape[place]} planes along {axis}, expected one; export one alone"
                )
            array = array.take(0, axis=place)
            axes = axes[:place] + axes[place + 1 :]
    return array.transpose([axes.index(axis) for axis in wanted])


def pixel_size(group: Path, multiscale: dict[str, Any]) -> float | None:
    """Micrometres per pixel, if the axes have units of length: the level's scale times that of all levels."""
    try:
        axes = {axis["name"]: (place, axis.get("unit")) for place, axis in enumerate(multiscale["axes"])}
        scales = [
            _scale(transformed.get("coordinateTransformations"), len(axes))
            for transformed in (multiscale["datasets"][0], multiscale)
        ]
        sides = [microns(scales[0][place] * scales[1][place], unit) for place, unit in (axes["x"], axes["y"])]
    except (TypeError, KeyError, IndexError, ValueError, AttributeError, OverflowError):
        return None
    return square_pixel(str(group), *sides)


def _scale(transformations: Any, axes: int) -> list[float]:
    """The scale among the transformations of a level, 1 where there is none."""
    listed = transformations if isinstance(transformations, list) else []
    found = [entry["scale"] for entry in listed if isinstance(entry, dict) and entry.get("type") == "scale"]
    return [float(number) for number in found[0]] if found else [1.0] * axes


def _classes(group: Path, mask: npt.NDArray[np.int32]) -> dict[int, str]:
    label = attributes(group).get("image-label")
    properties = label.get("properties") if isinstance(label, dict) else None
    if not isinstance(properties, list):
        return {}
    present = set(nucleus_ids(mask).tolist())
    found = [(entry.get("label-value"), entry.get("class")) for entry in properties if isinstance(entry, dict)]
    kept = ((number, name) for number, name in found if isinstance(number, int) and isinstance(name, str))
    return {number: name for number, name in kept if number in present and name.strip()}


FORMAT = Format(
    name="ome-zarr",
    describes="OME-Zarr 0.5: SPLIT/ID.ome.zarr with an RGB pyramid and labels/nuclei (needs sian[formats])",
    losses="Holds pixels, ids, classes and mpp whole; split, organ and patient only as notes and in provenance.json.",
    write=write,
    find=find,
)
