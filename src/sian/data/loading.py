"""Batches of training windows as tensors, the same for any number of worker processes (docs/design.md)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from sian.errors import BadInput, SianError, dead_worker
from sian.layout.tissue_map import TISSUE_LAYERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from sian.data.sampling import Sample, WindowSampler
    from sian.layout import Layout


def batches(
    sampler: WindowSampler,
    batch_size: int,
    start_batch: int = 0,
    workers: int = 0,
    *,
    extras: bool = False,
    classes: bool = False,
    tissue: bool = False,
) -> Iterator[dict[str, torch.Tensor]]:
    """Endless batches; batch k holds the samples k * batch_size up to (k + 1) * batch_size - 1.

    Args:
        sampler: where the samples come from.
        batch_size: samples a batch.
        start_batch: k of the first batch; a resumed run goes on where it stopped.
        workers: processes that cut windows ahead of time; 0 cuts them in this one. Where processes are
            spawned (Windows, macOS) a script guards its main part with ``if __name__ == "__main__"``.
        extras: whether what only baselines are given is there as well.
        classes: whether the nuclei's classes are there as well.
        tissue: whether what lies between the nuclei is there as well; zeros for tiles that say nothing of it.

    Returns:
        An iterator of dictionaries: "image" uint8 (n, 3, h, w), "direction" uint8 (n, h, w) classes of P,
        "distance" float32 (n, h, w), "reference" uint8 (n, 3, r, r), "tile" int64 (n), "place" int64 (n, 2), the
        window's first row and column in the window around it. M is direction > 0. With
        `extras` also "boundary" bool (n, h, w) and "depth" float32 (n, h, w), with `classes` "classes" uint8 (n, h, w),
        with `tissue` "tissue" int8 (n, h, w, 5),
        and where any tile ignores pixels "ignored" bool (n, h, w).

    Raises:
        BadInput: extras or classes are asked for, and a tile's layout has none.
    """
    return load(_Windows(sampler, extras, classes, tissue), batch_size, start_batch, workers)


def load(
    windows: Dataset[dict[str, torch.Tensor]], batch_size: int, start_batch: int = 0, workers: int = 0
) -> Iterator[dict[str, torch.Tensor]]:
    """Endless batches of anything that gives a dictionary of tensors for every number from 0; see `batches`."""
    loader = Loader(
        windows,
        batch_size=batch_size,
        sampler=_From(start_batch * batch_size),
        num_workers=workers,
    )
    return iter(loader)


class Loader(DataLoader[Any]):
    """torch's `DataLoader`, with what goes wrong in a worker process as one sentence.

    Its workers' seeds come from no global state unless a `generator` is given.
    """

    def __init__(self, dataset: Dataset[Any], *arguments: Any, **options: Any) -> None:
        options.setdefault("generator", torch.Generator())
        super().__init__(dataset, *arguments, **options)

    def __iter__(self) -> Any:
        """The batches.

        Raises:
            SianError: as the data set raises it, whichever process it was raised in.
            MissingResource: a worker process died.
        """
        try:
            yield from super().__iter__()
        except SianError as error:
            raise _bare(error) from None
        except RuntimeError as error:
            if (dead := dead_worker(error)) is None:
                raise
            raise dead from None


def _bare(error: SianError) -> SianError:
    """An error without the worker's traceback that torch puts before its sentence."""
    text = str(error)
    if not text.startswith("Caught "):
        return error
    name = f"{type(error).__module__}.{type(error).__qualname__}: "
    return type(error)(text[text.rfind(name) + len(name) :].strip()) if name in text else error


class _Windows(Dataset[dict[str, torch.Tensor]]):
    """The samples by number."""

    def __init__(self, sampler: WindowSampler, extras: bool, classes: bool, tissue: bool) -> None:
        self.sampler, self.extras, self.classes, self.tissue = sampler, extras, classes, tissue
        self.some_ignored = any(tile.ignored is not None for tile in sampler.tiles)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        sample = self.sampler.sample(index)
        return {
            "image": _channels_first(sample.image),
            "direction": torch.from_numpy(sample.layout.direction),
            "distance": torch.from_numpy(sample.layout.distance),
            **_extras(sample.layout, self.sampler.tiles[sample.tile].id, self.extras),
            **_classes(sample.layout, self.sampler.tiles[sample.tile].id, self.classes),
            **({"tissue": torch.from_numpy(_tissue(sample.layout))} if self.tissue else {}),
            **_ignored(sample, self.some_ignored),
            "reference": _channels_first(sample.reference),
            "tile": torch.tensor(sample.tile),
            "place": torch.tensor(sample.place),
        }


@dataclass(frozen=True)
class _From:
    """The numbers from `first` on, for ever."""

    first: int

    def __iter__(self) -> Iterator[int]:
        return count(self.first)


def _ignored(sample: Sample, wanted: bool) -> dict[str, torch.Tensor]:
    if not wanted:
        return {}
    left_out = sample.ignored if sample.ignored is not None else np.zeros(sample.layout.shape, bool)
    return {"ignored": torch.from_numpy(left_out)}


def _extras(layout: Layout, tile: str, wanted: bool) -> dict[str, torch.Tensor]:
    if not wanted:
        return {}
    if layout.boundary is None or layout.depth is None:
        raise BadInput(
            f"{tile}: expected a layout with boundary and depth, found one without; make it with sian.describe"
        )
    return {"boundary": torch.from_numpy(layout.boundary), "depth": torch.from_numpy(layout.depth)}


def _classes(layout: Layout, tile: str, wanted: bool) -> dict[str, torch.Tensor]:
    if not wanted:
        return {}
    if layout.classes is None:
        raise BadInput(f"{tile}: expected classes of its nuclei, found none; leave it out, or train without classes")
    return {"classes": torch.from_numpy(layout.classes)}


def _tissue(layout: Layout) -> NDArray[np.int8]:
    return np.zeros((*layout.shape, TISSUE_LAYERS), np.int8) if layout.tissue is None else layout.tissue


def _channels_first(image: NDArray[np.uint8]) -> torch.Tensor:
    """(h, w, 3) -> (3, h, w)."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
