"""One writer at a time: a second process that wants to write into the same place is refused, and told who is there.

A lock is a small file that names its holder: host, process, when. While the holder lives, the operating system's own
record lock lies on that file; it ends with the process, however that dies, and a child that was forked does not
inherit it. So a lock file that a killed process left behind is simply taken over. Where the file system knows no
record locks, the process number and its start decide. A file of another machine, which may or may not see our locks,
is respected, and the sentence says what to do.

The package filelock, which torch brings, does not name the holder, and its locks are inherited by forked children.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sian.errors import BadInput
from sian.files.atomic import cannot_write

try:
    import fcntl
except ImportError:  # Windows: a lock file that a killed process left has to be removed by hand
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK = ".sian-lock"  # in a folder; beside a file NAME it is .NAME.sian-lock
_BUSY = {errno.EACCES, errno.EAGAIN}
_MOST = 4096  # bytes of a lock file that are read
_one_thread = threading.Lock()  # between asking for a lock and noting that it is ours
_held: set[Path] = set()  # by this process, on which its own record locks have no effect


class Busy(BadInput):
    """Another process writes there now."""


@contextmanager
def only_writer(target: str | Path, folder: bool = True) -> Iterator[None]:
    """Be the only process that writes to a place; the place's folder is made if need be.

    Args:
        target: a folder that is filled file by file, or a file or folder that appears whole.
        folder: whether it is filled file by file; the lock then lies in it, else beside it.

    Raises:
        Busy: another process writes there.
        BadInput: one may do so on another machine, or the place cannot be written to.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "data"
    >>> with only_writer(place):
    ...     [file.name for file in place.iterdir()]
    ['.sian-lock']
    >>> place.exists()
    False
    """
    target = Path(os.path.realpath(target))
    path = target / LOCK if folder else target.with_name(f".{target.name}{LOCK}")
    made = _make_folders(path.parent)
    try:
        with _one_thread:
            handle = _acquired(path, target)
            _held.add(path)
        try:
            yield
        finally:
            _held.discard(path)
            with suppress(OSError):
                path.unlink()  # before the record lock ends, so that nobody's file but ours can go
            os.close(handle)
    finally:
        for empty in reversed(made):  # what nothing was written into goes again
            with suppress(OSError):
                empty.rmdir()


def check_writable(target: str | Path, folder: bool = True) -> None:
    """Refuse, before hours of work, a place that `only_writer` refuses; leaves nothing there.

    Args:
        target: a folder that will be filled, or a file.
        folder: which of the two.

    Raises:
        BadInput: it cannot be written to, or is the other of the two, or another process writes there.
    """
    target = Path(target)
    if not folder and target.is_dir():
        raise BadInput(f"{target}: found a folder, expected the name of a file; choose another name")
    with only_writer(target, folder):
        pass


def _make_folders(folder: Path) -> list[Path]:
    """The folders that were made, outermost first."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()][::-1]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return missing


def _acquired(path: Path, target: Path) -> int:
    """The open lock file, locked and with our name in it."""
    if path in _held:
        raise _busy(target, _ourselves())
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        except OSError as error:
            raise cannot_write(target, error) from error
        try:
            _take(handle, path, target)
            if not _is_still(handle, path):  # its holder removed it meanwhile
                os.close(handle)
                continue
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(_ourselves()).encode(), 0)
        except OSError as error:
            os.close(handle)
            raise cannot_write(target, error) from error
        except BaseException:
            os.close(handle)
            raise
        return handle


def _take(handle: int, path: Path, target: Path) -> None:
    """Refuse a lock that is held; a dead holder's is free."""
    holder = _holder(handle)
    try:
        if fcntl is None:
            raise OSError(errno.ENOSYS, "no record locks")
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        decided = True
    except OSError as error:
        if error.errno in _BUSY:
            raise _busy(target, holder) from None
        decided = False
    if not holder:
        return
    here = _ourselves()
    if holder.get("host") != here["host"] and (not decided or holder.get("boot") != here["boot"]):
        raise BadInput(f"{_busy(target, holder)}; if it no longer runs there, remove {path}")
    if not decided and _lives(holder):
        raise _busy(target, holder)


def _busy(target: Path, holder: dict[str, Any]) -> Busy:
    if not holder:
        return Busy(f"{target}: another process writes there now; wait for it, or choose another folder")
    since = f" since {holder['since']}" if holder.get("since") else ""
    return Busy(
        f"{target}: process {holder.get('pid')} on {holder.get('host')} writes there{since}; wait for it, or choose "
        "another folder"
    )


def _holder(handle: int) -> dict[str, Any]:
    """What a lock file says; empty if that is nothing."""
    with suppress(OSError, ValueError):
        content = json.loads(os.pread(handle, _MOST, 0))
        return content if isinstance(content, dict) else {}
    return {}


def _is_still(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _ourselves() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "boot": _boot(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
        "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }


def _boot() -> str:
    """What tells this machine from others and from itself before a restart, on Linux; "" elsewhere."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def _started(pid: int) -> str:
    """When a process began, in the kernel's own ticks, on Linux; "" elsewhere."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    return ""


def _lives(holder: dict[str, Any]) -> bool:
    """Whether the process that a lock file of this machine names still runs."""
    pid, here = holder.get("pid"), _ourselves()
    if not isinstance(pid, int) or pid <= 0 or (here["boot"] and holder.get("boot") not in ("", None, here["boot"])):
        return False
    if os.name == "nt":  # there, to ask is to kill
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return _started(pid) in ("", holder.get("started"))
