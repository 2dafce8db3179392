"""Held-out tiles: when a run ends before its stages do, and which of its averages is the model.

Fine-tuning on a handful of tiles learns them by heart sooner or later. A tile that is not learned from is therefore
painted now and then, each of its windows in the style of another one, and compared with the real windows by a distance
that is cheap and knows nothing of the metrics that judge a model later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from sian import seeds
from sian.data.sampling import Tile
from sian.files import write_bytes, write_json
from sian.files.jsonfiles import read_json
from sian.networks import REFERENCE_SIZE, Painter, VggFeatures, signed_images, stack_layouts
from sian.training.recipe_sections import StoppingSection
from sian.training.samples import paint_windows
from sian.windows import test_offsets

STOPPING, BEST = "stopping.json", "best.safetensors"  # in the run's folder
MEASURE = "style distance: means and deviations of the colours and, where the run has VGG19, of its features"


def hold_out(tiles: Sequence[Tile], section: StoppingSection, seed: int) -> tuple[list[Tile], list[Tile]]:
    """Tiles to learn from and tiles to look at: all tiles of a patient are of one kind.

    None are looked at when there are fewer than `section.least`, or all are of one patient. Where each patient has more
    tiles than are to be held out, one of those with the fewest is held out, if it has no more than a third of all
    tiles. A tile of an unknown patient counts as a patient of its own.
    """
    if not section.tiles or len(tiles) < section.least:
        return list(tiles), []
    order = seeds.generator(seed, "held-out tiles").permutation(len(tiles))
    patients: dict[str | int, list[int]] = {}
    for number in order.tolist():
        patients.setdefault(tiles[number].patient or number, []).append(number)
    held: set[int] = set()
    for numbers in patients.values():
        if len(held) + len(numbers) <= section.tiles:
            held.update(numbers)
    if not held and len(patients) > 1:
        fewest = min(patients.values(), key=len)
        held.update(fewest if len(fewest) <= len(tiles) / 3 else [])
    return [t for n, t in enumerate(tiles) if n not in held], [t for n, t in enumerate(tiles) if n in held]


class Watch:
    """Looks at held-out tiles while a run goes on; keeps the best average in the run's folder.

    Args:
        tiles: the held-out ones; without any, no look is ever due.
        section: the recipe's.
        seed: the run's.
        run: the run's folder.
        images: images seen by a resumed run; later looks of a killed one are forgotten.
        settle: makes of a process' distance the one that all processes go by: batch norm's statistics are each one's
            own, and all must end after the same step.
    """

    def __init__(
        self,
        tiles: Sequence[Tile],
        section: StoppingSection,
        seed: int,
        run: Path,
        images: int,
        settle: Callable[[float], float] = float,
    ) -> None:
        self.settle = settle
        self.tiles, self.section, self.seed, self.run = tiles, section, seed, run
        known = read_looks(run)["looks"] if tiles else []
        self.looks: list[dict[str, float]] = [look for look in known if look["images"] <= images]
        if known and min(known, key=lambda look: look["distance"])["images"] > images:
            (run / BEST).unlink(missing_ok=True)  # its weights are of a look that is forgotten
        self.windows = [window for tile in tiles for window in _windows(tile, section.windows, seed)]
        self.real: list[dict[str, Tensor]] = []  # statistics of the real windows, made at the first look

    @property
    def best(self) -> dict[str, float]:
        """The look with the smallest distance."""
        return min(self.looks, key=lambda look: look["distance"])

    @property
    def ended(self) -> bool:
        """Whether the last `patience` looks brought no new best one."""
        if not self.looks or self.section.patience is None:
            return False
        return len(self.looks) - 1 - self.looks.index(self.best) >= self.section.patience

    @torch.no_grad()
    def look(self, painter: Painter, vgg: VggFeatures | None, images: int, write: bool) -> None:
        """Measure an average and keep it if it is the best so far.

        Args:
            painter: the average, with batch norm's statistics of the run.
            vgg: the perceptual network; without one, colours alone are compared.
            images: images seen.
            write: whether this process is the one that writes.
        """
        device, was_training = next(painter.parameters()).device, painter.training
        painter.eval()
        if not self.real:
            self.real = [_statistics(real.to(device), vgg) for _, real, _ in self.windows]
        distances = []
        for number, (layout, _, reference) in enumerate(self.windows):
            style, _ = painter.encoder(reference.to(device))
            fake = paint_windows(painter, layout.to(device), style, self.seed + number)
            distances.append(style_distance(self.real[number], _statistics(fake, vgg)))
        painter.train(was_training)
        self.looks.append({"images": images, "distance": round(self.settle(float(np.mean(distances))), 6)})
        if not write:
            return
        if self.best is self.looks[-1]:
            weights = {name: t.detach().cpu().contiguous() for name, t in painter.state_dict().items()}
            write_bytes(self.run / BEST, save(weights))
        record = {"measure": MEASURE, "held_out": [tile.id for tile in self.tiles], "looks": self.looks}
        write_json(self.run / STOPPING, {**record, "best": self.best["images"], "ended": self.ended})


def read_looks(run: Path) -> dict[str, Any]:
    """What a run's `Watch` wrote; without held-out tiles "held_out" and "looks" are empty.

    Raises:
        BadInput: the file is broken.
    """
    path = run / STOPPING
    return {"held_out": [], "looks": [], **(read_json(path) if path.is_file() else {})}


def style_distance(real: Mapping[str, Tensor], fake: Mapping[str, Tensor]) -> float:
    """How far two windows' statistics lie apart, in deviations of the real one, averaged over layers.

    Args:
        real: by layer (2, c): each channel's mean and standard deviation over the window.
        fake: the same of the other window.
    """
    per_layer = [float((fake[name] - real[name]).abs().sum(0).mean() / (real[name][1].mean() + 1e-6)) for name in real]
    return float(np.mean(per_layer))


def _statistics(image: Tensor, vgg: VggFeatures | None) -> dict[str, Tensor]:
    maps = {"colour": image, **(vgg(image) if vgg is not None else {})}
    return {name: torch.stack([m[0].float().mean((1, 2)), m[0].float().std((1, 2))]) for name, m in maps.items()}


def _windows(tile: Tile, most: int, seed: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Layout, real image and reference, the next one's image, of up to `most` windows."""
    size, (height, width) = REFERENCE_SIZE, tile.layout.shape
    places = [(y, x) for y in test_offsets(height) for x in test_offsets(width)]
    order = seeds.generator(seed, f"held-out windows {tile.id}").permutation(len(places))[:most]
    layouts, images = [], []
    for y, x in (places[n] for n in order):
        window = tile.layout.window(y, x, size, size)
        layouts.append(stack_layouts([window], len(window.class_names), tissue=window.tissue is not None))
        images.append(signed_images(tile.image[None, y : y + size, x : x + size]))
    return [(layouts[n], images[n], images[(n + 1) % len(images)]) for n in range(len(images))]
