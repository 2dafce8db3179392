"""What `torch_dataset` reads, whatever it comes from: one item, and what can be read by number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Example:
    """One whole item of a source.

    Attributes:
        mask: (H, W) int32.
        image: (H, W, 3) uint8, or None where the source holds masks alone.
        organ: as the source names it.
        classes: class name by id, of the nuclei that have one.
    """

    mask: npt.NDArray[np.int32]
    image: npt.NDArray[np.uint8] | None = None
    organ: str = "unknown"
    classes: Mapping[int, str] = field(default_factory=dict)


class Source(Protocol):
    """What can be read by number."""

    name: str

    def __len__(self) -> int:
        """How many items there are."""

    def shape(self, number: int) -> tuple[int, int]:
        """Height and width of an item, without reading all of it if possible."""

    def read(self, number: int) -> Example:
        """An item, checked."""
