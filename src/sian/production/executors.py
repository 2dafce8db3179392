"""Where images are made: in this process, or in processes of this machine (`sian.production.cluster`: by Ray).

An executor takes jobs and gives finished images. `in_order` is all that the rest knows of it: results come in the order
of the jobs, a job that fails is tried once more, and never more than a few are under way. What an executor makes
depends on the jobs alone, so all give the same bytes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Protocol

from sian.errors import MissingResource, SianError, first_line
from sian.production.worker import Job, Made, Setup, Worker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

AHEAD = 3  # jobs under way for each worker
TRIES = 2  # a failed job is tried once more


class Executor(Protocol):
    """What carries out jobs; `collect` waits, and raises what the job raised, or `WorkerLost`."""

    workers: int

    def submit(self, job: Job) -> Any:
        """Start a job; returns what `collect` takes."""

    def collect(self, handle: Any) -> Made:
        """Wait for a job's image."""

    def close(self) -> None:
        """Stop the workers; jobs that have not begun are dropped."""


class WorkerLost(Exception):
    """A worker died with its job: killed, or out of memory."""


@dataclass(frozen=True)
class Failure:
    """An image that could not be made, and why."""

    number: int
    reason: str


def in_order(executor: Executor, jobs: Iterable[Job]) -> Iterator[Made | Failure]:
    """Carry out jobs; their results come in order.

    Raises:
        MissingResource: a worker lacks something that all of its jobs need.
    """
    coming, waiting = iter(jobs), deque[tuple[Job, Any]]()
    while True:
        while len(waiting) < AHEAD * executor.workers and (job := next(coming, None)) is not None:
            waiting.append((job, executor.submit(job)))
        if not waiting:
            return
        yield _result(executor, *waiting.popleft())


def _result(executor: Executor, job: Job, handle: Any) -> Made | Failure:
    for remaining in reversed(range(TRIES)):
        try:
            return executor.collect(handle)
        except MissingResource:
            raise
        except Exception as error:  # noqa: BLE001 - whatever stops one image must not stop the others
            reason = first_line(error)
            if not isinstance(error, SianError | WorkerLost):
                reason = f"{type(error).__name__}: {reason}"
        if remaining:
            handle = executor.submit(job)
    return Failure(job.number, reason)


class InProcess:
    """One worker: this process."""

    workers = 1

    def __init__(self, setup: Setup) -> None:
        self._painter = Worker(setup)

    def submit(self, job: Job) -> Job:
        """Nothing happens before the image is asked for."""
        return job

    def collect(self, handle: Job) -> Made:
        """Make it now."""
        return self._painter.make(handle)

    def close(self) -> None:
        """Nothing to stop."""


class LocalProcesses:
    """Processes of this machine, one thread each; they end with this process, however it ends."""

    def __init__(self, setup: Setup, workers: int) -> None:
        self.setup, self.workers = setup, workers
        self._pool = self._started()

    def submit(self, job: Job) -> Future[Made]:
        """Hand a job to the pool, which is started anew if a worker has died."""
        try:
            return self._pool.submit(_make, job)
        except BrokenProcessPool:
            self._pool.shutdown(wait=False)
            self._pool = self._started()
            return self._pool.submit(_make, job)

    def collect(self, handle: Future[Made]) -> Made:
        """Wait for a job's image."""
        try:
            return handle.result()
        except BrokenProcessPool as error:
            raise WorkerLost("its process died (killed, or out of memory); try fewer workers") from error

    def close(self) -> None:
        """Wait for the images in work, and for them alone."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")  # the same on every system, and safe beside threads
        return ProcessPoolExecutor(self.workers, context, initializer=_begin, initargs=(self.setup,))


_setup: Setup | None = None  # of a worker process
_painter: Worker | None = None


def _begin(setup: Setup) -> None:
    global _setup  # noqa: PLW0603 - a process' own; sent once instead of with every job
    _setup = setup
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the driver decides
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed driver cannot stop its workers, and they would wait for jobs for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _make(job: Job) -> Made:
    global _painter  # noqa: PLW0603 - made with the first job, so that its errors reach the driver as sentences
    assert _setup is not None  # noqa: S101 - `_begin` has run in this process
    if _painter is None:
        _painter = Worker(_setup)
    return _painter.make(job)
