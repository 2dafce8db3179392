"""`kill -9` at any moment: at most the shard in work is lost, and what is there is right."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
from tests.production.toys import tree

from sian.cli.main import main
from sian.production import run
from sian.production.manifest import MANIFEST

DEADLINE = 240  # s; the start of torch takes long on a busy machine

# Imports once, then forks: each child carries out the plan and is killed after so many seconds.
SCRIPT = """
import json, os, signal, sys, time
from sian.production import run, verify
from sian.production.manifest import Manifest
from sian.production.worker import Foreman
plan, folder, delays = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
for delay in delays:
    child = os.fork()
    if child == 0:
        run(plan, folder, workers=0)
        os._exit(0)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    lines = Manifest(__import__("pathlib").Path(folder))
    problems = verify(folder).problems if len(lines) else []
    print(json.dumps([os.WIFSIGNALED(status), len(lines), problems]), flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("form", ["tar", "folders"])
def test_killed_at_random_moments(plan, finished, tmp_path, form) -> None:
    from sian import seeds

    text = plan.read_text() + f"form: {form}\n"
    (tmp_path / "plan.yaml").write_text(text)
    # The first kills fall on loading and the first image, however quick the machine; the last may come after the end.
    delays = sorted(seeds.generator(0, f"kills {form}").uniform(0.01, 0.6, 12).tolist())
    arguments = [str(tmp_path / "plan.yaml"), str(tmp_path / "set"), json.dumps(delays)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, *arguments], capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == 0, done.stderr
    kills = [json.loads(line) for line in done.stdout.splitlines()]
    assert any(killed for killed, _, _ in kills)
    assert all(problems == [] for _, _, problems in kills)
    shards = [count for _, count, _ in kills]
    assert shards == sorted(shards)  # nothing that was finished is lost
    assert main(["dataset", str(tmp_path / "plan.yaml"), "-o", str(tmp_path / "set"), "--workers", "0"]) == 0
    undisturbed = tmp_path / "undisturbed"
    assert main(["dataset", str(tmp_path / "plan.yaml"), "-o", str(undisturbed), "--workers", "0"]) == 0
    assert tree(tmp_path / "set") == tree(undisturbed)


def test_a_killed_driver_takes_its_workers_along(plan, finished, tmp_path) -> None:
    command = [sys.executable, "-m", "sian", "dataset", str(plan), "-o", str(tmp_path / "set"), "--workers", "1"]
    command += ["--set", "images=5000", "--set", "shard=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment, start_new_session=True) as process:
        end = time.monotonic() + DEADLINE
        while not (tmp_path / "set" / MANIFEST).is_file():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    while _alive(process.pid):
        assert time.monotonic() < end, "a worker outlived its driver"
        time.sleep(0.02)


def test_a_killed_worker_is_replaced(plan, finished, tmp_path) -> None:
    """As the kernel does when memory runs out: its images are made by another one."""

    def kill(done: int, total: int) -> None:
        if done == 3:
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGKILL)

    outcome = run(plan, tmp_path / "set", workers=1, report=kill)
    assert (list(outcome.failed), outcome.kept) == ([], 10)
    assert tree(tmp_path / "set") == tree(finished)


def _alive(session: int) -> bool:
    """Whether any process of a session is left."""
    try:
        os.killpg(session, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
