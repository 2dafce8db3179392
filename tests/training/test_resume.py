"""N + N steps equal 2 N steps bit for bit, for any number of workers; what a resumed run may and may not change."""

from __future__ import annotations

import json

import pytest
import torch
from tests.training import toys

from sian.errors import BadInput, SianWarning
from sian.files.locks import only_writer
from sian.training import Hardware, train
from sian.training.environment import as_before, write_environment
from sian.training.journal import read_journal

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


def test_another_recipe_is_refused_but_stages_may_change(tiles, straight, tmp_path):
    run = straight.parents[1]
    for changes, key in ({"seed": 1}, "seed"), ({"losses": {"colour": 2}}, "losses"):
        with pytest.raises(BadInput, match=f"'{key}' differs"):
            train(toys.recipe(stages=[toys.stage(STEPS)], **changes), tiles, run, resume=True, hardware=CPU)
    shorter = toys.recipe(stages=[toys.stage(4)], every={"journal": 2})
    assert train(shorter, tiles, run, resume=True, hardware=CPU) == straight  # it has gone further already


def test_a_run_that_exists_is_not_overwritten(tiles, straight):
    with pytest.raises(BadInput, match="--resume"):
        train(toys.recipe(stages=[toys.stage(STEPS)]), tiles, straight.parents[1], hardware=CPU)


def test_what_a_run_leaves(straight):
    run = straight.parents[1]
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoints",
        "environment.json",
        "recipe.yaml",
        "samples",
        "stats.jsonl",
        "tensorboard",
    ]
    lines = read_journal(run / "stats.jsonl")
    assert [line["images"] for line in lines] == [4, 8, 12]
    assert {"gan", "discriminator", "lecam", "colour", "kld_nats", "images_per_second", "rate"} <= lines[0].keys()
    assert {"style_change", "style_spread"} <= lines[-1].keys()
    assert [path.name for path in (run / "samples").iterdir()] == ["000000012.png"]
    assert all(bool(tensor.isfinite().all()) for tensor in toys.tensors(straight).values())


def test_there_must_be_a_run_to_go_on_with(tiles, tmp_path):
    with pytest.raises(BadInput, match="holds no run to go on with"):
        train(toys.recipe(), tiles, tmp_path / "nowhere", resume=True, hardware=CPU)
    assert list(tmp_path.iterdir()) == []


def test_one_process_at_a_time_trains_in_a_folder(tiles, tmp_path):
    with only_writer(tmp_path / "run"), pytest.raises(BadInput, match="writes there since"):
        train(toys.recipe(), tiles, tmp_path / "run", hardware=CPU)
    assert list(tmp_path.iterdir()) == []


def test_other_threads_are_said_as_their_last_bits_differ(tmp_path):
    write_environment(tmp_path, torch.device("cpu"), "32-true")
    assert as_before(CPU, tmp_path, on_cpu=True) == Hardware("cpu", precision="32-true")
    path = tmp_path / "environment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "threads": 99}))
    with pytest.warns(SianWarning, match="began with 99; .* --threads 99"):
        as_before(CPU, tmp_path, on_cpu=True)
    assert as_before(CPU, tmp_path).precision == "32-true"


def test_how_a_run_began_is_known_after_it_went_on_otherwise(tmp_path):
    write_environment(tmp_path, torch.device("cpu"), "bf16-mixed")
    write_environment(tmp_path, torch.device("cpu"), "bf16-mixed")
    assert "began" not in json.loads((tmp_path / "environment.json").read_text())
    for precision in ("32-true", "16-mixed"):
        write_environment(tmp_path, torch.device("cpu"), precision)
        assert as_before(CPU, tmp_path).precision == "bf16-mixed"
    written = json.loads((tmp_path / "environment.json").read_text())
    assert written["precision"] == "16-mixed"
    assert written["began"] == {"precision": "bf16-mixed", "threads": torch.get_num_threads()}
