"""N + N steps equal 2 N steps bit for bit, for any number of workers; what a resumed run may and may not change."""

from __future__ import annotations

import pytest
import torch

from sian.errors import BadInput
from sian.training import Hardware, train
from sian.training.journal import read_journal
from tests.training import toys

CPU = Hardware("cpu")
STEPS = 12  # images: six steps of two


@pytest.fixture(scope="module")
def tiles():
    return toys.tiles()


@pytest.fixture(scope="module")
def straight(tiles, tmp_path_factory):
    """An uninterrupted run."""
    run = tmp_path_factory.mktemp("straight") / "run"
    return train(toys.recipe(stages=[toys.stage(STEPS)]), tiles, run, hardware=CPU)


@pytest.mark.parametrize("workers", [0, 1])
def test_resumed_run_equals_straight_one(tiles, straight, tmp_path, workers):
    hardware, run = Hardware("cpu", workers=workers), tmp_path / "run"
    first = train(toys.recipe(stages=[toys.stage(STEPS // 2)]), tiles, run, hardware=hardware)
    assert first.name == "000000006"
    last = train(toys.recipe(stages=[toys.stage(STEPS)]), tiles, run, resume=True, hardware=hardware)
    assert last.name == straight.name == "000000012"
    assert toys.differing(last, straight) == []
    assert {name.split("/")[0] for name in toys.tensors(last)} == {"average", "networks", "optimisers"}
    assert (last / "state.json").read_bytes() == (straight / "state.json").read_bytes()
