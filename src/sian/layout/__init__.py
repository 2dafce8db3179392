"""The layout of an instance mask: what it says about every pixel (paper, section 3.2; docs/design.md).

::

    layout.py       Layout: the three masks M, P, Q; windows, quarter turns and flips
    description.py  describe: instance mask -> Layout
    pixels.py       the nuclear pixels, grouped by nucleus
    direction.py    P: towards the centroid, near it or far from it
    distance.py     Q: from the outline to the skeleton
    classes.py      the nuclei's classes, where somebody said them
    tissue_map.py   what lies between the nuclei, coarsely, where an image or somebody says it
    tissue_of_image.py  such a map of an image
    picture.py      P, Q and the tissue map in colour, for people
"""

from sian.layout.again import describe_again
from sian.layout.description import describe, with_tissue
from sian.layout.layout import DIRECTION_CLASSES, Layout, turn_image
from sian.layout.tissue_map import TISSUE_LAYERS
from sian.layout.tissue_of_image import tissue_map

__all__ = [
    "DIRECTION_CLASSES",
    "TISSUE_LAYERS",
    "Layout",
    "describe",
    "describe_again",
    "tissue_map",
    "turn_image",
    "with_tissue",
]
