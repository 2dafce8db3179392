"""Small stand-ins: pictures, a data set, an extractor, a segmenter and a painter that need no weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from sian.data.dataset import Item
from sian.evaluation.features import InceptionFeatures
from sian.files import sha256_pixels, write_png
from sian.masks import write_mask

BACKGROUND = np.array([230, 180, 210])
NUCLEUS = np.array([90, 60, 140])


class Colours(torch.nn.Module):
    """Features: pooled colours, 3 x 3 places."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(images.float() / 255, 3).flatten(1)


def extractor() -> InceptionFeatures:
    return InceptionFeatures(Colours(), sha256="toy")


def toy_mask(seed: int, size: int = 32) -> np.ndarray:
    """Four squares, one a quadrant."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((size, size), np.int32)
    half = size // 2
    for number, (y, x) in enumerate([(0, 0), (0, half), (half, 0), (half, half)], start=1):
        top, left = rng.integers(1, half - 9, 2)
        mask[y + top : y + top + 8, x + left : x + left + 8] = number
    return mask


def toy_image(mask: np.ndarray, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(-12, 13, (*mask.shape, 3))
    return np.clip(np.where(mask[..., None] > 0, NUCLEUS, BACKGROUND) + noise, 0, 255).astype(np.uint8)


def segment(image: np.ndarray) -> np.ndarray:
    """What is dark, in connected pieces."""
    from skimage.measure import label

    return label(image[..., 0] < 160, connectivity=1).astype(np.int32)


def write_folders(folder: Path, n: int = 6, size: int = 32) -> tuple[Path, Path, Path]:
    """`n` fakes, real images and masks of the same names."""
    for index in range(n):
        mask = toy_mask(index, size)
        write_png(folder / "fake" / f"w{index}.png", toy_image(mask, index + 100))
        write_png(folder / "real" / f"w{index}.png", toy_image(mask, index))
        write_mask(folder / "masks" / f"w{index}.png", mask)
    return folder / "fake", folder / "real", folder / "masks"


def write_dataset(folder: Path, size: int = 32) -> Path:
    """A data set of format "sian.dataset/1": three test tiles, three training tiles, two organs."""
    folder.mkdir(parents=True)
    info = {"format": "sian.dataset/1", "name": "toy", "licence": "none"}
    (folder / "dataset.json").write_text(json.dumps(info))
    lines = []
    for index in range(6):
        mask = toy_mask(index, size)
        image = toy_image(mask, index)
        name = f"tile{index}"
        write_png(folder / "images" / f"{name}.png", image)
        write_mask(folder / "masks" / f"{name}.png", mask)
        item = Item(
            id=name,
            image=f"images/{name}.png",
            mask=f"masks/{name}.png",
            organ=("kidney", "breast")[index % 2],
            split=("test", "train")[index // 3],
            width=size,
            height=size,
            nuclei=4,
            sha256_image=sha256_pixels(image),
            sha256_mask=hashlib.sha256(mask.astype("<i4").tobytes()).hexdigest(),
        )
        lines.append(item.model_dump_json(exclude_none=True))
    (folder / "items.jsonl").write_text("\n".join(lines) + "\n")
    return folder
