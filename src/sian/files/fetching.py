"""A file from an address: a connection that breaks is taken up again where it broke.

Ours, since pooch (the library for this) begins again at the first byte, wants a whole SHA-256 where publishers give its
first digits, and brings requests along.
"""

from __future__ import annotations

import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Opener = Callable[..., Any]  # opener(url or request, timeout=seconds), as urllib.request.urlopen

CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 30.0
ATTEMPTS = 5  # without a byte more than before; each of them waits for `TIMEOUT_SECONDS` at most


def fetch(url: str, target: Path, opener: Opener, report: Callable[[int], None] | None = None) -> None:
    """Write what lies at an address into a file.

    Args:
        url: https.
        target: the file; written over.
        opener: opens it.
        report: called with the bytes there so far.

    Raises:
        OSError: it cannot be reached at all, or the connection broke too often.
    """
    done, useless = 0, 0
    while True:
        before = done
        try:
            with _opened(url, done, opener) as source:
                if done and getattr(source, "status", None) != 206:  # the server sends the whole file again
                    done = 0
                expected = _length(source, done)
                with target.open("r+b" if done else "wb") as stream:
                    stream.seek(done)
                    while chunk := source.read(CHUNK_BYTES):
                        stream.write(chunk)
                        done += len(chunk)
                        if report is not None:
                            report(done)
            if expected is None or done >= expected:
                return
            broken: Exception = ConnectionError(f"the connection ended after {done:,} of {expected:,} bytes")
        except (OSError, HTTPException) as error:
            if not done or getattr(error, "filename", None) == str(target):
                raise  # nobody is there, or our own disk
            broken = error
        useless = 0 if done > before else useless + 1
        if useless >= ATTEMPTS:
            raise broken if isinstance(broken, OSError) else ConnectionError(str(broken)) from broken


def _opened(url: str, done: int, opener: Opener) -> Any:
    if not done:
        return opener(url, timeout=TIMEOUT_SECONDS)
    rest = urllib.request.Request(url, headers={"Range": f"bytes={done}-"})  # noqa: S310 - ours are https
    return opener(rest, timeout=TIMEOUT_SECONDS)


def _length(source: Any, done: int) -> int | None:
    """Bytes in all, where the server says how many come."""
    length = getattr(source, "headers", {}).get("Content-Length")
    return done + int(length) if length and length.isdecimal() else None
