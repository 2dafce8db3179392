"""A run's folder: one process at a time trains in it, and it says where and by what code it was computed.

The same recipe gives the same bits only in the same precision and, on CPUs, on as many threads: sums are taken in
another order otherwise. A resumed run keeps its precision, and says what else is not as it was.
"""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import torch

import sian
from sian.errors import warn
from sian.files import write_json
from sian.files.code_and_machine import commit, machine
from sian.files.jsonfiles import read_json
from sian.files.locks import only_writer
from sian.training.checks import check_run
from sian.training.device import AUTO, PRECISIONS, Hardware, is_main_process

if TYPE_CHECKING:
    from collections.abc import Callable

ENVIRONMENT = "environment.json"  # in the run's folder

Given = ParamSpec("Given")


def one_at_a_time(train: Callable[Given, Path]) -> Callable[Given, Path]:
    """Let a training loop be the only one in its run's folder, and refuse other content before that.

    Args:
        train: takes `recipe`, `run` and `resume`.
    """
    signature = inspect.signature(train)

    @wraps(train)
    def alone(*positional: Given.args, **named: Given.kwargs) -> Path:
        given = signature.bind(*positional, **named)
        given.apply_defaults()
        run = Path(given.arguments["run"])
        check_run(run, given.arguments["recipe"], given.arguments["resume"])
        with only_writer(run) if is_main_process() else nullcontext():
            return train(*positional, **named)

    return alone


def as_before(hardware: Hardware, run: Path, on_cpu: bool = False) -> Hardware:
    """With the precision that a resumed run began with; another one that was asked for is taken, and said.

    Args:
        hardware: what was asked for.
        run: the run's folder.
        on_cpu: whether it is computed on a CPU, where another number of threads is said as well.

    Warns:
        SianWarning: the run will not be the same to the bit.
    """
    path = run / ENVIRONMENT
    known = read_json(path) if path.is_file() else {}
    began = {**known, **known.get("began", {})}
    before, threads = began.get("precision"), began.get("threads")
    if on_cpu and isinstance(threads, int) and threads != torch.get_num_threads():
        warn(
            f"{run}: goes on with {torch.get_num_threads()} threads, began with {threads}; it will not be the same run "
            f"to the bit; give --threads {threads} for that"
        )
    if before not in PRECISIONS or hardware.precision == before:
        return hardware
    if hardware.precision in (None, AUTO):
        return replace(hardware, precision=before)
    warn(f"{run}: goes on in precision {hardware.precision}, began in {before}; it will not be the same run to the bit")
    return hardware


def write_environment(run: Path, device: torch.device, precision: str) -> None:
    """Write down where and by what code a run is computed, and how it began if that was otherwise."""
    threads = torch.get_num_threads()
    content: dict[str, Any] = {"device": machine(threads, str(device)), "precision": precision, "threads": threads}
    path = run / ENVIRONMENT
    known = read_json(path) if path.is_file() else {}
    began = {key: known[key] for key in ("precision", "threads") if key in known} | known.get("began", {})
    if began and any(began[key] != content[key] for key in began):
        content["began"] = began
    write_json(path, {**content, "commit": commit(), "version": sian.__version__})
