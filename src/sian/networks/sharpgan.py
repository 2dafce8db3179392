"""Sharp-GAN (Butte, Wang, Xian and Vakanski, ISBI 2022; arXiv 2110.14709): pix2pix on a distance map, kept sharp.

Its abstract says: the input is a normalised nucleus distance map instead of the binary mask, and a sharpness loss
"enhances the contrast of nuclei contour pixels". What we chose where that leaves room:

- the map is EDT_k(p) / max EDT_k in [0, 1], the Euclidean distance of a pixel to the outline of its own nucleus k over
  that nucleus' largest one (`Layout.depth`), computed on the whole tile; touching nuclei are apart in it;
- generator and discriminator are pix2pix', both given that map; cross entropy and 100 times L1 as there;
- the sharpness loss is `sian.training.losses.sharpness`, with weight 10 in the recipe.
"""

from __future__ import annotations

from sian.networks.layouts import Condition
from sian.networks.pix2pix import PatchGan, UnetGenerator

__all__ = ["PatchGan", "SharpGenerator"]


class SharpGenerator(UnetGenerator):
    """pix2pix' U-Net, given the normalised distance map; see `UnetGenerator`."""

    def __init__(self, width: int = 64, depth: int = 8, condition: Condition = "depth") -> None:
        super().__init__(width, depth, condition)
