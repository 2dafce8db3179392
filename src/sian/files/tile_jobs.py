"""Many small jobs of one piece of work, each done once, by any number of processes that share a folder.

A job that is done has a marker file; one that is being done has a lock, which ends with its process, however that dies.
So work that was killed goes on where it was when it is started again, and a second process takes what the first leaves.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from sian.errors import NO_SPACE, BadInput
from sian.files.atomic import cannot_write, write_bytes, write_json
from sian.files.jsonfiles import read_json
from sian.files.locks import Busy, only_writer

UNFINISHED = ".unfinished"  # what follows the name of what is being made
JOB, DONE, FINISH = "job.json", "done", "finish"
WAIT_SECONDS = 0.5  # between looks at what other processes have done


def unfinished_folder(target: Path) -> Path:
    """Where the work on a target lies until it is whole."""
    return target.with_name(target.name + UNFINISHED)


def begin(target: Path, job: Mapping[str, Any], prepare: Callable[[Path], None]) -> Path:
    """Begin a piece of work, or go on with it.

    Args:
        target: the file or folder that is to be made.
        job: what decides its content, plain JSON.
        prepare: makes what all jobs share, in the folder it is given; called once.

    Returns:
        The folder of the work.

    Raises:
        BadInput: the target is there already, or unfinished work of another job.
    """
    folder = unfinished_folder(target)
    if target.exists():
        raise BadInput(f"{target}: is there already and holds something else; remove it, or choose another --output")
    with _alone(folder / "begin"):
        if (folder / JOB).is_file():
            before = read_json(folder / JOB)
            if before != dict(job):
                raise BadInput(
                    f"{folder}: holds unfinished work of another {_differences(before, job)}; remove it, or choose "
                    "another --output"
                )
        else:
            with _writing_to(folder):
                prepare(folder)
            write_json(folder / JOB, dict(job))
    return folder


def _differences(before: Any, job: Mapping[str, Any]) -> str:
    """In what two jobs differ, in words."""
    known = before if isinstance(before, dict) else {}
    return ", ".join(key for key in {**known, **job} if known.get(key) != job.get(key)) or "kind"


def work_through(
    target: Path,
    names: Sequence[str],
    do: Callable[[int], None],
    report: Callable[[int, int], None] | None = None,
) -> None:
    """Do all jobs that are not done, but for those that other processes do; return when all are done.

    Args:
        target: as for `begin`.
        names: of the jobs, as file names.
        do: does the job of that number.
        report: called with (jobs done, jobs in all).
    """
    done = unfinished_folder(target) / DONE

    def is_done(name: str) -> bool:
        return (done / name).exists() or target.exists()  # in this order: the target comes before the markers go

    while True:
        left = [number for number, name in enumerate(names) if not is_done(name)]
        if report:
            report(len(names) - len(left), len(names))
        if not left:
            return
        idle = True
        for number in left:
            if is_done(names[number]):
                continue
            with suppress(Busy), only_writer(done / names[number], folder=False):
                if not is_done(names[number]):
                    with _writing_to(done.parent):
                        do(number)
                    write_bytes(done / names[number], b"")
                idle = False
            if report:
                report(sum(map(is_done, names)), len(names))
        if idle:
            time.sleep(WAIT_SECONDS)


def work_ahead(
    target: Path,
    names: Sequence[str],
    start: Callable[[int], Any],
    take: Callable[[int, Any], None],
    ahead: int,
    report: Callable[[int, int], None] | None = None,
) -> None:
    """`work_through` by workers: several jobs are under way at once, and this process alone writes what they give.

    Args:
        target: as for `begin`.
        names: of the jobs, as file names.
        start: begins the job of that number; what it returns goes to `take`.
        take: waits for the job, and writes what it gave.
        ahead: jobs under way at once.
        report: called with (jobs done, jobs in all).
    """
    done = unfinished_folder(target) / DONE
    waiting: deque[tuple[int, Any, ExitStack]] = deque()

    def is_done(name: str) -> bool:
        return (done / name).exists() or target.exists()

    def settle() -> None:
        number, begun, lock = waiting.popleft()
        with lock:
            with _writing_to(done.parent):
                take(number, begun)
            write_bytes(done / names[number], b"")
        if report:
            report(sum(map(is_done, names)), len(names))

    if report:
        report(sum(map(is_done, names)), len(names))
    try:
        while left := [number for number, name in enumerate(names) if not is_done(name)]:
            idle = True
            for number in left:
                with suppress(Busy), ExitStack() as lock:
                    lock.enter_context(only_writer(done / names[number], folder=False))
                    idle = False
                    if not is_done(names[number]):
                        waiting.append((number, start(number), lock.pop_all()))
                if len(waiting) >= ahead:
                    settle()
            while waiting:
                settle()
            if idle:
                time.sleep(WAIT_SECONDS)
    finally:
        for _, _, lock in waiting:
            lock.close()


def finish(target: Path, complete: Callable[[Path], Path]) -> None:
    """Make the target appear whole, once, whichever process comes first.

    Args:
        target: as for `begin`.
        complete: makes of the folder's content what is to be the target; its path, in that folder.
    """
    folder = unfinished_folder(target)
    with _alone(folder / FINISH):
        if not target.exists():
            with _writing_to(folder):
                complete(folder).replace(target)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _writing_to(folder: Path) -> Iterator[None]:
    """Say where the disk is full when the library that writes does not."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE and error.filename is None:
            raise cannot_write(folder, error) from error
        raise


class _alone:  # noqa: N801 - used like a function
    """Wait until no other process is in the same place, then be the only one."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __enter__(self) -> None:
        while True:
            self.held = only_writer(self.place, folder=False)
            try:
                self.held.__enter__()
            except Busy:
                time.sleep(WAIT_SECONDS)
            else:
                return

    def __exit__(self, *error: Any) -> None:
        self.held.__exit__(*error)
