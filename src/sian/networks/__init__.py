"""Networks: pure torch modules and functions of tensors; they know no files, no recipes and no metrics."""

from sian.memory import keep_freed_memory
from sian.networks.brush import FINE, NO_MARGINS, Brush, Margins, PlainBrush, within
from sian.networks.build import NETWORKS, build_discriminator, build_painter
from sian.networks.devices import find_device, move_to
from sian.networks.discriminator import Discriminator
from sian.networks.encoder import REFERENCE_SIZE, StyleEncoder, stain_statistics
from sian.networks.folded import FoldedGenerator
from sian.networks.generator import LEVELS, STRIDE, Generator, LevelGenerator, training_noise
from sian.networks.interface import GeneratorInterface
from sian.networks.layouts import (
    ALL_CHANNELS,
    DIRECTION_CLASSES,
    LAYOUT_CHANNELS,
    channels_of,
    pyramid,
    select,
    stack,
    stack_layouts,
)
from sian.networks.noise import noise_at
from sian.networks.painter import NoEncoder, Painter
from sian.networks.sian_block import SianBlock
from sian.networks.signed_images import pixels_of, signed, signed_images
from sian.networks.spectral import add_factors, load_folded
from sian.networks.vgg import VggFeatures

__all__ = [
    "ALL_CHANNELS",
    "DIRECTION_CLASSES",
    "FINE",
    "LAYOUT_CHANNELS",
    "LEVELS",
    "NETWORKS",
    "NO_MARGINS",
    "REFERENCE_SIZE",
    "STRIDE",
    "Brush",
    "Discriminator",
    "FoldedGenerator",
    "Generator",
    "GeneratorInterface",
    "LevelGenerator",
    "Margins",
    "NoEncoder",
    "Painter",
    "PlainBrush",
    "SianBlock",
    "StyleEncoder",
    "VggFeatures",
    "add_factors",
    "build_discriminator",
    "build_painter",
    "channels_of",
    "find_device",
    "load_folded",
    "move_to",
    "noise_at",
    "pixels_of",
    "pyramid",
    "select",
    "signed",
    "signed_images",
    "stack",
    "stack_layouts",
    "stain_statistics",
    "training_noise",
    "within",
]

keep_freed_memory()  # in every process that computes
