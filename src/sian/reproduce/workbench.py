"""What the benches of all tables have: data with two splits, hardware, a folder, and how long work is shown."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from sian.data.dataset import Dataset, Item
    from sian.training import Hardware

Report: TypeAlias = Callable[[int, int], None]
Progress: TypeAlias = Callable[[str, str], AbstractContextManager[Report]]  # what is done, what is counted


@contextmanager
def silent(description: str, unit: str = "images") -> Iterator[Report]:
    """Progress that nobody looks at."""
    del description, unit
    yield lambda *_: None


@dataclass(kw_only=True)
class Workbench:
    """What rows share, whatever they train.

    Attributes:
        data: with a split "train" and a split "test".
        runs: the folder that holds SCALE/ROW.
        hardware: where is trained.
        device: where is painted, measured and tested, "cpu" or "cuda".
        progress: shows long work.
    """

    data: Dataset
    runs: Path
    hardware: Hardware
    device: str = "cpu"
    progress: Progress = field(default=silent)

    @cached_property
    def train(self) -> Dataset:
        """The training items."""
        return self.data.split("train")

    @cached_property
    def test(self) -> Dataset:
        """The test items."""
        return self.data.split("test")

    @cached_property
    def test_sha256(self) -> str:
        """A hash of the test tiles' pixels and masks: recompressed without loss they are the same."""
        return pixels_sha256(self.test)

    @cached_property
    def train_sha256(self) -> str:
        """A hash of the training tiles' pixels and masks."""
        return pixels_sha256(self.train)


def pixels_sha256(items: Iterable[Item]) -> str:
    """A hash of some items' pixels and masks, in any order."""
    lines = sorted(f"{item.id} {item.sha256_image} {item.sha256_mask}" for item in items)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
