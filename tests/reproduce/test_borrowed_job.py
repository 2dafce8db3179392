"""The plan of a job within a time budget, by hand; stopping when the machine has become slower."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maintainers.borrowed_gpu import job
from maintainers.borrowed_gpu.job import Plan, check_size, in_images, plan_images, run_job
from tests.training import toys as training_toys

from sian.errors import BadInput
from sian.reproduce.rows import _ALL, rows_named
from sian.reproduce.scales import SCALES
from sian.training import train


def recipe(*stages):
    return training_toys.recipe(stages=list(stages))


def test_images_fit_the_time():
    one = recipe({"images": 100_000, "size": 64, "batch": 8})
    assert plan_images(one, 0.5, 1000.0, 20) == Plan((2000,), whole=False)
    assert plan_images(one, 0.5, 1003.9, 20) == Plan((2000,), whole=False)  # whole batches
    assert plan_images(one, 0.001, 1000.0, 20) == Plan((100_000,), whole=True)


def test_stages_share_the_time_and_larger_images_cost_more():
    two = recipe({"images": 8000, "size": 64, "batch": 8}, {"images": 2000, "size": 128, "batch": 4})
    # 8000 + 2000 * 4 = 16,000 images' worth of 64 px at 0.5 s: 8,000 s; half of it fits.
    assert plan_images(two, 0.5, 4000.0, 70) == Plan((4000, 1000), whole=False)


def test_too_little_time_is_a_sentence():
    one = recipe({"images": 100_000, "size": 64, "batch": 8})
    with pytest.raises(BadInput, match="--minutes 1: has 79 s for training, and 20 steps take 80 s"):
        plan_images(one, 0.5, 79.0, 1)


def test_epochs_are_windows_of_the_grid():
    tiles = training_toys.tiles(2)  # 272 px: windows of 64 px at 11 offsets, of 256 px at two
    epochs = recipe({"epochs": 3, "size": 64, "batch": 2}, {"epochs": 1, "size": 256, "batch": 2})
    counted = in_images(epochs, tiles)
    assert [stage.images for stage in counted.stages] == [3 * 2 * 11**2, 2 * 2**2]


def test_published_models_are_too_large_and_small_ones_fit():
    small = {row.name: row.load(SCALES["small"]) for row in _ALL}
    for name in ("sian", "spade", "pix2pix", "pix2pixhd"):
        check_size(small[name])
    sian = next(row for row in _ALL if row.name == "sian")
    with pytest.raises(BadInput, match=r"takes about \d+ MiB in half precision, expected at most 64 MiB"):
        check_size(sian.load(SCALES["paper"]))


@pytest.mark.filterwarnings("ignore::sian.errors.SianWarning")
def test_a_machine_that_slows_down_still_leaves_a_model(bench, tmp_path, monkeypatch):
    (row,) = rows_named(["first"], ["first"])
    monkeypatch.setattr(job, "TIMED_STEPS", 1)
    monkeypatch.setattr(job, "plan_images", lambda *_: Plan((40,), whole=False))
    whole = job._seconds_after

    def nothing_left(*given):
        return whole(*given) + 60.0

    monkeypatch.setattr(job, "_seconds_after", nothing_left)
    facts = run_job(row, bench, 1.0, tmp_path / "out", evaluate=False)
    assert facts["planned_images"] == 40
    assert facts["train_sha256"] == bench.train_sha256
    images = [int(path.name) for path in (bench.folder(row) / "run" / "checkpoints").iterdir()]
    assert max(images) < 40
    assert sorted(path.name for path in (tmp_path / "out").iterdir())[:2] == ["job.json", "model.safetensors"]


@pytest.mark.filterwarnings("ignore::sian.errors.SianWarning")
def test_the_timed_steps_are_those_of_the_whole_run(bench, tmp_path, monkeypatch):
    """Rates that fall from the first image on: a job ends with the weights of a run that was never timed."""
    (row,) = rows_named(["first"], ["first"])
    falling = replace(row, changes={"optimiser.decay_from": "0", "stages.0.images": "8"})
    monkeypatch.setattr(job, "TIMED_STEPS", 2)
    assert run_job(falling, bench, 100.0, tmp_path / "out", evaluate=False)["whole"] is True
    straight = train(falling.load(bench.scale), bench.tiles, tmp_path / "straight", hardware=bench.hardware)
    checkpoints = bench.folder(row) / "run" / "checkpoints"
    assert sorted(path.name for path in checkpoints.iterdir()) == ["000000004", straight.name]
    assert training_toys.differing(checkpoints / straight.name, straight) == []


def test_a_run_that_no_job_has_timed(bench, tmp_path):
    (row,) = rows_named(["first"], ["first"])
    train(row.load(bench.scale), bench.tiles, bench.folder(row) / "run", hardware=bench.hardware)
    with pytest.raises(BadInput, match="holds a run that no job has timed"):
        run_job(row, bench, 100.0, tmp_path / "out", evaluate=False)


def test_nothing_begins_without_room(bench, tmp_path):
    (row,) = rows_named(["first"], ["first"])
    taken = tmp_path / "out"
    taken.mkdir()
    (taken / "mine").touch()
    with pytest.raises(BadInput, match="holds something already"):
        run_job(row, bench, 1.0, taken)
    assert not bench.runs.exists()
