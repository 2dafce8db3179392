"""A painter of a few thousand weights with a style bank: what is tested is how models are used, not what they paint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from sian.networks import Painter, build_painter
from sian.synthesis.modelfile import ModelInfo, ReferenceDistances, TrainingFacts, write_model
from sian.synthesis.styles import OrganStyles, Styles, make_part

STYLE_DIM = 6
GENERATOR = {
    "channels": [8, 8, 8, 6, 4, 4, 2],
    "hidden": [4, 4, 4, 4, 4, 3, 2],
    "style_dim": STYLE_DIM,
    "padding": "reflect",
    "downsampling": "area",
    "noise_blocks": [4, 5, 6],
    "plain_skips": 2,
}
ENCODER = {"width": 2, "statistics": True}
SIDE = 17  # px of a nucleus: 289 px, near the 300 that the toy says it saw


def grid_mask(height: int, width: int, side: int = SIDE, pitch: int = 32, first: int = 1, step: int = 1) -> np.ndarray:
    """Squares of `side` px, one in each cell of `pitch` px, those that fit, each at another place of its cell."""
    rng = np.random.default_rng(height * 1000 + width)
    mask, number = np.zeros((height, width), np.int32), first
    for y in range(0, height - pitch + 1, pitch):
        for x in range(0, width - pitch + 1, pitch):
            top, left = rng.integers(0, pitch - side, 2)
            mask[y + top : y + top + side, x + left : x + left + side] = number
            number += step
    return mask


def lively(painter: Painter) -> Painter:
    """Seeded weights that paint something: batch norm fits them, noise is strong, tanh is not saturated."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for part in painter.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.1, generator=random)
                part.running_var.uniform_(0.2, 0.6, generator=random)
        for name, parameter in painter.generator.named_parameters():
            if name.endswith("noise_strength"):
                parameter.fill_(0.4)
            elif "modulation.weight" in name:
                parameter.normal_(0, 0.3, generator=random)
        painter.generator.to_rgb.weight.mul_(0.6)
    return painter.eval().requires_grad_(False)


def toy_painter(**changes) -> Painter:
    return lively(build_painter({**GENERATOR, **changes}, ENCODER, seed=0, spectral=False))


def write_classed(path: Path, classes: list[str]) -> Path:
    """A toy that was trained with nuclear classes."""
    painter = lively(build_painter(GENERATOR, ENCODER, seed=0, spectral=False, classes=len(classes)))
    return write_toy(path, weights=painter.state_dict(), classes=classes)


def write_told(path: Path) -> Path:
    """A toy that takes tissue maps, and draws tissue where there is none."""
    recipe = {"generator": {**GENERATOR, "tissue": True}, "encoder": ENCODER}
    shares = np.linspace(0, 1, 33)
    laws = {
        name: torch.from_numpy(np.stack([shares**2, shares - 0.5, shares]).astype(np.float32)) for name in toy_bank()
    }
    return write_toy(path, weights=toy_painter(tissue=True).state_dict(), tissue=laws, recipe=recipe)


def windows(seed: int, n: int = 12, spread: float = 0.05) -> np.ndarray:
    """Style vectors of one tile's windows, (n, D)."""
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 1, STYLE_DIM) + rng.normal(0, spread, (n, STYLE_DIM))).astype(np.float32)


def toy_bank() -> dict[str, OrganStyles]:
    tiles = {"kidney/ffpe": [1, 2], "kidney/frozen": [3], "breast/ffpe": [4, 5], "colon/frozen": [6]}
    return {name: make_part(name, [windows(seed) for seed in seeds]) for name, seeds in tiles.items()}


def toy_info(**changes) -> ModelInfo:
    values = {
        "name": "toy",
        "recipe": {"generator": {**GENERATOR}, "encoder": {**ENCODER}},
        "organs": ["breast", "colon", "kidney"],
        "aliases": {"lung": "kidney"},
        "mpp": 0.25,
        "median_nucleus_area": 300.0,
        "reference_distances": ReferenceDistances(median=1.0, high=1e6),
        "training": TrainingFacts(
            data="toys", tiles=["a", "b"], images=16, hours=0.1, device="cpu", commit="0", version="0.1.0"
        ),
        "licence": "CC BY-NC-SA 4.0",
    }
    return ModelInfo(**{**values, **changes})


def write_toy(path: Path, *, storage: str = "float16", weights=None, bank=None, tissue=None, **info) -> Path:
    given = toy_info(**info)
    weights = weights if weights is not None else toy_painter().state_dict()
    bank = bank if bank is not None else Styles(toy_bank()).tensors()
    write_model(path, given, weights, bank, tissue=tissue, storage=storage)
    return path
