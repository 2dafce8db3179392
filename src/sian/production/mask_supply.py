"""Where masks come from: invented nuclei, or stored masks. What is handed to a worker holds all that it needs."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sian import seeds
from sian.data import open_dataset
from sian.data.class_file import classes_of_each
from sian.errors import BadInput, nearest
from sian.files import read_image, sha256_file
from sian.masks import nucleus_ids, read_mask
from sian.masks.files import MASK_SUFFIXES
from sian.nuclei.fit import Organ, default_fit, read_fit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from sian.layout import Layout
    from sian.production.plan import Plan

    Mask = npt.NDArray[np.int32]


@dataclass(frozen=True)
class InventedMask:
    """A mask of invented nuclei: a function of these fields alone."""

    organ: Organ
    height: int
    width: int
    seed: int
    glands: bool

    def make(self, tissue: bool = False) -> tuple[Mask, Layout]:
        """The mask and its layout, of glands with an invented tissue map for a model that takes some."""
        from sian.layout import describe
        from sian.nuclei import generate, glands, invent_tissue

        density = glands(self.height, self.width, self.seed) if self.glands else None
        mask = generate(self.height, self.width, self.organ, self.seed, density_map=density)
        told = tissue and density is not None
        return mask, describe(mask, tissue=invent_tissue(mask, self.seed, density_map=density) if told else None)

    def describe(self) -> dict[str, Any]:
        """What a record says of it."""
        return {"source": "nuclei", "organ": self.organ.name, "seed": self.seed, "glands": self.glands}

    def classes_in(self, mask: Mask) -> None:
        """Invented nuclei have none."""


@dataclass(frozen=True)
class StoredMask:
    """A mask from a file, or a window of it; `make` needs `loaded`, which holds its pixels."""

    path: Path
    name: str
    sha256: str
    size: tuple[int, int] | None
    seed: int
    pixels: bytes = b""  # .npy
    classes: Mapping[int, str] | None = None  # by id, for a model that knows some
    image: Path | None = None  # whose tissue is kept
    shown: bytes = b""  # its pixels, .npy

    def loaded(self) -> StoredMask:
        """The same with its pixels, for a worker that may not see the file."""
        shown = b"" if self.image is None else _packed(read_image(self.image))
        return replace(self, pixels=_packed(read_mask(self.path)), shown=shown)

    def make(self, tissue: bool = False) -> tuple[Mask, Layout]:
        """The mask and its layout; at a window's edge nuclei and tissue are as on the whole mask."""
        del tissue  # the plan says whether it is kept
        whole: Mask = np.load(io.BytesIO(self.pixels), allow_pickle=False)
        if self.size is None or whole.shape == self.size:
            return whole, self._layout(whole)
        (height, width), (rows, columns) = whole.shape, self.size
        if height < rows or width < columns:
            raise BadInput(
                f"{self.path}: found {height} x {width} px, expected at least {rows} x {columns}, the plan's "
                "masks.size; leave that mask out, or make size smaller"
            )
        random = seeds.generator(self.seed, "window")
        y, x = int(random.integers(height - rows + 1)), int(random.integers(width - columns + 1))
        window = np.ascontiguousarray(whole[y : y + rows, x : x + columns])
        return window, self._layout(whole).window(y, x, rows, columns)

    def describe(self) -> dict[str, Any]:
        """What a record says of it."""
        return {"source": self.name, "sha256": self.sha256, "seed": self.seed}

    def classes_in(self, mask: Mask) -> dict[str, list[int]] | None:
        """Ids by class name of the nuclei of a window, as an item has them."""
        if self.classes is None:
            return None
        there, found = set(nucleus_ids(mask).tolist()), dict[str, list[int]]()
        for number in sorted(there & set(self.classes)):
            found.setdefault(self.classes[number], []).append(number)
        return found

    def _layout(self, whole: Mask) -> Layout:
        from sian.layout import describe

        image = np.load(io.BytesIO(self.shown), allow_pickle=False) if self.shown else None
        try:
            return describe(whole, self.classes, tissue=image)
        except BadInput as error:
            raise BadInput(f"{self.path}: {error}") from None


def _packed(array: npt.NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


class InventedMasks:
    """Masks by `sian.nuclei`; `sha256` is that of the fit, None for the bundled one's."""

    def __init__(self, plan: Plan) -> None:
        section = plan.masks
        path = plan.path(section.fit) if section.fit else None
        self.fit = default_fit() if path is None else read_fit(path)
        self.sha256 = hashlib.sha256(self.fit.model_dump_json().encode()).hexdigest()
        size = section.size
        assert size is not None  # noqa: S101 - `Plan` has checked it
        self.height, self.width = size if isinstance(size, tuple) else (size, size)
        self.glands, self.licence = section.glands, self.fit.licence

    def check(self, organ: str) -> None:
        """Refuse an organ whose nuclei are unknown."""
        if organ not in self.fit.organs:
            raise BadInput(
                f"no nuclei are known of the organ {organ!r}{nearest(organ, self.fit.organs)}; name one with masks: in "
                "that style's entry"
            )

    def choose(self, organ: str, seed: int, turn: int) -> InventedMask:  # noqa: ARG002 - the shape of both sources
        """The mask of a seed."""
        glands = bool(seeds.generator(seed, "with glands").random() < self.glands)
        return InventedMask(self.fit.organs[organ], self.height, self.width, seed, glands)


class StoredMasks:
    """Masks of a folder or a data set, each style going around them in an order that the plan's seed shuffles.

    Args:
        plan: what was asked for.
        model_classes: the nuclear classes that the model knows; only asked for where the masks come with some.
    """

    def __init__(self, plan: Plan, model_classes: Callable[[], Sequence[str]]) -> None:
        self.folder, self.seed = plan.path(plan.masks.source), plan.seed
        size = plan.masks.size
        self.size = (size, size) if isinstance(size, int) else size
        found, self.licence = _of_dataset(self.folder, plan.masks.split) or _of_folder(self.folder)
        if plan.masks.keep == "tissue":
            _check_images(self.folder, found)
        else:
            found = [mask._replace(image=None) for mask in found]
        if not any(mask.classes for mask in found) or not model_classes():
            found = [mask._replace(classes=None) for mask in found]
        self.files = {mask.path: sha256_file(mask.path) for mask in found}
        self.classes = {mask.path: mask.classes for mask in found}
        self.images = {mask.path: mask.image for mask in found}
        listed = "\n".join(self._listed(mask) for mask in found)
        self.sha256 = hashlib.sha256(listed.encode()).hexdigest()
        self.by_organ: dict[str, list[Path]] = {"": [mask.path for mask in found]}
        for mask in found:
            if mask.organ:
                self.by_organ.setdefault(mask.organ, []).append(mask.path)
        self._orders: dict[str, npt.NDArray[np.int64]] = {}

    def folder_name(self, path: Path) -> str:
        """A mask's name in records: its path inside the source."""
        return path.relative_to(self.folder).as_posix()

    def _listed(self, mask: _Found) -> str:
        """A line of what `sha256` is of: all that decides a mask."""
        line = f"{mask.organ} {self.folder_name(mask.path)} {self.files[mask.path]}"
        if mask.image is not None:
            line += f" {sha256_file(mask.image)}"
        return line if mask.classes is None else f"{line} {json.dumps(mask.classes, sort_keys=True)}"

    def check(self, organ: str) -> None:
        """Refuse an organ that no mask is of; "" stands for all masks."""
        if organ not in self.by_organ:
            known = [name for name in self.by_organ if name]
            raise BadInput(f"{self.folder}: holds no mask of the organ {organ!r}{nearest(organ, known)}")

    def choose(self, organ: str, seed: int, turn: int) -> StoredMask:
        """Mask `turn` of an organ's, counted around.

        A style's images have turns in a row, and so have styles that share masks: within each style, and within all of
        them, a mask comes again only after all others.
        """
        paths = self.by_organ[organ]
        if organ not in self._orders:
            self._orders[organ] = seeds.generator(self.seed, f"order of masks {organ}").permutation(len(paths))
        path = paths[self._orders[organ][turn % len(paths)]]
        name = self.folder_name(path)
        classes, image = self.classes[path], self.images[path]
        return StoredMask(path, name, self.files[path], self.size, seed, classes=classes, image=image)


MaskOrder = InventedMask | StoredMask
MaskSource = InventedMasks | StoredMasks


class _Found(NamedTuple):
    organ: str
    path: Path
    classes: Mapping[int, str] | None
    image: Path | None = None


def _check_images(folder: Path, found: Sequence[_Found]) -> None:
    for mask in found:
        if mask.image is None or not mask.image.is_file():
            raise BadInput(
                f"{folder}: holds no image of the mask {mask.path.name}, expected one, whose tissue the plan's "
                "masks.keep asks for; give a data set (`sian data import`), or leave masks.keep out"
            )


def _of_dataset(folder: Path, split: str | None) -> tuple[list[_Found], str] | None:
    if not (folder / "dataset.json").is_file():
        return None
    data = open_dataset(folder)
    chosen = data.split(split) if split else data
    found = [
        _Found(item.organ, data.path(item.mask), item.class_by_id or None, data.path(item.image)) for item in chosen
    ]
    return found, data.info.licence


def _of_folder(folder: Path) -> tuple[list[_Found], str]:
    if not folder.is_dir():
        raise BadInput(
            f"{folder}: no such folder; expected the plan's masks.source as 'nuclei', a folder of masks or a data set"
        )
    files = sorted(
        file for file in folder.iterdir() if file.suffix.lower() in MASK_SUFFIXES and not file.name.startswith(".")
    )
    if not files:
        raise BadInput(f"{folder}: holds no masks, expected files that end in {', '.join(MASK_SUFFIXES)}")
    return [_Found("", file, known) for file, known in zip(files, classes_of_each(files), strict=True)], "unknown"
