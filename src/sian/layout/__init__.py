"""The layout of an instance mask: what it says about every pixel (paper, section 3.2; docs/design.md).

::

    layout.py       Layout: the three masks M, P, Q; windows, quarter turns and flips
    description.py  describe: instance mask -> Layout
    pixels.py       the nuclear pixels, grouped by nucleus
    direction.py    P: towards the centroid, near it or far from it
    distance.py     Q: from the outline to the skeleton
    classes.py      the nuclei's classes, where somebody said them
    picture.py      P and Q in colour, for people
"""

from sian.layout.again import describe_again
from sian.layout.description import describe
from sian.layout.layout import DIRECTION_CLASSES, Layout, turn_image

__all__ = ["DIRECTION_CLASSES", "Layout", "describe", "describe_again", "turn_image"]
