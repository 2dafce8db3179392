"""Where a run computes, and how it is stopped: the only file that knows Fabric.

Every loop gets its Fabric here, and ends after the step in work on Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric import Fabric

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Hardware:
    """Where and how a run computes; not part of the recipe, since it should not change what is learned.

    Attributes:
        accelerator: Fabric's name: "auto", "cpu", "cuda", "mps".
        devices: how many.
        precision: Fabric's name, e.g. "bf16-mixed"; None takes bf16 on CUDA and full precision elsewhere.
        workers: processes that cut windows ahead of time.
    """

    accelerator: str = "auto"
    devices: int = 1
    precision: str | None = None
    workers: int = 0


def launch(hardware: Hardware) -> Fabric:
    """A Fabric on that hardware, its processes started."""
    cuda = hardware.accelerator in ("cuda", "gpu") or (hardware.accelerator == "auto" and torch.cuda.is_available())
    precision: Any = hardware.precision or ("bf16-mixed" if cuda else "32-true")
    strategy = "ddp" if hardware.devices > 1 else "auto"
    fabric = Fabric(accelerator=hardware.accelerator, devices=hardware.devices, precision=precision, strategy=strategy)
    fabric.launch()
    return fabric


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM end the run after the step in work, so that a checkpoint is never of half a step."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stopped.set()) for number in numbers]
    try:
        yield stopped
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
