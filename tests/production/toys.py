"""Plans of a few small images by the toy model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from sian.files import sha256_file
from sian.masks import write_mask

SIDE = 64  # px


def write_plan(folder: Path, model_file: Path, /, **changes) -> Path:
    """A plan of 10 images in 3 shards; `changes` replace its keys."""
    values = {
        "name": "toys",
        "images": 10,
        "shard": 4,
        "model": {"file": str(model_file)},
        "masks": {"size": SIDE},
        "styles": [{"style": "kidney"}, {"style": "breast", "draw": True}],
        **changes,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def write_masks(folder: Path, count: int = 5, side: int = SIDE) -> Path:
    """A folder of masks of two squares each."""
    for number in range(count):
        mask = np.zeros((side, side), np.int32)
        mask[2 + number : 20 + number, 3:20] = 1
        mask[30:47, 30:50] = 7
        write_mask(folder / f"mask{number}.png", mask)
    return folder


def tree(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder, by path."""
    return {str(f.relative_to(folder)): sha256_file(f) for f in sorted(folder.rglob("*")) if f.is_file()}
