"""OME-Zarr 0.5 (Zarr 3): SPLIT/ID.ome.zarr with the image as c, y, x and labels/nuclei with the ids.

Needs the extra ``sian[formats]``. Reading takes 0.4 (Zarr 2) as well; the metadata are read and judged here before
Zarr sees a byte: integers only, no object codecs, no links out of the folder.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.formats.format import Format, Sample, as_mask, as_picture, class_names, folders_below
from sian.data.formats.pyramid import mask_levels, picture_levels
from sian.data.formats.typeinfo import class_colour
from sian.data.formats.zarrfiles import attributes, read_array, zarr_library
from sian.data.pairs import Annotated, Pair
from sian.data.provenance import item_origin
from sian.errors import BadInput
from sian.masks import nucleus_ids
from sian.masks.files import MAX_PNG_ID

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy.typing as npt

    from sian.data.dataset import Dataset, Item
    from sian.data.provenance import Provenance

VERSION = "0.5"
ENDING = ".ome.zarr"
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
            str(number), shape=level.shape, chunks=chunks, dtype=level.dtype, dimension_names=list(axes)
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
    """Find ID.ome.zarr; see `Format.find`."""
    if source.name.lower().endswith((ENDING, ".zarr")) and source.is_dir():
        return [_pair(source, "train")]
    pairs = []
    for folder in folders_below(source):
        if any(part.name.lower().endswith(".zarr") for part in (folder, *folder.parents) if part != source):
            continue
        split = folder.name if folder != source else "train"
        stores = (store for store in sorted(folder.iterdir()) if store.is_dir() and not store.is_symlink())
        pairs += [_pair(store, split) for store in stores if store.name.lower().endswith(ENDING)]
    return pairs or None


def _pair(store: Path, split: str) -> Pair:
    name = store.name[: store.name.lower().rindex(".zarr")].removesuffix(".ome")
    return Pair(
        name,
        store,
        store,
        split=split,
        read_picture=partial(_picture, store),
        read_annotation=_annotation,
    )


def _picture(store: Path) -> npt.NDArray[np.uint8]:
    multiscale, place = _first_level(store, store)
    array = _plane(store, read_array(store, place), _axes(multiscale, place), "cyx")
    if array.dtype != np.uint8:
        raise BadInput(f"{store}: found {array.dtype} pixels, {EXPECTED} in 8 bits; export it as such")
    return as_picture(np.moveaxis(array, 0, -1), str(store))


def _annotation(store: Path, height: int, width: int) -> Annotated:
    group = store / "labels" / _label_name(store)
    multiscale, place = _first_level(store, group)
    mask = as_mask(_plane(store, read_array(store, place), _axes(multiscale, place), "yx"), str(place), height, width)
    mpp = _mpp(multiscale)
    return Annotated(mask, _classes(group, mask), {"mpp": mpp} if mpp else {})


def _label_name(store: Path) -> str:
    names = attributes(store / "labels").get("labels")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadInput(f"{store}: found no labels, {EXPECTED}; export the instance mask with it")
    if LABELS in names:
        return LABELS
    if len(names) != 1:
        raise BadInput(f"{store}: found the labels {', '.join(names)[:200]}, expected one or {LABELS!r}; keep one")
    return str(names[0])


def _first_level(store: Path, group: Path) -> tuple[dict[str, Any], Path]:
    """The multiscale of a group, and the folder of its largest array."""
    multiscales = attributes(group).get("multiscales")
    try:
        multiscale = multiscales[0]  # type: ignore[index]
        path = multiscale["datasets"][0]["path"]
    except (TypeError, KeyError, IndexError) as error:
        raise BadInput(f"{group}: found no multiscales, {EXPECTED}; export it again") from error
    if not isinstance(path, str) or "\\" in path or "\0" in path:
        raise BadInput(f"{group}: found the path {path!r}, expected one inside {store.name}; export it again")
    return multiscale, group / path


def _axes(multiscale: dict[str, Any], place: Path) -> str:
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


def _mpp(multiscale: dict[str, Any]) -> float | None:
    """Micrometres per pixel along x, if the axes say that they are in micrometres."""
    try:
        axis = multiscale["axes"][-1]
        scale = multiscale["datasets"][0]["coordinateTransformations"][0]["scale"][-1]
        mpp = float(scale) if axis["unit"] == "micrometer" else None
    except (TypeError, KeyError, IndexError, ValueError):
        return None
    return mpp if mpp is not None and 0.01 <= mpp <= 100 else None


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
