"""A worker process that dies under a command: one sentence and exit code 4."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.training import toys
from torch.utils.data import get_worker_info

from sian.cli.main import main
from sian.data import import_dataset
from sian.data.sampling import WindowSampler
from sian.errors import dead_worker


# torch's signal handler raises in whatever runs at that moment. In a callback of the garbage collector (hypothesis has
# one) the error is lost, and the loader finds the worker gone a little later, in other words.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_training_whose_worker_dies(tmp_path: Path, monkeypatch, capsys):
    import_dataset(toys.write_folder(tmp_path / "tiles"), tmp_path / "data", organ="kidney")
    recipe = toys.write_recipe(tmp_path / "toy.yaml", stages=[toys.stage(8)])
    arguments = ["train", str(recipe), "-d", str(tmp_path / "data"), "-o", str(tmp_path / "run"), "--device", "cpu"]
    sample = WindowSampler.sample

    def dying(sampler: WindowSampler, index: int):
        if get_worker_info() is not None and index >= 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return sample(sampler, index)

    monkeypatch.setattr(WindowSampler, "sample", dying)
    assert main([*arguments, "--workers", "1"]) == 4
    said = capsys.readouterr().err.splitlines()[-1]
    how = ("is killed by signal: Killed", "exited unexpectedly")
    assert said.startswith(tuple(f"sian: error: a worker process died ({way})" for way in how))
    assert "try fewer workers" in said


def test_other_errors_are_not_taken_for_dead_workers():
    assert dead_worker(RuntimeError("something else")) is None
    assert dead_worker(ValueError("DataLoader worker (pid 7) is killed by signal: Killed. ")) is None
    found = dead_worker(RuntimeError("DataLoader worker (pid(s) 7, 8) exited unexpectedly"))
    assert str(found).startswith("a worker process died (exited unexpectedly)")
