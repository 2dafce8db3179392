"""What a run writes while it works: `stats.jsonl`, TensorBoard events, and a log of plain lines.

`stats.jsonl` is the record (one object a line, by images seen); TensorBoard shows the same,
where tensorboardX is installed. On resume, lines that are newer than the checkpoint are cut off, so that the file reads
as if the run had never stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sian.files import write_text


class Journal:
    """The run's record.

    Args:
        folder: the run's folder; files are made as needed.
        images: images seen so far; what the files hold beyond is removed.
    """

    def __init__(self, folder: Path, images: int = 0) -> None:
        self.path = folder / "stats.jsonl"
        _cut(self.path, images)
        self.board = _board(folder / "tensorboard", images)

    def write(self, images: int, values: Mapping[str, float]) -> None:
        """Add one line and the same scalars to TensorBoard."""
        line: dict[str, Any] = {"images": images, **{key: _short(value) for key, value in values.items()}}
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        for key, value in values.items() if self.board else ():
            self.board.add_scalar(key, value, images)

    def picture(self, images: int, name: str, picture: NDArray[np.uint8]) -> None:
        """Show a (H, W, 3) uint8 picture in TensorBoard."""
        if self.board:
            self.board.add_image(name, picture, images, dataformats="HWC")

    def close(self) -> None:
        """Flush TensorBoard's events."""
        if self.board:
            self.board.close()


def _board(folder: Path, images: int) -> Any:
    """What writes TensorBoard's events; None where tensorboardX (the extra ``tensorboard``) is not installed."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=images + 1 if images else None)


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The lines of a `stats.jsonl`; a half-written last line of a killed run is left out."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            values = json.loads(line)
        except ValueError:
            break
        if not isinstance(values, dict):
            break
        lines.append(values)
    return lines


class Means:
    """Running sums of scalars; they stay on the device until the journal asks."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    @property
    def count(self) -> int:
        """Steps so far."""
        return max(self.counts.values(), default=0)

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add one step's values."""
        for key, value in values.items():
            self.sums[key] = self.sums.get(key, torch.zeros((), device=value.device)) + value.detach().float()
            self.counts[key] = self.counts.get(key, 0) + 1

    def means(self) -> dict[str, float]:
        """The mean of each value over the steps that had it."""
        return {key: float(total) / self.counts[key] for key, total in self.sums.items()}


def due(before: int, after: int, every: int) -> bool:
    """Whether the images seen passed a multiple of `every`."""
    return before // every != after // every


def _cut(path: Path, images: int) -> None:
    lines = [line for line in read_journal(path) if line.get("images", 0) <= images]
    if path.is_file():
        write_text(path, "".join(json.dumps(line) + "\n" for line in lines))


def _short(value: float) -> float:
    return float(f"{value:.6g}")
