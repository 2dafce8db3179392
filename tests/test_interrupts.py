"""A signal is a wish: the work inside ends when it next looks; outside, signals are as they were."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from sian.interrupts import stop_signals

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of another kind")

# A process of its own: a signal that goes astray would end the one that runs the tests.
CHILD = """
import signal, sys
from sian.interrupts import stop_signals

number, at_once = int(sys.argv[1]), sys.argv[2] == "True"
before = signal.getsignal(number)
with stop_signals(second_at_once=at_once) as stopped:
    assert not stopped.is_set()
    signal.raise_signal(number)
    assert stopped.is_set()
    try:
        signal.raise_signal(number)
    except KeyboardInterrupt:
        print("order")
    else:
        print("wish")
assert signal.getsignal(number) is before
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("at_once", [False, True])
def test_the_first_signal_is_a_wish_and_the_second_an_order_if_asked(number, at_once) -> None:
    command = [sys.executable, "-c", CHILD, str(int(number)), str(at_once)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (0, "order" if at_once else "wish"), ended.stderr


def test_other_threads_take_no_signals() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with stop_signals() as stopped:
            seen.append((stopped.is_set(), signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, True)]
