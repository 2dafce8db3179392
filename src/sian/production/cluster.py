"""Ray: the same jobs on this machine or on a cluster, by actors; the only file that knows it.

The model and the segmenter travel with the actors, and every job brings its mask: the cluster's machines need SIAN and
nothing else. Images come back to this process, which alone writes. A cluster is one that `ray start` has begun.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sian.errors import MissingResource, first_line
from sian.production.executors import WorkerLost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sian.production.executors import Job, Kit

PATIENCE_S = 5.0  # to reach a cluster's port
GLANCE_S = 1.0  # between two looks at what is under way
MISSED = 3  # looks in a row without an answer: the cluster is gone
MOST_DEATHS = 5  # of actors that had a job; then the job is to blame
CLIENT = "ray://"
# HTTP/2 (RFC 9113), which gRPC speaks: a client's first words, and the kind of the server's first frame.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
SETTINGS, FRAME_HEAD = 4, 9

# A cluster of this process is gone: whatever Ray tells it, on leaving too, would wait for an answer.
lost = threading.Event()


@dataclass
class _Task:
    """A job under way: where, and how many actors died while they had it."""

    job: Job
    actor: Any
    reference: Any
    deaths: int = 0


class RayActors:
    """Actors of one thread each, one GPU each if the plan paints on CUDA.

    A dead actor's place is taken at once, and its unfinished jobs go to the actors that have the fewest.

    Args:
        kit: what workers need.
        workers: actors; as many as the cluster has CPUs (or GPUs) if None.
        address: "HOST:PORT" of a cluster, None to start Ray on this machine for this run.

    Raises:
        MissingResource: Ray is not installed, or nothing answers at the address.
    """

    def __init__(self, kit: Kit, workers: int | None, address: str | None) -> None:
        self._ray = _started(address, workers)
        self._head = Heartbeat(address)
        gpu = kit.device.startswith("cuda")
        resources = {"num_cpus": 1, "num_gpus": 1 if gpu else 0}
        self._class = self._ray.remote(**resources)(_Actor)
        self._arguments = (kit, self._ray.put([path.read_bytes() for path in kit.files]))
        self.workers = workers or max(1, int(self._ray.cluster_resources().get("GPU" if gpu else "CPU", 1)))
        self._actors = [self._actor() for _ in range(self.workers)]
        self._tasks: list[_Task] = []  # that nobody has collected yet

    def submit(self, job: Job) -> _Task:
        """Hand a job to the actor that has the fewest."""
        with self._lost_cluster():
            task = self._begun(_Task(job, None, None))
        self._tasks.append(task)
        return task

    def collect(self, handle: _Task) -> Any:
        """Wait for a job's image; when its actor dies, it is given to another one."""
        from ray.exceptions import RayActorError, RayTaskError

        try:
            while True:
                with self._lost_cluster():
                    self._wait(handle)
                    try:
                        made = self._ray.get(handle.reference)
                    except RayTaskError as error:
                        raise error.cause from None
                    except RayActorError as error:
                        self._replace(handle.actor)
                        if handle.deaths >= MOST_DEATHS:
                            raise WorkerLost(f"its Ray actor died ({first_line(error)}); try fewer workers") from error
                        continue
                return made
        finally:
            self._tasks.remove(handle)

    def close(self) -> None:
        """Stop the actors, and Ray if it was started for this run."""
        self._head.stop()
        if self._head.gone:
            lost.set()
            return
        for actor in self._actors:
            with suppress(Exception):
                self._ray.kill(actor)
        self._ray.shutdown()

    def _actor(self) -> Any:
        return self._class.remote(*self._arguments)

    def _begun(self, task: _Task) -> _Task:
        """Give a task to the actor that has the fewest unfinished ones."""
        references = [other.reference for other in self._tasks if other is not task]
        open_ = set(self._ray.wait(references, num_returns=len(references), timeout=0)[1]) if references else set()
        busy = [id(other.actor) for other in self._tasks if other.reference in open_]
        task.actor = min(self._actors, key=lambda actor: busy.count(id(actor)))
        task.reference = task.actor.make.remote(task.job)
        return task

    def _wait(self, task: _Task) -> None:
        """Wait until a task is ready, or the cluster is gone: Ray itself would wait for minutes."""
        while not self._ray.wait([task.reference], timeout=GLANCE_S)[0]:
            self._head.check()

    def _replace(self, dead: Any) -> None:
        """Put a new actor into a dead one's place, and its unfinished jobs into others' hands; only once."""
        if dead in self._actors:
            with suppress(Exception):
                self._ray.kill(dead)  # it may only be out of reach
            self._actors[self._actors.index(dead)] = self._actor()
        theirs = [task for task in self._tasks if task.actor is dead]
        finished, _ = self._ray.wait([t.reference for t in theirs], num_returns=len(theirs), timeout=0)
        for task in theirs:
            if task.reference in finished and not self._failed(task):
                continue  # it was done before
            task.deaths += 1
            self._begun(task)

    def _failed(self, task: _Task) -> bool:
        """Whether a ready task has its actor's death for a result."""
        from ray.exceptions import RayActorError, RayTaskError

        try:
            self._ray.get(task.reference)
        except RayTaskError:
            return False  # an answer, if a sad one
        except RayActorError:
            return True
        return False

    @contextmanager
    def _lost_cluster(self) -> Iterator[None]:
        """Any word of Ray's about itself, not about a job, ends the run: there is nothing left to work on."""
        from ray.exceptions import RayError

        self._head.check()
        try:
            yield
        except (RayError, ConnectionError) as error:
            self._head.check()
            raise MissingResource(f"the Ray cluster was lost ({first_line(error)}); start it again") from None


class _Actor:
    """Runs on a machine of the cluster."""

    def __init__(self, kit: Kit, files: list[bytes]) -> None:
        self.kit, self.files = kit, files
        self.painter: Any = None

    def make(self, job: Job) -> Any:
        """Make an image; the model is loaded with the first, so that its errors reach the driver as sentences."""
        if self.painter is None:
            with tempfile.TemporaryDirectory(prefix="sian-") as folder:
                self.painter = _with_files(self.kit, self.files, Path(folder)).worker()
        return self.painter.make(job)


def _with_files(kit: Kit, files: list[bytes], folder: Path) -> Kit:
    """The kit with the files that it names on this machine."""
    places = [folder / f"{number}.safetensors" for number in range(len(files))]
    for path, content in zip(places, files, strict=True):
        path.write_bytes(content)
    return kit.moved(places)


def _started(address: str | None, workers: int | None) -> Any:
    """The ray module, connected."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # SIAN sends nothing anywhere
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise MissingResource("ray is not installed; install it with `pip install 'sian[ray]'`") from None
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        options |= {"address": "local", "include_dashboard": False, "num_cpus": workers}
    else:
        _check_reachable(address)
        options |= {"address": address}
    try:
        ray.init(**options)
    except Exception as error:  # noqa: BLE001 - whatever Ray raises: there is no cluster to work on
        where = f"the Ray cluster at {address} answers but cannot be used" if address else "Ray cannot be started here"
        raise MissingResource(
            f"{where} ({first_line(error)}); check the address, that versions of Ray agree, and "
            "RAY_AUTH_MODE=token if the cluster wants a token"
        ) from None
    return ray


def _check_reachable(address: str) -> None:
    """Ray itself would try for minutes, and whatever listens there might say nothing at all."""
    try:
        answers = _answers(address, PATIENCE_S)
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise MissingResource(
            f"no Ray cluster answers at {address!r} ({reason}); expected HOST:PORT as `ray start --head` prints it; "
            "start the cluster, or leave --address out to work on this machine"
        ) from None
    if not answers:
        raise MissingResource(
            f"no Ray cluster answers at {address!r} (another program listens there); expected HOST:PORT as `ray start "
            "--head` prints it, most often port 6379"
        )


def _answers(address: str, patience: float) -> bool:
    """Whether a gRPC server, as Ray's are, answers at an address within so many seconds.

    One that speaks TLS alone keeps silent here; then it is enough that somebody listens.

    Raises:
        OSError: nobody listens there.
        ValueError: it is no HOST:PORT.
    """
    host, _, port = address.removeprefix(CLIENT).rpartition(":")
    end, found = time.monotonic() + patience, b""
    with socket.create_connection((host.strip("[]"), int(port)), timeout=patience) as connection:
        connection.sendall(PREFACE)
        with suppress(OSError):
            while len(found) < FRAME_HEAD and (left := end - time.monotonic()) > 0:
                connection.settimeout(left)
                if not (more := connection.recv(64)):
                    break
                found += more
    return os.environ.get("RAY_USE_TLS", "0") != "0" or (len(found) >= FRAME_HEAD and found[3] == SETTINGS)


class Heartbeat:
    """Looks every second whether a cluster's port is still open; a cluster of this process' own needs no look."""

    def __init__(self, address: str | None) -> None:
        self.address, self.gone = address, False
        self._ended = threading.Event()
        if address is not None:
            threading.Thread(target=self._look, daemon=True).start()

    def check(self) -> None:
        """Raise what is to be said once the cluster is gone."""
        if self.gone:
            raise MissingResource(f"the Ray cluster at {self.address} is gone; start it again")

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()

    def _look(self) -> None:
        missed = 0
        while missed < MISSED and not self._ended.wait(GLANCE_S):
            try:
                missed = missed + 1 if not _answers(str(self.address), GLANCE_S) else 0
            except (OSError, ValueError):
                missed += 1
        self.gone = missed >= MISSED
