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

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

AHEAD = 3  # jobs under way for each worker
TRIES = 2  # a failed job is tried once more
LOOK = 1.0  # seconds between two looks at the workers while an image is waited for
PATIENCE = 3  # looks; a pool that has lost a worker says so at once, unless it waits for the rest of a message


class Job(Protocol):
    """Something to make, by its number; a worker's `make` knows the rest of it."""

    @property
    def number(self) -> int:
        """Which one."""
        ...


class Kit(Protocol):
    """What workers need once, and what makes a worker of it: `sian.production.worker` and `tile_painting` have one."""

    @property
    def device(self) -> str:
        """Where a worker computes."""
        ...

    @property
    def files(self) -> list[Path]:
        """What has to travel to another machine."""
        ...

    def moved(self, files: list[Path]) -> Kit:
        """The same with the files where they lie there."""
        ...

    def worker(self) -> Any:
        """Something with ``make(job)``."""


class Executor(Protocol):
    """What carries out jobs; `collect` waits, and raises what the job raised, or `WorkerLost`."""

    workers: int

    def submit(self, job: Any) -> Any:
        """Start a job; returns what `collect` takes."""

    def collect(self, handle: Any) -> Any:
        """Wait for what a job makes."""

    def close(self) -> None:
        """Stop the workers; jobs that have not begun are dropped."""


class WorkerLost(Exception):
    """A worker died with its job: killed, or out of memory."""


@dataclass(frozen=True)
class Failure:
    """An image or a super-tile that could not be made, and why."""

    number: int
    reason: str


def in_order(executor: Executor, jobs: Iterable[Job]) -> Iterator[Any | Failure]:
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
        yield collected(executor, *waiting.popleft())


def collected(executor: Executor, job: Job, handle: Any) -> Any | Failure:
    """What a job made; it is tried once more, and then there is a `Failure`.

    Raises:
        MissingResource: as `in_order`.
    """
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

    def __init__(self, kit: Kit) -> None:
        self._painter = kit.worker()

    def submit(self, job: Any) -> Any:
        """Nothing happens before the image is asked for."""
        return job

    def collect(self, handle: Any) -> Any:
        """Make it now."""
        return self._painter.make(handle)

    def close(self) -> None:
        """Nothing to stop."""


class LocalProcesses:
    """Processes of this machine, one thread each; they end with this process, however it ends."""

    def __init__(self, kit: Kit, workers: int) -> None:
        self.kit, self.workers = kit, workers
        self._pool = self._started()

    def submit(self, job: Any) -> Future[Any]:
        """Hand a job to the pool, which is started anew if a worker has died."""
        try:
            return self._pool.submit(_make, job)
        except BrokenProcessPool:
            self._pool.shutdown(wait=False)
            self._pool = self._started()
            return self._pool.submit(_make, job)

    def collect(self, handle: Future[Any]) -> Any:
        """Wait for a job's image."""
        looks = 0
        while True:
            try:
                return handle.result(LOOK)
            except BrokenProcessPool as error:
                raise WorkerLost("its process died (killed, or out of memory); try fewer workers") from error
            except TimeoutError:
                if handle.done():  # the job's own
                    raise
                looks = looks + 1 if self._has_dead() else 0
                if looks == PATIENCE:
                    self._break()

    def close(self) -> None:
        """Wait for the images in work, and for them alone."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _has_dead(self) -> bool:
        processes = getattr(self._pool, "_processes", None) or {}
        return any(process.exitcode is not None for process in list(processes.values()))

    def _break(self) -> None:
        """Free a pool that waits for the rest of a message whose sender was killed while it wrote.

        Nobody else will write it, but the pipe stays open as long as this process and the other workers hold it.
        """
        for process in list((getattr(self._pool, "_processes", None) or {}).values()):
            process.kill()
        results = getattr(self._pool, "_result_queue", None)
        if results is not None:
            results._writer.close()

    def _started(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")  # the same on every system, and safe beside threads
        return ProcessPoolExecutor(self.workers, context, initializer=_begin, initargs=(self.kit,))


_kit: Kit | None = None  # of a worker process
_painter: Any = None


def _begin(kit: Kit) -> None:
    global _kit  # noqa: PLW0603 - a process' own; sent once instead of with every job
    _kit = kit
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the driver decides
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed driver cannot stop its workers, and they would wait for jobs for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _make(job: Any) -> Any:
    global _painter  # noqa: PLW0603 - made with the first job, so that its errors reach the driver as sentences
    assert _kit is not None  # noqa: S101 - `_begin` has run in this process
    if _painter is None:
        _painter = _kit.worker()
    return _painter.make(job)
