"""Jitter of stain, light and sharpness: slides differ in these far more than in the shapes of nuclei."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from sian.data.stains import restain

if TYPE_CHECKING:
    from sian.segmentation.segmenter_recipe import AugmentSection

KERNEL = 9  # pixels of the blur; holds two standard deviations up to 2 px


def jitter(images: Tensor, settings: AugmentSection, random: torch.Generator) -> Tensor:
    """Change colours and sharpness of each image on its own.

    Args:
        images: (n, 3, h, w) float in [0, 1].
        settings: strengths; 0 switches a part off.
        random: on the images' device; the same state gives the same pictures.

    Returns:
        (n, 3, h, w) in [0, 1].
    """
    n, device = len(images), images.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=random, device=device) * 2 - 1

    if settings.stain:
        images = restain(images, settings.stain * uniform(n, 3), settings.stain * uniform(n, 3))
    if settings.light:
        contrast, brightness, gamma = (settings.light * uniform(n, 1, 1, 1) for _ in range(3))
        mean = images.mean((1, 2, 3), keepdim=True)
        images = ((images - mean) * (1 + contrast) + mean * (1 + brightness)).clamp(0, 1) ** (1 + gamma)
    if settings.blur:
        images = _blur(images, settings.blur * uniform(n).clamp(0, 1))
    if settings.noise:
        strength = settings.noise * uniform(n, 1, 1, 1).clamp(0, 1)
        images = images + strength * torch.randn(images.shape, generator=random, device=device)
    return images.clamp(0, 1)


def training_pictures(images: Tensor, settings: AugmentSection, random: torch.Generator) -> Tensor:
    """Windows (n, 3, h, w) in [0, 1] as a network in training sees them: jittered, in [-1, 1]."""
    return jitter(images, settings, random) * 2 - 1


def _blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur by each image's own sigma (n,), in pixels; 0 leaves it as it is."""
    n, _, height, width = images.shape
    place = torch.arange(KERNEL, device=images.device) - KERNEL // 2
    kernel = (-(place**2) / (2 * sigma[:, None].clamp(min=0.05) ** 2)).exp()
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)  # (3 n, KERNEL)
    flat = F.pad(images.reshape(1, n * 3, height, width), [KERNEL // 2] * 4, mode="reflect")
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=n * 3)
    return F.conv2d(flat, kernel[:, None, None, :], groups=n * 3).reshape(n, 3, height, width)
