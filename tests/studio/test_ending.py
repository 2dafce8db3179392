"""How the studio and what it starts end: by Ctrl-C without an error, and nothing goes on behind its back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from sian.errors import BadInput
from sian.studio_app import child_process
from sian.studio_app.child_process import follow
from sian.studio_app.jobs import Cancelled, Jobs

SECONDS = 120  # the machine that runs this may be busy


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a signal")
@pytest.mark.parametrize("wish", ["SIGINT", "SIGTERM"])
def test_ctrl_c_ends_the_studio_and_says_where_the_drawing_is(tmp_path, toy_path, wish):
    command = [sys.executable, "-m", "sian", "studio", "--no-browser", "--port", "0", "--model", str(toy_path)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(getattr(signal, wish))
        _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    assert str(tmp_path / "sian-studio" / "autosave") in said
    assert "interrupted" not in said
    assert "Traceback" not in said


EARLY = """
import asyncio.selector_events, os, signal, sys
own = asyncio.selector_events.BaseSelectorEventLoop._make_self_pipe

def early(loop):
    os.kill(os.getpid(), signal.SIGTERM)
    own(loop)

asyncio.selector_events.BaseSelectorEventLoop._make_self_pipe = early
from sian.cli.main import run
run()
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals are held where they can be")
def test_a_signal_while_the_server_comes_up_waits_until_it_can_be_closed(tmp_path, toy_path):
    command = [sys.executable, "-c", EARLY, "studio", "--no-browser", "--port", "0", "--model", str(toy_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert "the studio has ended" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_that_fails_gives_its_own_sentence(tmp_path):
    missing = tmp_path / "nothing.png"
    with pytest.raises(BadInput, match=r"^`sian studio` stopped: .*nothing\.png"):
        follow(["studio", missing], lambda *_: None)


def test_a_command_that_is_not_wanted_any_more_is_ended(toy_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    started = []

    class Kept(subprocess.Popen):
        def __init__(self, *given, **named):
            super().__init__(*given, **named)
            started.append(self)

    monkeypatch.setattr(child_process.subprocess, "Popen", Kept)
    asked = []

    def report(*place):
        asked.append(place)
        if len(asked) > 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        follow(["studio", "--no-browser", "--port", "0", "--model", toy_path], report)
    assert started[0].poll() is not None


def test_a_studio_that_ends_waits_for_the_job_that_it_stops():
    ended, begun = [], threading.Event()

    def work(report):
        begun.set()
        try:
            while True:
                report(0, 0)
        finally:
            ended.append(True)

    jobs = Jobs(lambda: None, lambda *_: None)
    jobs.start()
    jobs.add("endless", work)
    assert begun.wait(SECONDS)
    jobs.stop()
    assert ended == [True]


def test_progress_is_told_when_it_changes_and_with_its_step():
    told, done = [], threading.Event()

    def work(report):
        for place in ((1, 4, "learning"), (1, 4, "learning"), (2, 4, "learning")):
            report(*place)

    jobs = Jobs(lambda: told.append(jobs.state()), lambda *_: None)
    jobs.start()
    jobs.add("adapting", work)
    jobs.add("last", lambda _: done.set())
    assert done.wait(SECONDS)
    jobs.stop()
    steps = [(state["step"], state["done"]) for state in told if state and state["name"] == "adapting"]
    assert steps.count(("learning", 1)) == 1
    assert ("learning", 2) in steps
