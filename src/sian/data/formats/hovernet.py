"""HoVer-Net's and CoNSeP's layout: SPLIT/Images/ID.png and SPLIT/Labels/ID.mat.

The .mat holds inst_map (H, W), and per nucleus by ascending id inst_uid (n, 1), inst_centroid (n, 2) as x, y in
pixel indices, and inst_type (n, 1) and type_map (H, W) where classes are known. Lizard's names (id, class) are read
too. Only plain numeric variables of MATLAB 5 files are ever unpacked.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data.formats.format import (
    Format,
    Sample,
    as_mask,
    class_names,
    class_numbers,
    type_map,
    types_from_map,
    write_picture,
)
from sian.data.formats.matfile import EXPECTED, read_numeric
from sian.data.formats.typeinfo import name_types, write_type_info
from sian.data.pairs import Annotated
from sian.data.provenance import item_origin
from sian.errors import BadInput
from sian.masks import nucleus_ids
from sian.masks.checking import whole_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy.typing as npt

    from sian.data.dataset import Dataset

SPLIT_NAMES = {"train": "Train", "test": "Test"}  # CoNSeP's
IDS = ("inst_uid", "id")
TYPES = ("inst_type", "class")


def write(folder: Path, dataset: Dataset, samples: Iterable[Sample]) -> None:
    """Write a data set; see `Format.write`."""
    names = class_names(dataset)
    for sample in samples:
        part = folder / SPLIT_NAMES.get(sample.item.split, sample.item.split)
        write_picture(part / "Images" / f"{sample.item.id}.png", sample, dataset.info)
        (part / "Labels").mkdir(exist_ok=True)
        _write_mat(part / "Labels" / f"{sample.item.id}.mat", sample, dataset, names)
    if names:
        write_type_info(folder, names)


def _write_mat(path: Path, sample: Sample, dataset: Dataset, names: list[str]) -> None:
    from scipy.io import savemat

    ids = nucleus_ids(sample.mask)
    content: dict[str, Any] = {
        "inst_map": sample.mask,
        "inst_uid": ids.astype(np.int32)[:, None],
        "inst_centroid": _centroids(sample.mask, ids),
        "provenance": json.dumps(item_origin(sample.item, dataset.info)),
    }
    if names:
        numbers = class_numbers(sample.item, names)
        content["inst_type"] = np.array([numbers.get(int(nucleus), 0) for nucleus in ids], np.int32)[:, None]
        content["type_map"] = type_map(sample.mask, numbers)
    with path.open("wb") as stream:
        savemat(stream, content, do_compression=True)


def _centroids(mask: npt.NDArray[np.int32], ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Mean x, y of the pixels' indices, (n, 2), as HoVer-Net counts them: half a pixel less than our coordinates."""
    rows, columns = np.nonzero(mask)
    which = np.searchsorted(ids, mask[rows, columns])
    areas = np.bincount(which, minlength=len(ids))
    sums = [np.bincount(which, weights=values, minlength=len(ids)) for values in (columns, rows)]
    return np.stack(sums, axis=1) / areas[:, None]


def read(path: Path, height: int, width: int) -> Annotated:
    """Read one .mat; see `Format.annotations`."""
    content = read_numeric(path, {"inst_map", "type_map", *IDS, *TYPES})
    if "inst_map" not in content:
        raise BadInput(f"{path}: found no inst_map, {EXPECTED}; export it again")
    mask = as_mask(content["inst_map"], f"{path}, inst_map", height, width)
    return Annotated(mask, name_types(path, _types(path, content, mask)))


def _types(path: Path, content: dict[str, npt.NDArray[Any]], mask: npt.NDArray[np.int32]) -> dict[int, int]:
    present = nucleus_ids(mask)
    types = next((content[name] for name in TYPES if name in content), None)
    if types is None:
        if "type_map" not in content or content["type_map"].shape != mask.shape:
            return {}
        return types_from_map(mask, whole_numbers(content["type_map"], f"{path}, type_map"))
    numbers = whole_numbers(types, f"{path}, inst_type").ravel().tolist()
    given = next((content[name] for name in IDS if name in content), None)
    ids = present.tolist() if given is None else whole_numbers(given, f"{path}, inst_uid").ravel().tolist()
    if len(numbers) != len(ids) or len(set(ids)) != len(ids):
        raise BadInput(
            f"{path}: found {len(numbers)} types for {len(ids)} nuclei, expected one each, by ascending id of inst_map"
        )
    known = set(present.tolist())
    return {nucleus: number for nucleus, number in zip(ids, numbers, strict=True) if number > 0 and nucleus in known}


FORMAT = Format(
    name="hovernet",
    describes="HoVer-Net and CoNSeP: SPLIT/Images/ID.png, SPLIT/Labels/ID.mat (inst_map, inst_type, inst_centroid)",
    losses="Holds pixels, ids and classes whole; organ, split name, mpp, patient and the like only in provenance.json.",
    write=write,
    annotations={".mat": read},
)
