"""Start workers: in this process, in processes of this machine, or by Ray."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sian.production.executors import InProcess, LocalProcesses

if TYPE_CHECKING:
    from sian.production.executors import Executor, Kit


def start(kit: Kit, workers: int | None, ray: str | bool) -> Executor:
    """Start workers.

    Args:
        kit: what they need.
        workers: how many; 0 is this process, None as many as there are cores.
        ray: whether by Ray, or the address of a cluster.

    Raises:
        MissingResource: Ray is not installed, or there is no such cluster.
    """
    if ray:
        from sian.production.cluster import RayActors

        return RayActors(kit, workers, None if ray is True else ray)
    return InProcess(kit) if workers == 0 else LocalProcesses(kit, workers or os.cpu_count() or 1)
