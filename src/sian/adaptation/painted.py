"""Windows whose nuclei are known to the pixel: found outlines, painted in the styles of the slides' windows.

An outline that a segmenter found may be wrong for its image; a painting of it is right by construction. Beside
self-training paintings added 0.010 PQ, with an interval that touches 0 (docs/results/adapting.md).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from sian import seeds
from sian.data.sampling import Tile
from sian.errors import BadInput, SianWarning
from sian.layout import describe
from sian.segmentation.targets import pixel_classes
from sian.segmentation.training_windows import KnownTile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from sian.synthesis import Model

    Report = Callable[[int, int], None]

DATASET = "paintings"
NOISE = 1.0


def check_painter(painter: Model, image: NDArray[np.uint8]) -> None:
    """Refuse at once a painter that cannot paint a bare mask in an image's style, not after minutes of outlining.

    Args:
        painter: a model.
        image: (H, W, 3) uint8, whose style is taken.

    Raises:
        BadInput: it has no style, or needs more than a mask.
    """
    if not painter.has_style:
        raise BadInput(
            f"{painter.info.name}: has no style, expected a painter that takes the slides'; give another one"
        )
    mask = np.zeros((64, 64), np.int32)
    mask[24:40, 24:40] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SianWarning)
        painter.synthesize(mask, style=painter.encode(image), seed=0, noise=NOISE)


def painted_tiles(
    painter: Model,
    images: Sequence[NDArray[np.uint8]],
    masks: Sequence[NDArray[np.int32]],
    count: int,
    border_px: int,
    seed: int,
    report: Report | None = None,
    keep_tissue: bool = False,
) -> list[KnownTile]:
    """Paint masks, each in the style of another window than its own where there are several.

    Args:
        painter: takes styles from pictures.
        images: (H, W, 3) uint8, whose styles are taken.
        masks: (H, W) each, as a segmenter found them in these images.
        count: how many to paint.
        border_px: depth of the border class.
        seed: of the draws and of the noise.
        report: called with (painted, in all).
        keep_tissue: what lies between the nuclei of a mask is as in its own image; for a painter that takes tissue.
    """
    tiles = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SianWarning)  # that a style is new, or nuclei large, is why we are here
        styles = [painter.encode(image) for image in images]
        for number in range(count):
            random = seeds.generator(seed, "paintings", number)
            which = int(random.integers(len(masks)))
            other = int(random.integers(1, len(styles))) if len(styles) > 1 else 0
            style = styles[(which + other) % len(styles)]
            mask = masks[which]
            noise_seed, tissue = int(random.integers(2**31)), images[which] if keep_tissue else None
            picture = painter.synthesize(mask, style=style, seed=noise_seed, noise=NOISE, tissue=tissue)
            tile = Tile(f"painted-{number}", "own", "unknown", picture, describe(mask))
            tiles.append(KnownTile(tile, pixel_classes(mask, border_px), None, DATASET, painter.info.licence, True))
            if report:
                report(number + 1, count)
    return tiles
