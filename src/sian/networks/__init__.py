"""Networks: pure torch modules and functions of tensors; they know no files, no recipes and no metrics."""

from sian.networks.discriminator import Discriminator
from sian.networks.encoder import REFERENCE_SIZE, StyleEncoder, stain_statistics
from sian.networks.generator import LEVELS, STRIDE, Generator
from sian.networks.layouts import DIRECTION_CLASSES, LAYOUT_CHANNELS, pyramid, stack
from sian.networks.noise import noise_at
from sian.networks.painter import Painter, build_discriminator, build_painter, training_noise
from sian.networks.sian_block import SianBlock
from sian.networks.vgg import VggFeatures

__all__ = [
    "DIRECTION_CLASSES",
    "LAYOUT_CHANNELS",
    "LEVELS",
    "REFERENCE_SIZE",
    "STRIDE",
    "Discriminator",
    "Generator",
    "Painter",
    "SianBlock",
    "StyleEncoder",
    "VggFeatures",
    "build_discriminator",
    "build_painter",
    "noise_at",
    "pyramid",
    "stack",
    "stain_statistics",
    "training_noise",
]
