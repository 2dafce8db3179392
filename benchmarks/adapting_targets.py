"""The targets of `adapting.py`: which images are unannotated, which are tested, and which labels may be used.

- `tnbc`: breast of another scanner. Labels: MoNuSeg's training tiles, CryoNuSeg, and seven further tiles.
- `frozen`: frozen sections. Labels: MoNuSeg's 24 FFPE training tiles alone (their names hold "DX"), so `--start` and
  `--painter` have to name a segmenter and a painter that have seen no others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sian.data import Dataset, open_dataset
from sian.segmentation.training_windows import read_known

if TYPE_CHECKING:
    from pathlib import Path

    from sian.segmentation.training_windows import KnownTile

TNBC_UNANNOTATED = ("03", "05", "07", "09", "10")  # slides that are learned from, and developed on
WINDOW = 512
FFPE = "-DX"  # in the names of The Cancer Genome Atlas: a diagnostic slide


@dataclass(frozen=True, eq=False)
class Picture:
    """A part of a tile.

    Attributes:
        name: of the tile, and where it lies.
        slide: what a bootstrap draws.
        image: (h, w, 3) uint8.
        mask: (h, w) integer, as annotated.
    """

    name: str
    slide: str
    image: NDArray[np.uint8]
    mask: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Target:
    """What is learned from and what is tested."""

    unannotated: list[Picture]
    tested: list[Picture]
    labelled: list[Dataset]

    def known(self, border_px: int) -> list[KnownTile]:
        """The labelled tiles, for training."""
        return [tile for data in self.labelled for tile in read_known(data, border_px)]


def open_target(name: str, folder: Path) -> Target:
    """A target, from the data sets in a folder: monuseg, cryonuseg, and for TNBC monuseg7 and tnbc."""
    sets = {path.name: open_dataset(path) for path in folder.iterdir() if (path / "dataset.json").is_file()}
    monuseg, cryonuseg = sets["monuseg"], sets["cryonuseg"]
    if name == "tnbc":
        tnbc = sets["tnbc"]
        seen = [item for item in tnbc if (item.patient or "")[-2:] in TNBC_UNANNOTATED]
        others = [item for item in tnbc if item not in seen]
        labelled = [monuseg.split("train"), cryonuseg.split("train"), sets["monuseg7"].split("train")]
        return Target(_pictures(tnbc, seen), _pictures(tnbc, others), labelled)
    train, test = monuseg.split("train"), monuseg.split("test")
    ffpe, frozen = (_some(train, [i for i in train if (FFPE in i.id) == kind]) for kind in (True, False))
    third = [item for item in cryonuseg if item.id.endswith("_03")]
    unannotated = _pictures(frozen, list(frozen)) + _pictures(cryonuseg, [i for i in cryonuseg if i not in third])
    tested = _pictures(test, [i for i in test if FFPE not in i.id], whole=True)
    return Target(unannotated, tested + _pictures(cryonuseg, third), [ffpe])


def _some(data: Dataset, items: list[Any]) -> Dataset:
    return Dataset(data.folder, data.info, items)


def _pictures(data: Dataset, items: list[Any], *, whole: bool = False) -> list[Picture]:
    """Tiles as they are, or the four corners of larger ones."""
    found = []
    for item in items:
        image, mask = data.image(item), data.mask(item)
        for top in _starts(mask.shape[0], whole):
            for left in _starts(mask.shape[1], whole):
                rows, columns = (slice(start, None if whole else start + WINDOW) for start in (top, left))
                name = item.id if whole or max(mask.shape) <= WINDOW else f"{item.id}_{top}_{left}"
                part = np.ascontiguousarray(image[rows, columns]), np.ascontiguousarray(mask[rows, columns])
                found.append(Picture(name, item.patient or item.id, *part))
    return found


def _starts(side: int, whole: bool) -> tuple[int, ...]:
    return (0,) if whole or side <= WINDOW else (0, side - WINDOW)
