"""Ray: the same jobs on this machine or on a cluster, by actors; the only file that knows it.

The model and the segmenter travel with the actors, and every job brings its mask: the cluster's machines need SIAN and
nothing else. Images come back to this process, which alone writes. A cluster is one that `ray start` has begun.
"""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sian.errors import MissingResource, first_line
from sian.production.executors import WorkerLost
from sian.production.worker import Worker

if TYPE_CHECKING:
    from sian.production.worker import Job, Made, Setup

PATIENCE_S = 5.0  # to reach a cluster's port
CLIENT = "ray://"


class RayActors:
    """Actors of one thread each, one GPU each if the plan paints on CUDA.

    Args:
        setup: what workers need.
        workers: actors; as many as the cluster has CPUs (or GPUs) if None.
        address: "HOST:PORT" of a cluster, None to start Ray on this machine for this run.

    Raises:
        MissingResource: Ray is not installed, or nothing answers at the address.
    """

    def __init__(self, setup: Setup, workers: int | None, address: str | None) -> None:
        self._ray = _started(address, workers)
        gpu = setup.plan.device.startswith("cuda")
        resources = {"num_cpus": 1, "num_gpus": 1 if gpu else 0}
        self._class = self._ray.remote(**resources)(_Actor)
        files = [path.read_bytes() for path in (setup.model, setup.segmenter) if path]
        self._arguments = (setup, self._ray.put(files))
        self.workers = workers or max(1, int(self._ray.cluster_resources().get("GPU" if gpu else "CPU", 1)))
        self._actors = [self._actor() for _ in range(self.workers)]
        self._owner: dict[Any, int] = {}  # of the jobs under way

    def submit(self, job: Job) -> Any:
        """Hand a job to the actor that has the fewest."""
        if self._owner:
            _, unfinished = self._ray.wait(list(self._owner), num_returns=len(self._owner), timeout=0)
            busy = [self._owner[handle] for handle in unfinished]
        else:
            busy = []
        place = min(range(self.workers), key=busy.count)
        handle = self._actors[place].make.remote(job)
        self._owner[handle] = place
        return handle

    def collect(self, handle: Any) -> Made:
        """Wait for a job's image; an actor that died is replaced."""
        from ray.exceptions import RayActorError, RayTaskError

        place = self._owner.pop(handle)
        try:
            made: Made = self._ray.get(handle)
        except RayTaskError as error:
            raise error.cause from None
        except RayActorError as error:
            if place not in self._owner.values():
                self._actors[place] = self._actor()
            raise WorkerLost(f"its Ray actor died ({first_line(error)}); try fewer workers") from error
        return made

    def close(self) -> None:
        """Stop the actors, and Ray if it was started for this run."""
        for actor in self._actors:
            with suppress(Exception):
                self._ray.kill(actor)
        self._ray.shutdown()

    def _actor(self) -> Any:
        return self._class.remote(*self._arguments)


class _Actor:
    """Runs on a machine of the cluster."""

    def __init__(self, setup: Setup, files: list[bytes]) -> None:
        self.setup, self.files = setup, files
        self.painter: Worker | None = None

    def make(self, job: Job) -> Made:
        """Make an image; the model is loaded with the first, so that its errors reach the driver as sentences."""
        if self.painter is None:
            with tempfile.TemporaryDirectory(prefix="sian-") as folder:
                self.painter = Worker(_with_files(self.setup, self.files, Path(folder)))
        return self.painter.make(job)


def _with_files(setup: Setup, files: list[bytes], folder: Path) -> Setup:
    """The setup with the files that it names on this machine."""
    places = [folder / name for name in ("model.safetensors", "segmenter.safetensors")[: len(files)]]
    for path, content in zip(places, files, strict=True):
        path.write_bytes(content)
    return replace(setup, model=places[0], segmenter=places[1] if len(places) > 1 else None)


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
    """Ray itself would try for minutes."""
    host, _, port = address.removeprefix(CLIENT).rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE_S):
            return
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise MissingResource(
            f"no Ray cluster answers at {address!r} ({reason}); expected HOST:PORT as `ray start --head` prints it; "
            "start the cluster, or leave --address out to work on this machine"
        ) from None
