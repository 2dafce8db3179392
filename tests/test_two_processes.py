"""Whoever writes into a place refuses to do so beside another, at once and without a file; and leaves no lock."""

from __future__ import annotations

import numpy as np
import pytest

from sian.data import DatasetInfo, DatasetWriter, export_dataset, open_dataset
from sian.data.importing import import_dataset
from sian.errors import BadInput
from sian.files import write_png
from sian.files.locks import LOCK, only_writer
from sian.masks import write_mask

SIDE = 32


@pytest.fixture
def data(tmp_path):
    writer = DatasetWriter(tmp_path / "data", DatasetInfo(name="toys"))
    mask = np.zeros((SIDE, SIDE), np.int32)
    mask[4:9, 4:9] = 1
    writer.add("a", np.full((SIDE, SIDE, 3), 200, np.uint8), mask, split="train", organ="kidney")
    return open_dataset(tmp_path / "data")


@pytest.fixture
def tiles(tmp_path, data):
    folder = tmp_path / "tiles"
    write_png(folder / "images" / "b.png", data.image(data["a"]))
    write_mask(folder / "masks" / "b.png", data.mask(data["a"]))
    return folder


def locks(folder):
    return [path.name for path in folder.rglob("*") if path.name.endswith(LOCK)]


def test_import(tiles, tmp_path):
    with only_writer(tmp_path / "set"), pytest.raises(BadInput, match="writes there since"):
        import_dataset(tiles, tmp_path / "set", organ="kidney")
    assert not (tmp_path / "set").exists()
    (tmp_path / "set").mkdir()
    assert import_dataset(tiles, tmp_path / "set", organ="kidney").added == 1
    assert not locks(tmp_path)


def test_what_is_refused_leaves_no_folder(tiles, tmp_path):
    (tiles / "masks" / "b.png").write_bytes(b"broken")
    with pytest.raises(BadInput, match=r"b\.png"):
        import_dataset(tiles, tmp_path / "deep" / "set", organ="kidney")
    assert not (tmp_path / "deep").exists()


def test_export(data, tmp_path):
    with only_writer(tmp_path / "out", folder=False), pytest.raises(BadInput, match="writes there since"):
        export_dataset(data, tmp_path / "out", "coco")
    assert not (tmp_path / "out").exists()
    assert export_dataset(data, tmp_path / "out", "coco").items == 1
    assert not locks(tmp_path)
