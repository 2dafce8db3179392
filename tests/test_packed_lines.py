"""Packed lines beside a plain list, and what a data set of many items takes."""

from __future__ import annotations

import json
import pickle
import tracemalloc

import numpy as np
import pytest

from sian.data import DatasetInfo, open_dataset
from sian.data.dataset import Dataset, Item
from sian.files import sha256_array
from sian.files.packed_lines import BLOCK, PackedLines


@pytest.mark.parametrize("count", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_it_is_a_sequence_like_a_list(count) -> None:
    plain = [number * number for number in range(count)]
    packed = PackedLines((str(value).encode() for value in plain), int)
    assert (len(packed), list(packed), list(packed)) == (count, plain, plain)
    places = range(-count, count)
    assert [packed[place] for place in reversed(places)] == [plain[place] for place in reversed(places)]
    assert packed[1:-1:3] == tuple(plain[1:-1:3])
    assert list(packed.where(lambda value: value % 2 == 0)) == plain[::2]
    assert list(pickle.loads(pickle.dumps(packed))) == plain  # noqa: S301 - as workers of a DataLoader get it
    for place in (count, -count - 1):
        with pytest.raises(IndexError):
            packed[place]


def test_an_empty_line_is_one() -> None:
    assert list(PackedLines([b"", b"", b"a"], bytes)) == [b"", b"", b"a"]


@pytest.fixture
def many(tmp_path):
    """A data set of items as `sian dataset` writes them; no pictures."""
    (tmp_path / "dataset.json").write_text(json.dumps({"format": "sian.dataset/1", "name": "many"}))
    with (tmp_path / "items.jsonl").open("w") as stream:
        for number in range(2000):
            name = f"plan-{number:06d}"
            hashes = [sha256_array(np.array([[number, part]])) for part in range(2)]
            facts = {"organ": ("kidney", "liver")[number % 2], "split": ("train", "test")[number % 5 == 0], "mpp": 0.25}
            facts |= {"source": "synthetic: painted by bundled for the plan plan", "model": "c" * 64, "seed": number**3}
            facts |= {"image": f"images/{name}.png", "mask": f"masks/{name}.png", "width": 9, "height": 9, "nuclei": 3}
            facts |= {"sha256_image": hashes[0], "sha256_mask": hashes[1], "style": "kidney", "plan": number}
            stream.write(json.dumps({"id": name, **facts}) + "\n")
    return tmp_path


def test_a_data_set_on_disk_is_that_of_its_lines(many) -> None:
    items = [Item.model_validate_json(line) for line in (many / "items.jsonl").read_text().splitlines()]
    plain, opened = Dataset(many, DatasetInfo(name="many"), items), open_dataset(many)
    assert list(opened) == items
    assert (opened.organs, opened.splits) == (plain.organs, plain.splits) == (("kidney", "liver"), ("test", "train"))
    for split in opened.splits:
        assert list(opened.split(split)) == list(plain.split(split))
    assert opened["plan-001234"] == opened.items[1234] == items[1234]
    assert "plan-001999" in opened
    assert "plan-002000" not in opened


def test_an_opened_data_set_takes_less_than_half_a_kilobyte_an_item(many) -> None:
    open_dataset(many)  # what is made once
    tracemalloc.start()
    try:
        data = open_dataset(many)
        held, most = tracemalloc.get_traced_memory()
        assert most < 500 * len(data)
        assert held < 250 * len(data)
        tracemalloc.reset_peak()
        assert sum(item.nuclei for item in data) == 6000
        assert data["plan-001000"].plan == 1000
        assert tracemalloc.get_traced_memory()[1] < 500 * len(data)
    finally:
        tracemalloc.stop()
