"""Keep freed memory in the process, so that a network's next layer need not ask the kernel for it again.

glibc gives blocks of more than 128 KB back to the kernel when they are freed. A layer's features are such blocks, so
that every layer of every painting pays for fresh, zeroed pages: half a million page faults for an image of 1000 x 1000
px, and a fifth of its time or more. With two thresholds raised the faults are gone; the peak is a tenth higher.

Measured in docs/results/benchmarks.md. `sian.networks` calls this when it is first imported, so that it holds in every
process that computes: the command line, production workers, Ray actors, workers of a data loader, a notebook. Where
there is no glibc (macOS, Windows, musl) nothing changes. ``SIAN_RETURN_MEMORY=1`` switches it off, for a process that
shares its memory with other work and would rather be slower.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from typing import Literal

SWITCH = "SIAN_RETURN_MEMORY"
# mallopt's numbers in glibc's <malloc.h>.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
LARGEST_KEPT = 1 << 30  # bytes; larger blocks still come from and go to the kernel
NEVER_TRIM = 2**31 - 1

MemoryUse = Literal["kept", "returned (SIAN_RETURN_MEMORY)", "returned (no glibc)", "returned (refused)"]


@cache
def keep_freed_memory() -> MemoryUse:
    """Let malloc keep what is freed; once a process, later calls only answer.

    Returns:
        Whether freed memory is kept, or why it is not.
    """
    if os.environ.get(SWITCH, "0") not in ("", "0"):
        return "returned (SIAN_RETURN_MEMORY)"
    library = _glibc()
    if library is None:
        return "returned (no glibc)"
    done = library.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT) and library.mallopt(M_TRIM_THRESHOLD, NEVER_TRIM)
    return "kept" if done else "returned (refused)"


def give_back() -> None:
    """Give free memory back to the kernel, once a large piece of work is done.

    Kept memory falls to pieces while super-tiles of a slide come and go, and the process grows although it needs no
    more (docs/results/slides.md). Does nothing without glibc.
    """
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """The C library of this process if it is GNU's."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    # musl has neither function; other libraries that answer to `mallopt` lack the first.
    return library if hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt") else None
