"""Where a run computes: the only file that knows Fabric. Every loop gets its Fabric here."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException

from sian.errors import BadInput, MissingResource, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator


PRECISIONS = ("32-true", "bf16-mixed")
AUTO = "auto"  # bf16-mixed where the hardware is quicker in it
TRIAL = (4, 64, 64, 64)  # images, channels, height, width: a layer of SIAN's, a hundredth of a second in fp32
TRIALS = 4  # the first of them prepares what later ones reuse
QUICKER = 0.9  # of the time in fp32: less of a gain is not worth the rounding


@dataclass(frozen=True)
class Hardware:
    """Where and how a run computes; not part of the recipe, since it should not change what is learned.

    Attributes:
        accelerator: Fabric's name: "auto", "cpu", "cuda", "mps".
        devices: how many.
        precision: one of `PRECISIONS`; None takes bf16-mixed on CUDA and full precision elsewhere; "auto" takes
            bf16-mixed on CUDA and on CPUs that are quicker in it, which changes what is learned by rounding.
        workers: processes that cut windows ahead of time.
    """

    accelerator: str = "auto"
    devices: int = 1
    precision: str | None = None
    workers: int = 0

    @property
    def computes_on_cpu(self) -> bool:
        """Whether no GPU computes."""
        there = torch.cuda.is_available() or torch.backends.mps.is_available()
        return self.accelerator == "cpu" or (self.accelerator == "auto" and not there)

    @property
    def chosen_precision(self) -> str:
        """The precision, decided."""
        cuda = self.accelerator in ("cuda", "gpu") or (self.accelerator == "auto" and torch.cuda.is_available())
        if self.precision not in (None, AUTO):
            return str(self.precision)
        quick = cuda or (self.precision == AUTO and self.computes_on_cpu and bfloat16_is_quicker())
        return "bf16-mixed" if quick else "32-true"

    @property
    def could_be_quicker(self) -> bool:
        """Whether it computes in fp32 on a CPU that is quicker in bfloat16."""
        return self.computes_on_cpu and self.chosen_precision == "32-true" and bfloat16_is_quicker()


def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 (AVX512-BF16 or AMX); False where this torch cannot tell."""
    checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(bool(check()) for check in checks if check is not None)


@cache
def bfloat16_is_quicker() -> bool:
    """Whether this CPU trains faster in bfloat16: it has it, and a convolution forward and backward says so.

    What a CPU says of itself does not suffice: a virtual machine with AVX512-BF16 took twice as long as in fp32.
    """
    if not cpu_has_bfloat16():
        return False
    times = [(_step_seconds(torch.bfloat16), _step_seconds(torch.float32)) for _ in range(TRIALS)]
    half, full = (min(column) for column in zip(*times, strict=True))
    return bool(half < QUICKER * full)


def _step_seconds(dtype: torch.dtype) -> float:
    """CPU seconds of a 3x3 convolution and its gradients; the caller's gradient mode and random state stay."""
    image = torch.ones(TRIAL).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.ones(TRIAL[1], TRIAL[1], 3, 3).requires_grad_()
    start = time.process_time()
    with torch.enable_grad():
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            result = torch.nn.functional.conv2d(image, weight, padding=1)
        result.float().sum().backward()  # type: ignore[no-untyped-call]
    return time.process_time() - start


def launch(hardware: Hardware) -> Fabric:
    """A Fabric on that hardware, its processes started.

    Raises:
        BadInput: no such accelerator or precision.
        MissingResource: this machine lacks the accelerator, or has fewer devices.
    """
    return _fabric(hardware, launched=True)


def check_hardware(hardware: Hardware) -> None:
    """Refuse what `launch` refuses; starts no process."""
    _fabric(hardware, launched=False)


def _fabric(hardware: Hardware, launched: bool) -> Fabric:
    precision: Any = hardware.chosen_precision
    if precision not in PRECISIONS:
        raise BadInput(f"precision {precision!r}: no precision has that name{nearest(precision, PRECISIONS)}")
    # Several processes are always started here: a scheduler that counts one task would else be taken at its word.
    several: dict[str, Any] = {"strategy": "ddp", "plugins": [LightningEnvironment()]} if hardware.devices > 1 else {}
    wish = f"device {hardware.accelerator!r} x {hardware.devices} with precision {precision!r}"
    try:
        fabric = Fabric(accelerator=hardware.accelerator, devices=hardware.devices, precision=precision, **several)
        if launched:
            fabric.launch()
    except ValueError as error:
        raise BadInput(f"{wish}: {_sentence(error)}; expected auto, cpu, cuda or mps, e.g. --device cpu") from None
    except (RuntimeError, ImportError, MisconfigurationException) as error:
        raise MissingResource(f"{wish}: not on this machine ({_sentence(error)}); try --device cpu") from None
    return fabric


def agreed(fabric: Fabric, wish: bool) -> bool:
    """Whether any process wants it: all must stop after the same step, or the others wait for ever."""
    if fabric.world_size == 1:
        return wish
    wishes: Any = fabric.all_reduce(torch.tensor(float(wish), device=fabric.device), reduce_op="max")
    return bool(wishes > 0)


def of_main_process(fabric: Fabric, number: float) -> float:
    """The main process' number on all of them, for what they decide by it: each one's own may differ from it."""
    if fabric.world_size == 1:
        return number
    mine = torch.tensor(number if fabric.is_global_zero else 0.0, dtype=torch.float64, device=fabric.device)
    whole: Any = fabric.all_reduce(mine, reduce_op="sum")
    return float(whole)


def is_main_process() -> bool:
    """Whether this process is the one that writes: with several devices, the others run the same script beside it."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0 and int(os.environ.get("NODE_RANK", "0")) == 0


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Numbers too small for full precision become 0 meanwhile: on CPUs they cost a hundred times as much."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:  # the caller's own arithmetic is left as it was
        torch.set_flush_denormal(False)


def _sentence(error: Exception) -> str:
    return str(error).splitlines()[0].split(". ")[0].rstrip(".")
