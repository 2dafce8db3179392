"""Many masks into a folder, by several processes; the files are the same for any number of them.

OUT/ORGAN_00000.png ...   instance masks, 16-bit grey
OUT/masks.json            how they were made: format "sian.masks/1", the fit, organs, size, seed
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sian import seeds
from sian.errors import BadInput
from sian.files import write_json
from sian.masks import write_mask
from sian.nuclei.generation import generate
from sian.nuclei.glands import glands
from sian.nuclei.scene import check_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from sian.nuclei.fit import Fit, Organ
    from sian.nuclei.resampling import RealNuclei

    Report = Callable[[int, int], None]

FORMAT = "sian.masks/1"
CHUNK = 16  # masks handed to a process at a time
WORTH_A_PROCESS = 64  # masks; starting one takes as long as making some thirty


@dataclass(frozen=True)
class Series:
    """What masks to make.

    Attributes:
        organs: what to make them like.
        count: masks of each organ.
        height: of each mask.
        width: of each mask.
        seed: of the whole series; mask i of an organ depends on it, on the organ's name and on i alone.
        glands: multiply each mask's density with a random gland-like map.
        density_map: multiply with this (height, width) map instead.
        real: for each organ, real outlines to resample instead of inventing some.
    """

    organs: tuple[Organ, ...]
    count: int
    height: int
    width: int
    seed: int = 0
    glands: bool = False
    density_map: npt.NDArray[np.float32] | None = None
    real: dict[str, RealNuclei] | None = None

    def mask(self, organ: Organ, number: int) -> npt.NDArray[np.int32]:
        """Mask `number` of an organ."""
        seed = seeds.derive(self.seed, f"mask {organ.name}", number)
        density = glands(self.height, self.width, seed) if self.glands else self.density_map
        if self.real is not None:
            return self.real[organ.name].resample(self.height, self.width, seed, density_map=density)
        return generate(self.height, self.width, organ, seed, density_map=density)

    def names(self) -> list[tuple[Organ, int, str]]:
        """Organ, number and file name of every mask, in order."""
        digits = max(5, len(str(self.count - 1)))
        return [
            (organ, number, f"{_file_name(organ.name)}_{number:0{digits}}.png")
            for organ in self.organs
            for number in range(self.count)
        ]


def write_series(folder: Path, series: Series, *, workers: int = 1, report: Report | None = None) -> list[Path]:
    """Write the masks of a series; each file is whole or not there.

    Args:
        folder: made if need be.
        series: what to make.
        workers: processes; fewer are started when there is little to do.
        report: called with (done, total).

    Returns:
        The paths, in the order of the series.

    Raises:
        BadInput: a size is out of range, or a file cannot be written.
        MissingResource: the disk is full.
    """
    check_request(series.height, series.width, series.density_map)
    if series.glands and series.density_map is not None:
        raise BadInput("expected glands or a density map, found both; leave one out")
    names = series.names()
    if len({name.casefold() for _, _, name in names}) < len(names):
        raise BadInput("found organs whose masks would have the same file names; make them into folders of their own")
    total, written = len(names), []
    workers = max(1, min(workers, total // WORTH_A_PROCESS))
    for path in _one_process(folder, series) if workers == 1 else _several(folder, series, workers):
        written.append(path)
        if report:
            report(len(written), total)
    return written


def write_manifest(folder: Path, series: Series, fit: Fit, options: dict[str, object]) -> None:
    """Write ``masks.json``: enough to make every mask again."""
    content = {
        "format": FORMAT,
        "synthetic": True,
        "organs": [organ.name for organ in series.organs],
        "count": series.count,
        "height": series.height,
        "width": series.width,
        "seed": series.seed,
        "glands": series.glands,
        "resampled": series.real is not None,
        "mpp": fit.mpp,
        "fitted_to": fit.source,
        "licence_of_fitted": fit.licence,
        **options,
    }
    write_json(folder / "masks.json", content)


def _file_name(organ: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in organ)


def _one_process(folder: Path, series: Series) -> Iterator[Path]:
    for organ, number, name in series.names():
        yield write_mask(folder / name, series.mask(organ, number))


def _several(folder: Path, series: Series, workers: int) -> Iterator[Path]:
    starts = range(0, len(series.names()), CHUNK)
    context = multiprocessing.get_context("spawn")  # the same on every system, and safe beside threads
    with ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(folder, series)) as pool:
        for chunk in pool.map(_chunk, starts):
            yield from chunk


_work: tuple[Path, Series] | None = None  # of a worker process


def _begin(folder: Path, series: Series) -> None:
    global _work  # noqa: PLW0603 - a process' own; sent once instead of with every chunk
    _work = (folder, series)


def _chunk(start: int) -> list[Path]:
    assert _work is not None  # noqa: S101 - `_begin` has run in this process
    folder, series = _work
    return [
        write_mask(folder / name, series.mask(organ, number))
        for organ, number, name in series.names()[start : start + CHUNK]
    ]
