"""Where masks come from: invented nuclei, or stored masks. What is handed to a worker holds all that it needs."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sian import seeds
from sian.data import open_dataset
from sian.errors import BadInput, nearest
from sian.files import sha256_file
from sian.masks import read_mask
from sian.masks.files import MASK_SUFFIXES
from sian.nuclei.fit import Organ, default_fit, read_fit

if TYPE_CHECKING:
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

    def make(self) -> tuple[Mask, Layout]:
        """The mask and its layout."""
        from sian.layout import describe
        from sian.nuclei import generate, glands

        density = glands(self.height, self.width, self.seed) if self.glands else None
        mask = generate(self.height, self.width, self.organ, self.seed, density_map=density)
        return mask, describe(mask)

    def describe(self) -> dict[str, Any]:
        """What a record says of it."""
        return {"source": "nuclei", "organ": self.organ.name, "seed": self.seed, "glands": self.glands}


@dataclass(frozen=True)
class StoredMask:
    """A mask from a file, or a window of it; `make` needs `loaded`, which holds its pixels."""

    path: Path
    name: str
    sha256: str
    size: tuple[int, int] | None
    seed: int
    pixels: bytes = b""  # .npy

    def loaded(self) -> StoredMask:
        """The same with its pixels, for a worker that may not see the file."""
        stream = io.BytesIO()
        np.save(stream, read_mask(self.path), allow_pickle=False)
        return StoredMask(self.path, self.name, self.sha256, self.size, self.seed, stream.getvalue())

    def make(self) -> tuple[Mask, Layout]:
        """The mask and its layout; a nucleus at a window's edge keeps the layout that it has on the whole mask."""
        from sian.layout import describe

        whole: Mask = np.load(io.BytesIO(self.pixels), allow_pickle=False)
        if self.size is None or whole.shape == self.size:
            return whole, describe(whole)
        (height, width), (rows, columns) = whole.shape, self.size
        if height < rows or width < columns:
            raise BadInput(
                f"{self.path}: found {width} x {height} px, expected at least {columns} x {rows}, the plan's "
                "masks.size; leave that mask out, or make size smaller"
            )
        random = seeds.generator(self.seed, "window")
        y, x = int(random.integers(height - rows + 1)), int(random.integers(width - columns + 1))
        window = np.ascontiguousarray(whole[y : y + rows, x : x + columns])
        return window, describe(whole).window(y, x, rows, columns)

    def describe(self) -> dict[str, Any]:
        """What a record says of it."""
        return {"source": self.name, "sha256": self.sha256, "seed": self.seed}


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

    def choose(self, organ: str, seed: int, number: int) -> InventedMask:  # noqa: ARG002 - the shape of both sources
        """The mask of a seed."""
        glands = bool(seeds.generator(seed, "with glands").random() < self.glands)
        return InventedMask(self.fit.organs[organ], self.height, self.width, seed, glands)


class StoredMasks:
    """Masks of a folder or a data set, taken in an order that the plan's seed shuffles, again and again."""

    def __init__(self, plan: Plan) -> None:
        self.folder, self.seed = plan.path(plan.masks.source), plan.seed
        size = plan.masks.size
        self.size = (size, size) if isinstance(size, int) else size
        found, self.licence = _of_dataset(self.folder, plan.masks.split) or _of_folder(self.folder)
        self.files = {path: sha256_file(path) for _, path in found}
        listed = "\n".join(f"{organ} {self.folder_name(path)} {self.files[path]}" for organ, path in found)
        self.sha256 = hashlib.sha256(listed.encode()).hexdigest()
        self.by_organ: dict[str, list[Path]] = {"": [path for _, path in found]}
        for organ, path in found:
            if organ:
                self.by_organ.setdefault(organ, []).append(path)
        self._orders: dict[str, npt.NDArray[np.int64]] = {}

    def folder_name(self, path: Path) -> str:
        """A mask's name in records: its path inside the source."""
        return path.relative_to(self.folder).as_posix()

    def check(self, organ: str) -> None:
        """Refuse an organ that no mask is of; "" stands for all masks."""
        if organ not in self.by_organ:
            known = [name for name in self.by_organ if name]
            raise BadInput(f"{self.folder}: holds no mask of the organ {organ!r}{nearest(organ, known)}")

    def choose(self, organ: str, seed: int, number: int) -> StoredMask:
        """Mask `number` of an organ's, counted around."""
        paths = self.by_organ[organ]
        if organ not in self._orders:
            self._orders[organ] = seeds.generator(self.seed, f"order of masks {organ}").permutation(len(paths))
        path = paths[self._orders[organ][number % len(paths)]]
        return StoredMask(path, self.folder_name(path), self.files[path], self.size, seed)


MaskOrder = InventedMask | StoredMask
MaskSource = InventedMasks | StoredMasks


def _of_dataset(folder: Path, split: str | None) -> tuple[list[tuple[str, Path]], str] | None:
    if not (folder / "dataset.json").is_file():
        return None
    data = open_dataset(folder)
    chosen = data.split(split) if split else data
    return [(item.organ, data.path(item.mask)) for item in chosen], data.info.licence


def _of_folder(folder: Path) -> tuple[list[tuple[str, Path]], str]:
    if not folder.is_dir():
        raise BadInput(
            f"{folder}: no such folder; expected the plan's masks.source as 'nuclei', a folder of masks or a data set"
        )
    files = sorted(
        file for file in folder.iterdir() if file.suffix.lower() in MASK_SUFFIXES and not file.name.startswith(".")
    )
    if not files:
        raise BadInput(f"{folder}: holds no masks, expected files that end in {', '.join(MASK_SUFFIXES)}")
    return [("", file) for file in files], "unknown"
