"""A long command of `sian` as a process of its own: its progress, what it says, and its end when it is not wanted."""

from __future__ import annotations

import queue
import re
import subprocess
import sys
import tempfile
import threading
from collections import deque
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from sian.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sian.studio_app.jobs import Report

# As `sian.cli.console` writes them: "learning: 40 of 600, 2 windows/s, 4 s left", "outlining: 12 windows in 8 s, ..."
PROGRESS = re.compile(r"^([a-z][a-z ]*): (\d+)(?: of (\d+))?,? .*/(?:s|min)\b")
BEAT = 0.5  # seconds between two looks at whether the job is still wanted
PATIENCE = 60.0  # seconds that a process gets to save what it has before it is killed
MOST_LINES = 500  # of what it says, that are kept


@dataclass(frozen=True)
class Said:
    """What a command said.

    Attributes:
        lines: on stderr, the last ones.
        out: on stdout.
    """

    lines: list[str]
    out: str


def follow(arguments: Sequence[str | Path], report: Report) -> Said:
    """Run `sian` with some arguments to its end; its lines of progress are reported.

    Args:
        arguments: e.g. ["adapt", "slide.png", "-o", "out"].
        report: see `Jobs`; where it raises, the process is ended.

    Raises:
        BadInput: the command failed; with its own sentence.
    """
    command = [sys.executable, "-m", "sian", *map(str, arguments)]
    lines: deque[str] = deque(maxlen=MOST_LINES)
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as out,
        subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True, errors="replace") as process,  # noqa: S603
    ):
        try:
            _listen(process, lines, report)
        except BaseException:
            _end(process)
            raise
        process.wait()
        out.seek(0)
        said = Said(list(lines), out.read())
    if process.returncode:
        last = lines[-1] if lines else f"exit code {process.returncode}"
        raise BadInput(f"`sian {arguments[0]}` stopped: {last.removeprefix('sian: ').removeprefix('error: ')}")
    return said


def progress_of(line: str) -> tuple[str, int, int] | None:
    """What a line of progress says: what is done, how much, and of how much; 0 where that is unknown.

    >>> progress_of("learning: 40 of 600, 2 windows/s, 4 min 40 s left")
    ('learning', 40, 600)
    >>> progress_of("outlining: 12 windows in 8 s, 1.5 windows/s")
    ('outlining', 12, 12)
    >>> progress_of("left out: 3 slides")
    """
    found = PROGRESS.match(line.removeprefix("sian: "))
    if found is None:
        return None
    done = int(found[2])
    return found[1], done, int(found[3]) if found[3] else done * (" in " in line)


def _listen(process: subprocess.Popen[str], lines: deque[str], report: Report) -> None:
    """Take lines until the process ends; between them, see whether the job is still wanted."""
    heard: queue.Queue[str | None] = queue.Queue()
    assert process.stderr is not None  # noqa: S101 - a pipe was asked for
    threading.Thread(target=_read, args=(process.stderr, heard), name="sian-studio-reader", daemon=True).start()
    now = ("", 0, 0)
    while True:
        report(now[1], now[2], now[0])
        try:
            line = heard.get(timeout=BEAT)
        except queue.Empty:
            continue
        if line is None:
            return
        if line.strip():
            lines.append(line.strip())
        now = progress_of(line.strip()) or now


def _read(stream: IO[str], heard: queue.Queue[str | None]) -> None:
    for line in stream:
        heard.put(line)
    heard.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    """Ask a process to stop, which lets it save what it has; its pipe is read on by the reader meanwhile."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
