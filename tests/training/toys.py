"""A recipe and tiles so small that a training step takes milliseconds; shared by the tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from sian.data.sampling import Tile
from sian.layout import describe
from sian.training import Recipe

SIDE = 272  # px; the style encoder sees 256

TOY: dict[str, Any] = {
    "name": "toy",
    "generator": {
        "channels": [8, 8, 8, 8, 6, 4, 4],
        "hidden": [4, 4, 4, 4, 4, 2, 2],
        "style_dim": 3,
        "padding": "reflect",
        "downsampling": "area",
        "noise_blocks": [4, 5, 6],
        "plain_skips": 2,
    },
    "encoder": {"width": 2, "statistics": True},
    "discriminator": {"width": 4, "scales": 2, "layers": 3},
    "data": {"positions": "random", "sibling": 0.5},
    "losses": {"perceptual": 0, "lecam": 0.1, "colour": 1, "kld_reduction": "mean"},
    "augment": {"translation": 0.125, "cutout": 0.3},
    "stages": [{"images": 8, "size": 64, "batch": 2}],
    "every": {"journal": 4, "samples": 1000, "checkpoint": 1000, "keep": 2},
}


def recipe(**changes: Any) -> Recipe:
    """The toy recipe; a section given here is merged into the toy's."""
    merged = {
        key: {**TOY[key], **value} if isinstance(value, dict) and key in TOY else value
        for key, value in {**TOY, **changes}.items()
    }
    return Recipe.parse(merged, "toy")


def stage(images: int, **more: Any) -> dict[str, Any]:
    """One stage of the toy recipe."""
    return {"images": images, "size": 64, "batch": 2, **more}


def ellipses(seed: int, side: int = SIDE, count: int = 40) -> np.ndarray:
    """An instance mask of scattered ellipses; later ones lie on top."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    mask = np.zeros((side, side), np.int32)
    for number in range(1, count + 1):
        cy, cx, a, b = *random.uniform(0, side, 2), *random.uniform(6, 12, 2)
        mask[((y - cy) / a) ** 2 + ((x - cx) / b) ** 2 <= 1] = number
    return mask


def picture(mask: np.ndarray, seed: int) -> np.ndarray:
    """Dark nuclei on a bright ground, with noise: (H, W, 3) uint8."""
    random = np.random.default_rng(seed + 100)
    colours = np.where(mask[..., None] > 0, random.integers(60, 120, 3), random.integers(180, 230, 3))
    return np.clip(colours + random.normal(0, 12, (*mask.shape, 3)), 0, 255).astype(np.uint8)


def tiles(count: int = 2) -> list[Tile]:
    """Tiles with their layouts, each of its own organ."""
    organs = ("breast", "kidney", "liver")
    masks = [ellipses(number) for number in range(count)]
    return [Tile(f"tile-{n}", organs[n % 3], "ffpe", picture(mask, n), describe(mask)) for n, mask in enumerate(masks)]


def write_folder(folder: Path, count: int = 2) -> Path:
    """The tiles as ``images/`` and ``masks/``, to be imported."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        mask = ellipses(number)
        Image.fromarray(picture(mask, number)).save(folder / "images" / f"{number}.png")
        Image.fromarray(mask.astype(np.uint16)).save(folder / "masks" / f"{number}.png")
    return folder


def write_recipe(path: Path, **changes: Any) -> Path:
    """The toy recipe as a file."""
    path.write_text(yaml.safe_dump(recipe(**changes).model_dump(mode="json")), encoding="utf-8")
    return path


def tensors(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Everything that a checkpoint holds, by file and name."""
    return {
        f"{path.stem}/{key}": tensor
        for path in sorted(checkpoint.glob("*.safetensors"))
        for key, tensor in load_file(path).items()
    }


def differing(a: Path, b: Path) -> list[str]:
    """Names of the tensors in which two checkpoints are not the same bit for bit."""
    left, right = tensors(a), tensors(b)
    names = left.keys() | right.keys()
    return sorted(
        name for name in names if name not in left or name not in right or not torch.equal(left[name], right[name])
    )
