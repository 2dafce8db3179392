"""Where a network computes: a device by name; one sentence says that a name is unknown, or that a device is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from sian.errors import BadInput, MissingResource, first_line, nearest

KINDS = ("auto", "cpu", "cuda", "mps")


def find_device(name: str) -> torch.device:
    """A device by name: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", "mps".

    Raises:
        BadInput: no device is called so.
        MissingResource: this machine lacks it.
    """
    kind, _, number = name.partition(":")
    if kind not in KINDS or (name != kind and not (number.isascii() and number.isdecimal())):
        raise BadInput(f"device {name!r}: no such device{nearest(kind, KINDS)}")
    if kind == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[kind]
    if there <= int(number or 0):
        raise MissingResource(f"device {name!r}: this machine has {there} of that kind; try cpu or auto")
    return torch.device(name)


def move_to(network: nn.Module, device: str) -> None:
    """Move a network, see `find_device`."""
    try:
        network.to(find_device(device))
    except (RuntimeError, AssertionError) as error:
        raise MissingResource(f"device {device!r} cannot be used ({first_line(error)}); try cpu") from None


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread: the number of threads changes the last bit of a few pixels."""
    before = torch.get_num_threads()
    if before != 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if before != 1:
            torch.set_num_threads(before)
