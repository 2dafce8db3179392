"""Is a fine-tuned painter better than the one it began as? Measured on tissue that it does not learn from.

Every candidate paints the same masks in the same styles with the same noise, so that two of them differ window by
window and little is left to chance. Compared are: Inception's features of the paintings with those of real windows
(KID; no loss uses them), the mean colour of a painting whose style is of the same tissue, and how much a painting
changes with its style.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sian import seeds
from sian.data.sampling import Tile
from sian.evaluation.curve import curve
from sian.evaluation.kid import discrepancy_parts
from sian.layout import turn_image
from sian.networks import REFERENCE_SIZE, Painter, pixels_of, signed_images, stack_layouts
from sian.networks.drawn_tissue import drawn_layers, tissue_law
from sian.synthesis.adjusting import estimate_norms, match_colours
from sian.synthesis.sheet import contact_sheet
from sian.training.candidates import Look, Marks, named
from sian.training.samples import paint_windows

if TYPE_CHECKING:
    from collections.abc import Callable

    from sian.evaluation.arrays import Features, Image

    Extract = Callable[[list[Image]], Features]  # images (256, 256, 3) uint8 to (n, d)

INFLUENCED = 24  # windows that are painted in a second style
NORM_BATCHES = 4  # of 8 windows, that batch norm is estimated from: as good as 16 in colour and KID, and quicker
SHOWN = 3  # windows on the sheet
TURNS = 8  # quarter turns and mirror images


@dataclass(frozen=True, eq=False)
class _Window:
    """What is painted: the layout (1, c, s, s), the real window, a style image of the tissue, and another style."""

    layout: Tensor
    real: Image
    reference: Tensor  # (1, 3, s, s)
    other: Tensor  # (1, D)
    sibling: bool  # whether `reference` is of the same tile as the mask


class Jury:
    """See `sian.training.candidates.Jury`.

    Args:
        held: what is painted; not learned from.
        tissue: the tile that each of `held` was cut from, or is: real windows that paintings should look like.
        learned: tiles that are learned from; for adjusting, and for styles.
        others: style vectors of the starting model's bank, (n, D) with n at least 1: the second styles.
        extract: images to features; `sian.evaluation.InceptionFeatures`.
        count: windows.
        seed: of windows, styles and noise.
        norms: whether training moves batch norm's statistics, so that an average of its weights needs new ones.
    """

    def __init__(
        self,
        held: Sequence[Tile],
        tissue: Sequence[Tile],
        learned: Sequence[Tile],
        others: Tensor,
        extract: Extract,
        count: int,
        seed: int,
        norms: bool = False,
    ) -> None:
        self.learned, self.extract, self.seed, self.norms = list(learned), extract, seed, norms
        self.windows = [_window(held, tissue, learned, others, seed, index) for index in range(count)]
        self.real = extract([_cut(tissue, seed, "real window", index)[0] for index in range(count)])
        self.before: list[list[Image]] = []

    def adjust(self, painter: Painter) -> None:
        """The colours of the tiles that are learned from.

        Batch norm's statistics stay: those of a few tiles raised the bundled model's KID by a fifth
        (docs/results/finetune.md).
        """
        match_colours(painter.eval(), self.learned, self.seed)

    def settle(self, painter: Painter) -> None:
        """Batch norm's statistics where training moved them, then the colours."""
        if self.norms:
            estimate_norms(painter, self.learned, self.seed, count=NORM_BATCHES)
        self.adjust(painter)

    @torch.no_grad()
    def measure(self, painter: Painter) -> Marks:
        """Paint all windows and compare."""
        painter.eval()
        paintings = [self._paint(painter, number) for number in range(len(self.windows))]
        kid, parts = discrepancy_parts(self.real, self.extract(paintings))
        colours = [
            float(np.abs(painting.mean((0, 1)) - window.real.mean((0, 1))).mean())
            for painting, window in zip(paintings, self.windows, strict=True)
            if window.sibling
        ]
        step = max(1, len(paintings) // INFLUENCED)
        changes = [
            float(np.abs(self._paint(painter, number, other=True).astype(float) - paintings[number]).mean())
            for number in range(0, len(paintings), step)
        ]
        return Marks(kid, float(np.mean(colours)), float(np.mean(changes)), tuple(parts), tuple(colours))

    @torch.no_grad()
    def sheet(self, painter: Painter, looks: Sequence[Look], shown: int, chosen: int) -> Image:
        """Mask, real, before and the look that is shown in two styles, and the curve below; the first is "before"."""
        painter.eval()
        examples = [number for number, window in enumerate(self.windows) if window.sibling][:SHOWN]
        now = [[self._paint(painter, n), self._paint(painter, n, other=True)] for n in examples]
        self.before = self.before or now
        rows = []
        for number, before, after in zip(examples, self.before, now, strict=True):
            window = self.windows[number]
            mask = np.repeat(_mask_picture(window.layout)[..., None], 3, -1)
            rows.append([mask, window.real, before[0], after[0], before[1], after[1]])
        what = named(looks[shown]).split(",")[0]
        columns = [
            "mask",
            "real",
            *(f"{part}, {style} style" for style in ("own", "other") for part in ("before", what)),
        ]
        sheet = contact_sheet(rows, columns)
        return np.concatenate([sheet, curve(looks, chosen, sheet.shape[1])])

    def _paint(self, painter: Painter, number: int, other: bool = False) -> Image:
        window, device = self.windows[number], next(painter.parameters()).device
        style = window.other.to(device) if other else painter.encoder(window.reference.to(device))[0]
        painted: Image = pixels_of(paint_windows(painter, window.layout.to(device), style, self.seed + number))[0]
        return painted


def _window(
    held: Sequence[Tile], tissue: Sequence[Tile], learned: Sequence[Tile], others: Tensor, seed: int, index: int
) -> _Window:
    """Every second window in a style of its own tissue, the others in one of any tile that is learned from."""
    real, layout = _cut(held, seed, "painted window", index)
    sibling = index % 2 == 0
    pool = [tissue[index % len(held)]] if sibling else learned
    reference, _ = _cut(pool, seed, "style of a window", index)
    random = seeds.generator(seed, "second style", index)
    return _Window(layout, real, signed_images(reference[None]), others[[int(random.integers(len(others)))]], sibling)


def _cut(tiles: Sequence[Tile], seed: int, purpose: str, index: int) -> tuple[Image, Tensor]:
    """A window of 256 px anywhere in one of the tiles, turned: image and layout (1, c, 256, 256)."""
    random, size = seeds.generator(seed, purpose, index), REFERENCE_SIZE
    tile = tiles[index % len(tiles)]
    y, x = (int(random.integers(side - size + 1)) for side in tile.layout.shape)
    flip, turns = divmod(int(random.integers(TURNS)), TURNS // 2)
    image = turn_image(tile.image[y : y + size, x : x + size], turns, bool(flip))
    layout = tile.layout.window(y, x, size, size).turned(turns, bool(flip))
    if layout.tissue is not None:  # its own would hide what is invented: it gets a drawn one, as most paintings do
        law = tissue_law([one.layout.tissue for one in tiles if one.layout.tissue is not None])
        layout = replace(layout, tissue=drawn_layers(law, seeds.derive(seed, purpose, index), (0, 0, size, size)))
    return image, stack_layouts([layout], len(layout.class_names), tissue=layout.tissue is not None)


def _mask_picture(layout: Tensor) -> Image:
    """White nuclei that fade to their outlines, on black: (s, s) uint8."""
    semantic, distance = layout[0, 0], layout[0, 18]
    grey: Image = ((0.45 + 0.55 * distance) * semantic * 255).round().byte().numpy()
    return grey
