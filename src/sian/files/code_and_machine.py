"""Which code and which machine made something: what is written beside every number."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path


def commit() -> str:
    """The git commit of the checkout that runs, "-dirty" when it differs from it; "unknown" outside a checkout."""
    here = Path(__file__).parent
    try:
        revision = _git(here, "rev-parse", "--short=12", "HEAD")
        changed = _git(here, "status", "--porcelain", "--", ".")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return revision + ("-dirty" if changed else "")


def machine(threads: int, device: str = "cpu") -> str:
    """The device in words, e.g. "cpu, 2 threads, x86_64 Linux"."""
    return f"{device}, {threads} threads, {platform.machine()} {platform.system()}"


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - fixed arguments
        ["git", "-C", str(folder), *arguments],  # noqa: S607 - whichever git the user has
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return done.stdout.strip()
