"""Trainings that fail are set aside and the others go on; at the end one sentence says which and why."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import TypeVar

from sian.errors import Interrupted, SianError, first_line

Key = TypeVar("Key")


@contextmanager
def set_aside(failures: MutableMapping[Key, Exception], key: Key) -> Iterator[None]:
    """What goes wrong inside is kept as the failure of `key`; an interruption goes on."""
    try:
        yield
    except Interrupted:
        raise
    except (SianError, RuntimeError, MemoryError, OSError) as error:
        failures[key] = error


def of_failures(failures: dict[str, Exception], done: int, what: str) -> SianError | None:
    """One sentence for all failures, of the kind of the first; None if there is none.

    Args:
        failures: by name.
        done: how many did not fail.
        what: they are, plural.
    """
    if not failures:
        return None
    sentences = [f"{name}: {first_line(failure)}" for name, failure in failures.items()]
    kinds = [type(failure) for failure in failures.values() if isinstance(failure, SianError)]
    total = done + len(failures)
    return (kinds or [SianError])[0](f"{len(sentences)} of {total} {what} failed; {'; '.join(sentences)}")
