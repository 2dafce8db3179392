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
import errno
import re
import reprlib
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


# What the system says when a disk, or the user's share of it, is full.
NO_SPACE = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
# What it says when something else than the file is at fault.
_LACKS = {
    errno.EFBIG: "this file system, or a limit of this session (ulimit -f), takes no file that large; write elsewhere",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n) or use fewer workers",
    errno.ENFILE: "too many files are open on this machine; close other programs",
    errno.ENOMEM: "memory ran out; try a smaller batch or smaller windows, or close other programs",
    errno.EIO: "the disk reports an error; write elsewhere, or copy the file from there while it can be read",
}


class SianWarning(UserWarning):
    """Something the user should know about a result that SIAN made nevertheless."""


def warn(sentence: str) -> None:
    """Warn the user about a result; the command line prints it on stderr as one line."""
    warnings.warn(sentence, SianWarning, stacklevel=3)


def printable(text: str) -> str:
    r"""A text that does nothing to a terminal: control characters, and those that turn the writing direction, escaped.

    The escapes are JSON's, so that a JSON document stays one. Line ends and tabs stay.

    >>> printable("a\x1b[31mb\udcffc"), printable("naïve µm 核\n")
    ('a\\u001b[31mb\\udcffc', 'naïve µm 核\n')
    """
    return _COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


# C0 and C1 without tab and line feed; marks of direction and other separators of lines; halves of surrogate pairs.
_COMMANDS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]"
)


def shown(value: object) -> str:
    """A value that someone gave, short enough for a sentence however large it is.

    >>> shown("kidney"), shown([1] * 9), shown(10**5000)
    ("'kidney'", '[1, 1, 1, 1, 1, 1, ...]', 'a number of about 5000 digits')
    """
    return _SHORT.repr(value)


class _Short(reprlib.Repr):
    """Python's own, which stumbles over numbers that are too long to be written."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 80

    def repr_int(self, value: int, level: int) -> str:  # noqa: ARG002 - the shape is Python's
        """A whole number."""
        digits = round(value.bit_length() * 0.30103)
        return f"a number of about {digits} digits" if digits > 100 else repr(value)


_SHORT = _Short()


def first_line(error: Exception) -> str:
    r"""What an error says, as a part of a sentence.

    >>> first_line(ValueError("broken.\nmore")), first_line(KeyError())
    ('broken', 'KeyError')
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip().rstrip(".;:")


def of_system(error: OSError, path: object = None) -> SianError:
    """What to say of the operating system's refusal to read or write.

    Args:
        error: what it raised.
        path: the file, where it is known better than `error` knows it.

    >>> of_system(OSError(errno.ENOSPC, "No space left on device"), "a.png").exit_code
    4
    >>> str(of_system(OSError(errno.ELOOP, "Too many levels of symbolic links"), "a.png"))
    'a.png: too many levels of symbolic links; check the path'
    """
    name = error.filename if path is None else path
    where = "" if name is None else f"{name}: "
    if error.errno in NO_SPACE:
        return MissingResource(f"{where}the disk is full; free some space or write somewhere else, then run again")
    if error.errno in _LACKS:
        return MissingResource(f"{where}{_LACKS[error.errno]}")
    return BadInput(f"{where}{(error.strerror or str(error) or type(error).__name__).lower()}; check the path")


def lacks_memory(error: Exception) -> bool:
    """Whether memory ran out, by Python's, NumPy's or torch's words.

    >>> lacks_memory(RuntimeError("[enforce fail at alloc_cpu.cpp:116] . DefaultCPUAllocator: can't allocate memory"))
    True
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    words = ("DefaultCPUAllocator", "bad_alloc", "out of memory", "could not create a primitive")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


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
    close = difflib.get_close_matches(name[:200], known, n=1, cutoff=0.5)
    guess = f"; did you mean {close[0]!r}?" if close else "."
    return f"{guess} Known: {', '.join(known if listed is None else listed)}"
