"""Drawings in the package, to begin with."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from sian.errors import BadInput
from sian.masks import read_mask
from sian.nuclei import generate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIDE = 512  # px
NAMES = ("bundled mask", "invented nuclei")


def example(name: str) -> NDArray[np.int32]:
    """One of `NAMES`."""
    if name not in NAMES:
        raise BadInput(f"there is no example {name!r}; known: {', '.join(NAMES)}")
    return bundled_mask() if name == NAMES[0] else generate(SIDE, SIDE, "kidney", seed=1)


def bundled_mask() -> NDArray[np.int32]:
    """The real mask that comes with the package (MoNuSeg, CC BY-NC-SA 4.0)."""
    return read_mask(Path(str(resources.files("sian") / "assets" / "mask.png")))
