"""How unlike a reference image is to all that a model was trained on, by its stain and sharpness.

A style vector keeps what the painter needs; a grey picture, or another stain, can have quite an ordinary one (measured
in `docs/results/references.md`). What is compared here are 13 numbers of an image window, by their Mahalanobis distance
to the training windows'. The scale of the distance is that of windows of tiles that were left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sian.networks import stain_statistics

BANDS = 4  # octaves of detail, from 2 px on
LEAST_TILES = 8  # fewer cannot say what a tile that was left out is like
RIDGE = 1e-3  # added to the variances: numbers that hardly vary in training must not decide alone
QUANTILES = 101

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Looks:
    """What training windows look like.

    Attributes:
        mean: (13,).
        precision: (13, 13), the inverse covariance.
        quantiles: (101,) ascending distances of windows of left-out tiles, from 0 to 100 %.
    """

    mean: Floats
    precision: Floats
    quantiles: Floats

    @property
    def high(self) -> float:
        """The distance that 99 % of the windows of left-out tiles stay within."""
        return float(self.quantiles[-2])

    def distance(self, windows: Tensor) -> float:
        """The median distance of an image's windows (n, 3, h, w) in [-1, 1]."""
        return float(np.median(_distances(look(windows), self.mean, self.precision)))

    def quantile(self, distance: float) -> float:
        """The part of windows of left-out tiles that are nearer, 0 to 1."""
        return float(np.searchsorted(self.quantiles, distance) / (QUANTILES - 1))

    def tensors(self) -> dict[str, Tensor]:
        """For a model file."""
        return {name: torch.from_numpy(getattr(self, name)).float() for name in ("mean", "precision", "quantiles")}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Looks | None:
        """From a model file; None when it has none, or other shapes than these."""
        size = 9 + BANDS
        shapes = {"mean": (size,), "precision": (size, size), "quantiles": (QUANTILES,)}
        if any(name not in tensors or tuple(tensors[name].shape) != shape for name, shape in shapes.items()):
            return None
        return cls(**{name: tensors[name].double().numpy() for name in shapes})


def measure(tiles: Sequence[Floats]) -> Looks | None:
    """The looks of a training set; None for fewer than 8 tiles.

    Args:
        tiles: of each tile the (n, 13) looks of its windows.
    """
    if len(tiles) < LEAST_TILES:
        return None
    left_out = [_distances(tile, *_fit([other for other in tiles if other is not tile])) for tile in tiles]
    mean, precision = _fit(tiles)
    return Looks(mean, precision, np.quantile(np.concatenate(left_out), np.linspace(0, 1, QUANTILES)))


def look(windows: Tensor) -> Floats:
    """Stain and sharpness of windows, (n, 13).

    Args:
        windows: (n, 3, h, w) in [-1, 1], sides of at least 32 px.

    Returns:
        The logarithms of the optical density's means and deviations (R, G, B), its correlations stretched by artanh,
        and the logarithms of the deviations of four octaves of detail.
    """
    stain = stain_statistics(windows).double().numpy()
    stain[:, :6] = np.log(np.abs(stain[:, :6]) + 0.01)
    stain[:, 6:] = np.arctanh(stain[:, 6:].clip(-0.999, 0.999))
    density = -torch.log10(((windows.float() + 1) / 2 * 255 + 1) / 256).mean(1, keepdim=True)
    bands = []
    for _ in range(BANDS):
        height, width = (side // 2 * 2 for side in density.shape[-2:])
        density = density[..., :height, :width]
        coarse = F.avg_pool2d(density, 2)
        detail = density - F.interpolate(coarse, scale_factor=2, mode="nearest")
        bands.append(np.log(detail.flatten(1).std(1).double().numpy() + 1e-3))
        density = coarse
    return np.concatenate([stain, np.stack(bands, 1)], 1)


def _fit(tiles: Sequence[Floats]) -> tuple[Floats, Floats]:
    windows = np.concatenate(list(tiles))
    covariance = np.cov(windows.T)
    covariance += RIDGE * np.diag(np.diag(covariance) + 1e-9)
    return windows.mean(0), np.linalg.inv(covariance)


def _distances(looks: Floats, mean: Floats, precision: Floats) -> Floats:
    away = looks - mean
    squares = np.einsum("ni,ij,nj->n", away, precision, away)
    distances: Floats = np.sqrt(np.maximum(squares, 0) / len(mean))
    return distances
