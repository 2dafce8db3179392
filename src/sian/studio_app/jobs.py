"""One heavy job at a time, beside the painter: encode, fit, segment, fine-tune; what comes meanwhile waits its turn."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from sian.errors import BadInput, SianError

if TYPE_CHECKING:
    from collections.abc import Callable

    Work = Callable[["Report"], "str | None"]

MOST_WAITING = 8
PATIENCE = 10.0  # seconds that a job gets to end when the studio does


class Report(Protocol):
    """How far a job is; raises `Cancelled` where it is not wanted any more."""

    def __call__(self, done: int, total: int, step: str = "") -> None:
        """Say it: `done` of `total`, 0 where that is unknown, of a step of the job in words."""


@dataclass
class Job:
    """Some work.

    Attributes:
        name: in words, e.g. "fitting slide.png".
        work: takes `report(done, total)`; returns a sentence for the page, or None.
        done: of `total`; a total of 0 means unknown.
        total: see `done`.
        step: of the work, in words, e.g. "learning"; "" for a job of one step.
        kind: see `Jobs.add`.
    """

    name: str
    work: Work
    done: int = 0
    total: int = 0
    step: str = ""
    kind: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)


class Cancelled(Exception):
    """The user does not want it any more."""


class Jobs:
    """Runs jobs one after another in a thread of its own.

    Args:
        changed: called when there is something new to show.
        said: takes the sentence that a job ends with, and whether it is bad news.
    """

    def __init__(self, changed: Callable[[], None], said: Callable[[str, bool], None]) -> None:
        self._changed, self._said = changed, said
        self._waiting: deque[Job] = deque()
        self._now: Job | None = None
        self._ready = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="sian-studio-jobs", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Do nothing more; a job that runs is asked to stop, and waited for a while."""
        with self._ready:
            self._stopped = True
            self._waiting.clear()
            if self._now is not None:
                self._now.cancelled.set()
            self._ready.notify_all()
        if self.running:
            self._thread.join(PATIENCE)

    @property
    def running(self) -> bool:
        """Whether its thread still is at work, also after `stop`."""
        return self._thread.is_alive()

    def add(self, name: str, work: Work, kind: str = "") -> None:
        """Have something done.

        Args:
            name: in words, e.g. "fitting slide.png".
            work: see `Job`.
            kind: of jobs of which only the last one is wanted; those that wait make way for it.

        Raises:
            BadInput: too much waits already.
        """
        with self._ready:
            waiting = deque(job for job in self._waiting if not kind or job.kind != kind)
            if len(waiting) >= MOST_WAITING:
                raise BadInput("too many jobs wait already; let some of them end first")
            self._waiting = waiting
            self._waiting.append(Job(name, work, kind=kind))
            self._ready.notify_all()
        self._changed()

    def cancel(self) -> None:
        """Stop what is being done now."""
        with self._ready:
            if self._now is not None:
                self._now.cancelled.set()

    def state(self) -> dict[str, Any] | None:
        """What a page shows; None when nothing is being done."""
        now = self._now or (self._waiting[0] if self._waiting else None)
        if now is None:
            return None
        place = {"name": now.name, "step": now.step, "done": now.done, "total": now.total}
        return {**place, "waiting": len(self._waiting)}

    def _run(self) -> None:
        while True:
            with self._ready:
                while not self._waiting and not self._stopped:
                    self._ready.wait()
                if self._stopped:
                    return
                job = self._now = self._waiting.popleft()
            self._changed()
            self._do(job)
            self._now = None
            self._changed()

    def _do(self, job: Job) -> None:
        def report(done: int, total: int, step: str = "") -> None:
            if job.cancelled.is_set():
                raise Cancelled
            if (done, total, step) != (job.done, job.total, job.step):
                job.done, job.total, job.step = done, total, step
                self._changed()

        try:
            sentence = job.work(report)
        except Cancelled:
            self._said(f"{job.name}: stopped", False)
        except SianError as error:
            self._said(str(error), True)
        except Exception as error:  # noqa: BLE001 - the page must hear of a job that failed, whatever the reason
            self._said(f"{job.name}: a bug in SIAN: {type(error).__name__}: {error}", True)
        else:
            if sentence:
                self._said(sentence, False)
