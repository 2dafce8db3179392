"""Ray: the same bytes, and one sentence when there is none."""

from __future__ import annotations

import socket
import sys
import time

import pytest
from tests.production.toys import tree

from sian.cli.main import main


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_gives_the_same_bytes(finished, plan, tmp_path) -> None:
    pytest.importorskip("ray")
    assert main(["dataset", str(plan), "-o", str(tmp_path / "set"), "--ray", "--workers", "1"]) == 0
    assert tree(tmp_path / "set") == tree(finished)


@pytest.mark.parametrize("form", ["{}:{}", "ray://{}:{}"])
def test_a_cluster_that_does_not_answer(plan, tmp_path, capsys, form) -> None:
    pytest.importorskip("ray")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers there
        address = form.format(*taken.getsockname())
        begun = time.monotonic()
        assert main(["dataset", str(plan), "-o", str(tmp_path / "set"), "--address", address]) == 4
    assert time.monotonic() - begun < 60
    error = capsys.readouterr().err
    assert f"no Ray cluster answers at {address!r}" in error
    assert error.count("sian: error") == 1


def test_an_address_that_is_none(plan, tmp_path, capsys) -> None:
    pytest.importorskip("ray")
    assert main(["dataset", str(plan), "-o", str(tmp_path / "set"), "--address", "somewhere"]) == 4
    assert "expected HOST:PORT" in capsys.readouterr().err


def test_without_ray(plan, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["dataset", str(plan), "-o", str(tmp_path / "set"), "--ray"]) == 4
    assert "pip install 'sian[ray]'" in capsys.readouterr().err
