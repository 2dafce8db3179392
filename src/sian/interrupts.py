"""Ctrl-C and SIGTERM as a wish that long work asks for between two steps, so that nothing is left half done."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def stop_signals(*, second_at_once: bool = False) -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM set the event, and the work inside ends when it next looks.

    In another thread than the main one, where Python takes no signals, the event is never set.

    Args:
        second_at_once: whether a second signal raises KeyboardInterrupt. A training says no: its checkpoint is being
            written then.
    """
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def stop(*_: object) -> None:
        if second_at_once and stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
