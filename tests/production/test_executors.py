"""Processes that make images: what becomes of a worker that dies, even in the middle of what it says."""

from __future__ import annotations

import gc
import os
import signal
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import pytest

from sian.production import executors
from sian.production.executors import LocalProcesses, WorkerLost, in_order


@dataclass(frozen=True)
class Job:
    number: int


@dataclass(frozen=True)
class Kit:
    """Workers that double numbers; the one that is given `fatal` dies once."""

    fatal: int
    half_said: bool
    mark: Path  # there once somebody has died

    def worker(self):
        return self

    def make(self, job):
        if job.number == self.fatal and not self.mark.exists():
            self.mark.touch()
            if self.half_said:  # the length of a message, and no message
                for queue in [thing for thing in gc.get_objects() if isinstance(thing, SimpleQueue)]:
                    os.write(queue._writer.fileno(), (1_000_000).to_bytes(4, "big") + b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * job.number


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(executors, "LOOK", 0.1)


@pytest.mark.parametrize("half_said", [False, True])
def test_a_killed_worker_is_replaced(tmp_path, impatient, half_said):
    pool = LocalProcesses(Kit(3, half_said, tmp_path / "dead"), 2)
    try:
        assert list(in_order(pool, [Job(number) for number in range(12)])) == [2 * number for number in range(12)]
    finally:
        pool.close()
    assert (tmp_path / "dead").exists()


def test_an_error_of_a_job_is_its_own(tmp_path):
    pool = LocalProcesses(Kit(-1, False, tmp_path / "dead"), 1)
    try:
        with pytest.raises(AttributeError):
            pool.collect(pool.submit("no job"))
        assert pool.collect(pool.submit(Job(4))) == 8
    finally:
        pool.close()


def test_a_lost_worker_is_said(tmp_path, impatient):
    pool = LocalProcesses(Kit(0, True, tmp_path / "dead"), 1)
    try:
        with pytest.raises(WorkerLost, match="try fewer workers"):
            pool.collect(pool.submit(Job(0)))
    finally:
        pool.close()
