"""Ray: the same bytes, and one sentence when there is none."""

from __future__ import annotations

import socket
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from tests.production.toys import tree

from sian import seeds
from sian.cli.main import main
from sian.errors import MissingResource
from sian.production import cluster, run
from sian.production.executors import Failure, in_order
from sian.production.worker import Job


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_gives_the_same_bytes_though_an_actor_is_killed(finished, plan, tmp_path, monkeypatch) -> None:
    ray = pytest.importorskip("ray")
    executors: list[cluster.RayActors] = []
    begin = cluster.RayActors.__init__

    def remembered(self, *arguments) -> None:
        executors.append(self)
        begin(self, *arguments)

    def strike(done: int, total: int) -> None:
        if done == 3:
            ray.kill(executors[0]._actors[0])

    monkeypatch.setattr(cluster.RayActors, "__init__", remembered)
    outcome = run(plan, tmp_path / "set", workers=1, ray=True, report=strike)
    assert (list(outcome.failed), outcome.kept) == ([], 10)
    assert tree(tmp_path / "set") == tree(finished)
    assert not ray.is_initialized()


class FakeRay:
    """Actors that do a job each time somebody waits, and die when they are told to."""

    def __init__(self) -> None:
        self.actors: list[SimpleNamespace] = []
        self.before_each = lambda: None
        self.deadly: set[int] = set()

    def remote(self, **_):
        return lambda _: SimpleNamespace(remote=self._actor)

    def put(self, content):
        return content

    def _actor(self, *_):
        actor = SimpleNamespace(alive=True, open=[])
        actor.make = SimpleNamespace(remote=lambda job: self._task(actor, job))
        self.actors.append(actor)
        return actor

    def _task(self, actor, job):
        task = SimpleReference(job)
        actor.open.append(task)
        if not actor.alive:
            self.kill(actor)
        return task

    def kill(self, actor):
        actor.alive = False
        for task in actor.open:
            task.died = True
        actor.open = []

    @property
    def living(self):
        return [actor for actor in self.actors if actor.alive]

    def wait(self, references, num_returns=1, timeout=0):  # noqa: ARG002 - Ray's
        if timeout and not any(reference.ready for reference in references):
            self.before_each()
            for actor in self.living:
                if actor.open and actor.open[0].job.number in self.deadly:
                    self.kill(actor)
                elif actor.open:
                    actor.open.pop(0).done = True
        ready = [reference for reference in references if reference.ready]
        return ready, [reference for reference in references if not reference.ready]

    def get(self, reference):
        from ray.exceptions import RayActorError

        if reference.died:
            raise RayActorError
        assert reference.done
        return reference.job


class SimpleReference:
    def __init__(self, job) -> None:
        self.job, self.done, self.died = job, False, False

    @property
    def ready(self) -> bool:
        return self.done or self.died


@pytest.fixture
def fake(monkeypatch):
    pytest.importorskip("ray")
    fake = FakeRay()
    monkeypatch.setattr(cluster, "_started", lambda *_: fake)
    return fake


def made_by(count: int) -> list[object]:
    setup = SimpleNamespace(device="cpu", files=[])
    return list(in_order(cluster.RayActors(setup, 3, None), (Job(number, ()) for number in range(count))))


def test_a_thousand_images_though_actors_die_at_random(fake) -> None:
    random = seeds.generator(0, "kills")
    fake.before_each = lambda: random.random() < 0.3 and fake.kill(fake.living[random.integers(len(fake.living))])
    assert made_by(1000) == [Job(number, ()) for number in range(1000)]
    assert len(fake.actors) > 50
    assert len(fake.living) == 3  # each dead one's place is taken


def test_a_job_that_kills_its_actors_fails_alone(fake) -> None:
    fake.deadly = {4}
    results = made_by(60)
    assert [result.number for result in results] == list(range(60))
    failed = [result for result in results if isinstance(result, Failure)]
    assert [failure.number for failure in failed] == [4]
    assert "its Ray actor died" in failed[0].reason


def test_a_cluster_that_is_gone_is_noticed_within_seconds(fake, monkeypatch) -> None:
    monkeypatch.setattr(cluster, "GLANCE_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = "{}:{}".format(*server.getsockname())
        beating = cluster.Heartbeat(address)
        beating.check()
    begun = time.monotonic()
    while not beating.gone and time.monotonic() - begun < 10:
        time.sleep(0.01)
    assert time.monotonic() - begun < 5
    with pytest.raises(MissingResource, match=f"the Ray cluster at {address} is gone"):
        beating.check()


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.0 400 Bad Request\r\n\r\n"])
def test_a_port_that_is_not_rays(plan, tmp_path, capsys, monkeypatch, answer) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr(cluster, "PATIENCE_S", 0.3)

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        connection.sendall(answer)
        held.append(connection)

    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        address = "{}:{}".format(*server.getsockname())
        begun = time.monotonic()
        assert main(["dataset", str(plan), "-o", str(tmp_path / "set"), "--address", address]) == 4
        for connection in held:
            connection.close()
    assert time.monotonic() - begun < 30
    assert f"no Ray cluster answers at {address!r} (another program listens there)" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


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
