"""More or less of each stain, in optical density, where haematoxylin and eosin add up.

The image is split by Ruifrok and Johnston's vectors (2001), each stain is scaled and shifted (Tellez et al. 2018), and
the image is put together again.
"""

from __future__ import annotations

import torch
from torch import Tensor

STAINS = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))  # H, E, DAB (Ruifrok and Johnston 2001)
SHIFT = 0.1  # in optical density, for a shift of 1
DARKEST = 1 / 256  # keeps the logarithm finite


def restain(images: Tensor, more: Tensor, shift: Tensor, hue: Tensor | None = None) -> Tensor:
    """Images with other amounts of each stain, and stains of another colour.

    Args:
        images: (n, 3, h, w) float in [0, 1].
        more: (n, 3) for haematoxylin, eosin and the rest: 0.2 for a fifth more, -0.2 for a fifth less.
        shift: (n, 3) what is added everywhere, in tenths of optical density.
        hue: (n, 3, 3) what is added to the stains' unit vectors (dyes and scanners differ); None for nothing.

    Returns:
        (n, 3, h, w) in [0, 1].
    """
    stains = torch.tensor(STAINS, device=images.device)
    stains = stains / stains.norm(dim=1, keepdim=True)
    others = stains.expand(len(images), 3, 3)
    if hue is not None:
        others = (stains + hue).clamp(min=0)  # no dye gives light
        others = others / others.norm(dim=2, keepdim=True)
    density = -images.clamp(min=DARKEST).log()
    # density = amounts @ stains, so one (3, 3) matrix an image does all: apart, scaled, together
    mix = torch.linalg.inv(stains) @ ((1 + more)[:, :, None] * others)  # (n, 3, 3)
    added = SHIFT * (shift[:, None] @ others)[:, 0]  # (n, 3)
    changed = torch.einsum("nchw,ncd->ndhw", density, mix) + added[:, :, None, None]
    pictures: Tensor = (-changed).exp().clamp(0, 1)
    return pictures
