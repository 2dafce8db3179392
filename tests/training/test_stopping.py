"""`sian train` as a process: Ctrl-C saves and leaves with 130, a killed run goes on, errors are exit code 3."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.training import toys

from sian.cli.main import main
from sian.training import checkpoint
from sian.training.journal import read_journal

DEADLINE = 120  # s; a toy step takes milliseconds, the start of Python several seconds on a busy machine
ENDLESS = {"stages": [toys.stage(100000)], "every": {"journal": 2, "samples": 10**6, "checkpoint": 4, "keep": 3}}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The toy tiles as a data set on disk."""
    folder = tmp_path_factory.mktemp("data")
    assert sian("data", "import", toys.write_folder(folder / "source"), "-o", folder / "set") == 0
    return folder / "set"


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "sian", *map(str, arguments)]


def sian(*arguments: object) -> int:
    """The same command in this process; its exit code."""
    return main([*map(str, arguments)])


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def arguments(data: Path, recipe: Path, run: Path, *more: str) -> tuple[object, ...]:
    return ("train", recipe, "-d", data, "-o", run, "--split", "train", "--device", "cpu", "--no-export", *more)


def stopped_by(number: signal.Signals, recipe: Path, data: Path, run: Path) -> tuple[int, str]:
    """Start a run, send the signal once there are two checkpoints; exit code and stderr."""
    with subprocess.Popen(
        command(*arguments(data, recipe, run)),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=environment(),
    ) as process:
        try:
            end = time.monotonic() + DEADLINE
            while len(checkpoint.found(run / "checkpoints")) < 2:
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() < end
                time.sleep(0.02)  # until the process has come so far; no fixed wait
            process.send_signal(number)
            _, errors = process.communicate(timeout=DEADLINE)
            return process.returncode, errors
        finally:
            process.kill()


def last_step(run: Path) -> tuple[int, int]:
    state, _ = checkpoint.read_state(checkpoint.found(run / "checkpoints")[-1])
    return state.images, state.step


@pytest.mark.skipif(sys.platform == "win32", reason="signals of another kind")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_stopped_run_goes_on(data, tmp_path, capsys, number):
    recipe, run = toys.write_recipe(tmp_path / "toy.yaml", **ENDLESS), tmp_path / "run"
    code, errors = stopped_by(number, recipe, data, run)
    images, step = last_step(run)
    assert images == 2 * step > 0
    if number == signal.SIGTERM:  # as Ctrl-C
        assert code == 130
        assert f"stopped after {images} of 100000 images; go on with --resume" in errors
        assert f"make a model of what there is with `sian export {run} --data {data}`" in errors
        assert "Traceback" not in errors
        assert "error" not in errors
    else:
        assert code == -signal.SIGKILL
    length = f"stages.0.images={images + 4}"
    assert sian(*arguments(data, recipe, run, "--resume", "--set", length)) == 0
    assert last_step(run) == (images + 4, step + 2)
    assert [line["images"] for line in read_journal(run / "stats.jsonl")] == [*range(2, images + 5, 2)]

    # The same folder without --resume, and with another recipe: exit code 3, one line, nothing changed.
    for more, said in ((), "--resume"), (("--resume", "--set", "seed=5"), "'seed' differs"):
        assert sian(*arguments(data, recipe, run, *more)) == 3
        assert said in capsys.readouterr().err.splitlines()[-1]
    assert last_step(run) == (images + 4, step + 2)


def test_loss_that_is_not_finite_is_exit_code_3(data, tmp_path, capsys):
    recipe, run = toys.write_recipe(tmp_path / "toy.yaml", **ENDLESS), tmp_path / "run"
    assert sian(*arguments(data, recipe, run, "--set", "optimiser.generator_rate=1.0e+30")) == 3
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("sian: error:")
    assert "the last good checkpoint is kept" in last
