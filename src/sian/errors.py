"""Every error that SIAN raises on purpose, and the exit code that each one becomes.

::

    SianError
      +- BadInput         3   a file, a name or a value that cannot be used (also: it does not exist)
      +- MissingResource  4   something this machine lacks: weights, a device, disk space
      +- Interrupted    130   the user stopped the work; what was done is saved

An error's text is one sentence: which file, what was found, what was expected, what to try. Anything that is not
a `SianError` is a bug in SIAN and leaves with exit code 1; wrong options of the command line leave with 2.
"""

from __future__ import annotations

import difflib
import re
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

EXIT_BUG = 1
EXIT_USAGE = 2


class SianError(Exception):
    """What SIAN says when it cannot go on; one sentence that tells what to try."""

    exit_code = EXIT_BUG


class BadInput(SianError, ValueError):
    """A file, a name or a value that cannot be used as it is."""

    exit_code = 3


class MissingResource(SianError):
    """Something that the machine lacks: weights, a device, disk space."""

    exit_code = 4


class Interrupted(SianError):
    """The user stopped the work; what was finished is kept."""

    exit_code = 130


class SianWarning(UserWarning):
    """Something the user should know about a result that was made all the same."""


def warn(sentence: str) -> None:
    """Warn the user about a result; the command line prints it on stderr as one line."""
    warnings.warn(sentence, SianWarning, stacklevel=3)


def first_line(error: Exception) -> str:
    r"""What an error says, as a part of a sentence.

    >>> first_line(ValueError("broken.\nmore")), first_line(KeyError())
    ('broken', 'KeyError')
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip().rstrip(".;:")


def dead_worker(error: Exception) -> MissingResource | None:
    """What to say when torch found one of its loader's worker processes dead; None for any other error.

    >>> dead_worker(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")).exit_code
    4
    """
    found = re.match(r"DataLoader worker \(pid\(?s?\)? ?[\d, ]+\) (.+?)\.?\s*$", first_line(error))
    if not isinstance(error, RuntimeError) or found is None:
        return None
    return MissingResource(
        f"a worker process died ({found[1]}), most often because memory ran out; what was written is kept; try fewer "
        "workers, smaller windows or a smaller batch"
    )


def nearest(name: str, known: Iterable[str], listed: Iterable[str] | None = None) -> str:
    """Finish a sentence about an unknown name: ``"; did you mean 'kidney'? Known: ..."``.

    Args:
        name: what was asked for.
        known: what can be asked for.
        listed: which of these are named, where all of them would be too long; all if None.

    >>> nearest("kidny", ["breast", "kidney"])
    "; did you mean 'kidney'? Known: breast, kidney"
    """
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f"; did you mean {close[0]!r}?" if close else "."
    return f"{guess} Known: {', '.join(known if listed is None else listed)}"
