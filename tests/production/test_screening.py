"""The screen for copies over a made data set: which images it sees, and that a copy is found."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tests.production.toys import write_plan

from sian.cli.main import main
from sian.data import DatasetInfo, DatasetWriter, open_dataset
from sian.evaluation import InceptionFeatures
from sian.production import run, screen_copies
from sian.production.screening import _packed


class Colours(torch.nn.Module):
    """A stand-in for Inception: 8 x 8 means of an image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(images.float(), 8).flatten(1) - 128


@pytest.mark.parametrize("form", ["tar", "folders"])
def test_a_copy_is_found(model, tmp_path, form) -> None:
    path = write_plan(tmp_path, model, images=3, shard=3, masks={"size": 256}, form=form)
    run(path, tmp_path / "set", workers=0)
    name = "toys-000001"
    if form == "tar":
        image = _packed(tmp_path / "set" / "shards" / "toys-000000.tar", name)
    else:
        image = open_dataset(tmp_path / "set").image(open_dataset(tmp_path / "set")[name])
    writer = DatasetWriter(tmp_path / "real", DatasetInfo(name="real"))
    random = np.random.default_rng(0)
    for split, count in (("train", 3), ("test", 4)):
        for number in range(count):
            noise = np.kron(random.integers(0, 255, (8, 8, 3)), np.ones((32, 32, 1))).astype(np.uint8)
            writer.add(f"{split}{number}", noise, np.zeros((256, 256), int), split=split)
    writer.add("copied", np.ascontiguousarray(image[::-1]), np.zeros((256, 256), int), split="train")
    data = open_dataset(tmp_path / "real")
    found = screen_copies(tmp_path / "set", data, InceptionFeatures(Colours()))
    assert name in {one["name"] for one in found["flagged"]}
    best = min(found["images"], key=lambda one: one["distance"])
    assert (best["name"], best["nearest"].split("_")[0]) == (name, "copied")
    written = json.loads((tmp_path / "set" / "copies.json").read_text())
    assert (written["n"], written["data"], written["held_out"]) == (3, "real", "test")
    assert run(path, tmp_path / "set", workers=0).made == 0  # the file is no stranger in the folder
    assert screen_copies(tmp_path / "set", data, InceptionFeatures(Colours()), images=2)["n"] == 2


def test_without_weights_nothing_is_painted(plan, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SIAN_WEIGHTS", raising=False)
    writer = DatasetWriter(tmp_path / "real", DatasetInfo(name="real"))
    (tmp_path / "weights").mkdir()
    arguments = ["--copies-of", str(writer.folder), "--weights", str(tmp_path / "weights")]
    assert main(["dataset", str(plan), "-o", str(tmp_path / "set"), *arguments]) == 4
    assert "inception_fid.safetensors: not found" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()
