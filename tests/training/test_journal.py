"""The run's record, means over steps, and when something is due."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch

from sian.training.journal import Journal, Means, due, read_journal


def test_lines_come_back_and_are_cut_on_resume(tmp_path):
    journal = Journal(tmp_path)
    for images in (4, 8, 12):
        journal.write(images, {"gan": images / 3, "rate": 1e-4})
    journal.picture(12, "samples", np.zeros((8, 8, 3), np.uint8))
    journal.close()
    assert [line["images"] for line in read_journal(tmp_path / "stats.jsonl")] == [4, 8, 12]
    resumed = Journal(tmp_path, 8)
    resumed.write(12, {"gan": 1.0})
    resumed.close()
    lines = read_journal(tmp_path / "stats.jsonl")
    assert lines[1:] == [{"images": 8, "gan": 2.66667, "rate": 0.0001}, {"images": 12, "gan": 1.0}]
    assert list((tmp_path / "tensorboard").iterdir())


@pytest.mark.parametrize("tail", ['{"images": 12, "ga', "null\n", "[1, 2]\n", "\x00\x00\x00"])
def test_what_a_killed_run_left_half_written_is_dropped(tmp_path, tail):
    path = tmp_path / "stats.jsonl"
    whole = json.dumps({"images": 4, "gan": 0.5}) + "\n"
    path.write_text(whole + tail, encoding="utf-8")
    assert read_journal(path) == [{"images": 4, "gan": 0.5}]
    Journal(tmp_path, 8).close()
    assert path.read_text(encoding="utf-8") == whole


def test_without_tensorboardx_there_is_the_record_alone(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    journal = Journal(tmp_path)
    journal.write(4, {"gan": 1.0})
    journal.picture(4, "samples", np.zeros((8, 8, 3), np.uint8))
    journal.close()
    assert [path.name for path in tmp_path.iterdir()] == ["stats.jsonl"]
    assert read_journal(tmp_path / "stats.jsonl") == [{"images": 4, "gan": 1.0}]


def test_a_run_without_a_journal_has_no_lines(tmp_path):
    assert read_journal(tmp_path / "stats.jsonl") == []


def test_means_count_each_value_apart():
    means = Means()
    assert means.count == 0
    means.add({"a": torch.tensor(1.0), "b": torch.tensor(6.0)})
    means.add({"a": torch.tensor(2.0)})
    means.add({"a": torch.tensor(6.0, dtype=torch.bfloat16)})
    assert means.means() == {"a": 3.0, "b": 6.0}
    assert means.count == 3


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(0, 8, False), (96, 104, True), (92, 100, True), (100, 108, False), (1, 300, True)],
)
def test_due(before, after, expected):
    assert due(before, after, 100) is expected
