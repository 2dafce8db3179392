"""What the command line prints, and where: results on stdout, everything else on stderr.

Every text passes `errors.printable` here: names from files that others wrote cannot give orders to the terminal.
Nothing below `sian.cli` prints; long library functions take ``report(done, total)`` instead, and `progress`
turns those calls into a bar on a terminal or into a plain line now and then in a log.
"""

from __future__ import annotations

import json
import math
import sys
import time
from contextlib import contextmanager
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeAlias

from sian.errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Report: TypeAlias = Callable[[int, int], None]

SECONDS_BETWEEN_LINES = 10.0  # of progress in a log


def out(text: str) -> None:
    """Print a result on stdout."""
    print(printable(text), file=sys.stdout, flush=True)  # noqa: T201 - the one place that prints results


def say(text: str) -> None:
    """Print a line for the reader on stderr."""
    print(printable(text), file=sys.stderr, flush=True)  # noqa: T201 - the one place that prints the log


def print_json(value: object) -> None:
    """Print one JSON document on stdout; nan and infinity become null, which JSON can say."""
    out(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    """`value` in the types that JSON has: paths are text, NumPy's arrays are lists."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


@contextmanager
def progress(description: str, unit: str = "images") -> Iterator[Report]:
    """Show how far some long work is, on stderr.

    Args:
        description: what is being done, e.g. ``"painting"``.
        unit: what is counted, plural.

    Yields:
        ``report(done, total)``, to be handed to a library function. A total of 0 means unknown.
    """
    bar = _bar if sys.stderr.isatty() else _lines
    with bar(description, unit) as report:
        yield report


@contextmanager
def _bar(description: str, unit: str) -> Iterator[Report]:
    """A bar with rate and time left, for a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(description, total=None, rate="")
        pace = _Pace()

        def report(done: int, total: int) -> None:
            rate = _rate(pace(done), unit)
            bars.update(task, completed=done, total=total or None, rate=rate)

        yield report


@contextmanager
def _lines(description: str, unit: str) -> Iterator[Report]:
    """A line every `SECONDS_BETWEEN_LINES` and one at the end, for a log."""
    last, pace = time.monotonic(), _Pace()
    finished = False

    def report(done: int, total: int) -> None:
        nonlocal last, finished
        now, per_second = time.monotonic(), pace(done)
        at_end = done == total > 0 and not finished
        if not at_end and now - last < SECONDS_BETWEEN_LINES:
            return
        last, finished = now, finished or at_end
        say(_line(description, unit, done, total, per_second, now - pace.start))

    yield report


class _Pace:
    """Units a second since the first report: what a resumed run had done before does not count."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self._first: tuple[int, float] | None = None

    def __call__(self, done: int) -> float:
        now = time.monotonic()
        before, since = self._first = self._first or (done, now)
        if done > before and now > since:
            return (done - before) / (now - since)
        return done / max(now - self.start, 1e-9)


def _line(description: str, unit: str, done: int, total: int, per_second: float, seconds: float) -> str:
    rate = _rate(per_second, unit)
    if done == total > 0:
        return f"{description}: {done} {unit} in {duration(seconds)}, {rate}"
    if total and per_second:
        return f"{description}: {done} of {total}, {rate}, {duration((total - done) / per_second)} left"
    return f"{description}: {done} {unit}, {rate}"


def _rate(per_second: float, unit: str) -> str:
    if 0 < per_second < 0.1:
        return f"{per_second * 60:.2g} {unit}/min"
    return f"{per_second:.3g} {unit}/s"


def duration(seconds: float) -> str:
    """A length of time as a person says it.

    >>> duration(4.2), duration(75), duration(7300)
    ('4 s', '1 min 15 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
