"""A toy bench: rows, scale and table instead of the paper's, toys instead of Inception and SegNet."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sian import segmentation
from sian.data import open_dataset
from sian.errors import SianWarning
from sian.evaluation.features import InceptionFeatures
from sian.reproduce import bench as benches
from sian.reproduce import rows, scales, tables
from sian.reproduce.bench import Bench
from sian.reproduce.running import Outcome, run_rows
from sian.synthesis import adjusting
from sian.training import Hardware

from . import toys


class ToySegmenter:
    predict = staticmethod(toys.segment)


@contextmanager
def small_world(folder: Path) -> Iterator[None]:
    """Rows, table and judges are toys; nothing is looked for on this machine."""
    recipe = toys.write_recipe(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "ROWS", toys.rows(recipe))
        patch.setitem(scales.SCALES, "tiny", toys.SCALE)
        patch.setitem(tables.TABLES, "table1", toys.table())
        patch.setattr(InceptionFeatures, "load", classmethod(lambda *_, **__: toys.extractor()))
        patch.setattr(segmentation, "load", lambda *_: ToySegmenter())
        patch.setattr(benches, "find_weights", lambda *_: None)
        patch.setattr(adjusting, "NORM_BATCHES", 2)
        patch.setattr(adjusting, "NORM_BATCH", 2)
        yield


@pytest.fixture
def toy_world(tmp_path: Path) -> Iterator[None]:
    with small_world(tmp_path):
        yield


@pytest.fixture(scope="session")
def finished_runs(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path]:
    """Both rows, run once for all tests, and their folder."""
    folder = tmp_path_factory.mktemp("finished")
    with small_world(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore", SianWarning)  # toys know few styles
        bench = Bench(
            data=open_dataset(data_folder),
            scale=toys.SCALE,
            runs=folder / "runs",
            hardware=Hardware("cpu"),
            cache=folder / "cache",
        )
        return run_rows(rows.rows_named(["first", "second"], ["first", "second"]), bench), bench.runs


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toys.write_dataset(tmp_path_factory.mktemp("reproduce") / "toys")


@pytest.fixture
def bench(data_folder: Path, tmp_path: Path, toy_world: None) -> Bench:
    runs, cache = tmp_path / "runs", tmp_path / "cache"
    return Bench(data=open_dataset(data_folder), scale=toys.SCALE, runs=runs, hardware=Hardware("cpu"), cache=cache)
