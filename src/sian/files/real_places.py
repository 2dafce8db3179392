"""Where files really lie, links followed."""

from __future__ import annotations

from pathlib import Path


def is_inside(path: str | Path, folder: str | Path) -> bool:
    """Whether a path leads to a place inside a folder, once links are followed; one that goes in circles does not."""
    try:
        return Path(path).resolve().is_relative_to(Path(folder).resolve())
    except (OSError, RuntimeError, ValueError):  # a circle of links, a name that is too long, NUL
        return False
