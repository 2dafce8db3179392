"""One writer at a time: who is refused, what a killed writer leaves, and what nothing is written into."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from sian.errors import BadInput
from sian.files import locks
from sian.files.locks import LOCK, only_writer

HOLD = """
import os, sys
from sian.files.locks import only_writer
with only_writer(sys.argv[1]):
    child = os.fork() if len(sys.argv) > 2 else 1
    if child == 0:
        sys.stdin.read()  # a worker that outlives its parent
        os._exit(0)
    print("held", child, flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(folder, *more):
    command = [sys.executable, "-c", HOLD, str(folder), *more]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("held")
        yield process
        process.stdin.close()


def test_a_second_process_is_refused_with_the_name_of_the_first(tmp_path):
    with holder(tmp_path / "set") as process:
        with pytest.raises(BadInput) as refused, only_writer(tmp_path / "set"):
            pass
        assert f"process {process.pid} on {socket.gethostname()} writes there since 20" in str(refused.value)
        (tmp_path / "link").symlink_to(tmp_path / "set")
        with pytest.raises(BadInput, match="writes there"), only_writer(tmp_path / "link"):
            pass
        with only_writer(tmp_path / "another"):
            pass
    with only_writer(tmp_path / "set"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_holder_is_taken_over_though_its_forked_worker_lives(tmp_path):
    with holder(tmp_path / "set", "with a worker") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / "set" / LOCK).is_file()
        with only_writer(tmp_path / "set"):
            assert json.loads((tmp_path / "set" / LOCK).read_text())["pid"] == os.getpid()


def test_no_second_writer_within_a_process(tmp_path):
    with only_writer(tmp_path), pytest.raises(BadInput, match=f"process {os.getpid()} on"), only_writer(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_of_another_machine_the_sentence_says_what_to_do(tmp_path):
    lock = tmp_path / LOCK
    lock.write_text(json.dumps({"host": "elsewhere", "boot": "another", "pid": 7, "since": "yesterday"}))
    with pytest.raises(BadInput) as refused, only_writer(tmp_path):
        pass
    assert "process 7 on elsewhere writes there since yesterday" in str(refused.value)
    assert f"if it no longer runs there, remove {lock}" in str(refused.value)
    assert lock.is_file()
    lock.unlink()
    with only_writer(tmp_path):
        pass


@pytest.mark.parametrize(
    ("changes", "free"),
    [
        ({}, False),
        ({"started": "1"}, True),  # another process has got the number since
        ({"boot": "before the restart"}, True),
        ({"pid": 2**22 + 1}, True),  # beyond Linux's last process number
        ({"host": "elsewhere"}, False),
    ],
)
@pytest.mark.skipif(not locks._boot(), reason="needs /proc")
def test_where_there_are_no_record_locks_the_process_decides(tmp_path, monkeypatch, changes, free):
    monkeypatch.setattr(locks, "fcntl", None)
    parent = {**locks._ourselves(), "pid": os.getppid(), "started": locks._started(os.getppid())}
    (tmp_path / LOCK).write_text(json.dumps(parent | changes))
    if free:
        with only_writer(tmp_path):
            pass
    else:
        with pytest.raises(BadInput, match="writes there"), only_writer(tmp_path):
            pass


@pytest.mark.parametrize("content", ["", "[1]", "{", "\x00" * 9000])
def test_a_lock_file_that_says_nothing_is_taken_over(tmp_path, content):
    (tmp_path / LOCK).write_text(content)
    with only_writer(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_only_folders_with_nothing_in_them_go_again(tmp_path):
    with only_writer(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    with only_writer(tmp_path / "a" / "b"):
        (tmp_path / "a" / "kept").write_text("")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["kept"]


def test_beside_what_appears_whole(tmp_path):
    with only_writer(tmp_path / "model.safetensors", folder=False):
        assert [path.name for path in tmp_path.iterdir()] == [f".model.safetensors{LOCK}"]
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_takes_no_file(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / LOCK).symlink_to(tmp_path / "file")
    for name in ("file/set", "loop/set", "planted"):
        with pytest.raises(BadInput, match="cannot be written"), only_writer(tmp_path / name):
            pass
    assert (tmp_path / "file").read_text() == ""


def test_threads_that_start_together_do_not_share_a_place(tmp_path, monkeypatch):
    """Record locks do not tell the threads of a process apart."""
    acquired = locks._acquired

    def slowly(path, target):
        handle = acquired(path, target)
        time.sleep(0.05)
        return handle

    monkeypatch.setattr(locks, "_acquired", slowly)
    start, refused = threading.Barrier(3), []

    def write():
        start.wait()
        try:
            with only_writer(tmp_path / "set"):
                time.sleep(0.2)
        except BadInput as error:
            refused.append(str(error))

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 2
