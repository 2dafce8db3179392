"""Does a synthetic image repeat a training image? The nearest training window, in Inception's feature space.

Images are stain-normalised first, so that a copy in another colour is still a copy, and each is looked at in
its eight turns and mirror images. How near is too near is learned: real windows that nobody trained on have a
nearest training window too, and an image that lies nearer than all but a small share of these is suspicious.
That is a screen, not a proof: it sees whole windows, and a single repeated nucleus escapes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput
from sian.evaluation.collection import Collection, Entry
from sian.layout import turn_image
from sian.windows import WINDOW, test_offsets

if TYPE_CHECKING:
    from pathlib import Path

    from sian.evaluation.arrays import Features, Floats, Image
    from sian.evaluation.features import InceptionFeatures

    Report = Callable[[int, int], None]

QUANTILE = 0.01  # the share of held-out real windows that would be flagged
TURNS = [(turns, flip) for flip in (False, True) for turns in range(4)]
TARGET_MEAN = (0.45, 0.75, 0.40)  # optical density of R, G, B: about the mean of H&E tiles
TARGET_DEVIATION = (0.30, 0.35, 0.22)
SMALLEST_DEVIATION = 0.02  # a flat image stays flat


@dataclass(frozen=True)
class Neighbours:
    """The nearest training window of each image.

    Attributes:
        names: the images'.
        nearest: names of their nearest training windows.
        distances: (n,) cosine distance, 0 for the same features.
    """

    names: list[str]
    nearest: list[str]
    distances: Floats


def screen(
    fake: Collection,
    training: Collection,
    held_out: Collection,
    extractor: InceptionFeatures,
    *,
    quantile: float = QUANTILE,
    cache: Path | str | None = None,
    report: Report | None = None,
) -> dict[str, Any]:
    """Flag images that lie nearer to a training window than held-out real windows do.

    Args:
        fake: the images; larger ones are looked at in windows.
        training: windows that the model was trained on, all of one size.
        held_out: real windows it was not trained on, of the same size.
        extractor: the FID Inception.
        quantile: the share of held-out windows that the threshold lets through as suspicious.
        cache: where features of real windows are kept.
        report: called with (images done, images in all); an image counts for each of its eight turns.

    Returns:
        n, threshold, quantile, "flagged" (name, nearest, distance; nearest first) and "images" with all
        distances.

    Raises:
        BadInput: an image smaller than a window, or a quantile outside (0, 1).
    """
    if not 0 < quantile < 1:
        raise BadInput(f"quantile: found {quantile}, expected more than 0 and less than 1; try {QUANTILE}")
    windows = in_windows(fake)
    total = len(training) + len(TURNS) * (len(held_out) + len(windows))
    counter = _Stages(report, total)
    known = extractor.cached(Normalised(training, [(0, False)]), cache, counter.stage(len(training)))
    real = extractor.cached(Normalised(held_out, TURNS), cache, counter.stage(len(TURNS) * len(held_out)))
    painted = extractor(Normalised(windows, TURNS), counter.stage(len(TURNS) * len(windows)))
    threshold = float(np.quantile(neighbours(held_out, training, real, known).distances, quantile))
    found = neighbours(windows, training, painted, known)
    images: list[dict[str, Any]] = [
        {"name": name, "nearest": near, "distance": float(distance)}
        for name, near, distance in zip(found.names, found.nearest, found.distances, strict=True)
    ]
    flagged = sorted((i for i in images if i["distance"] < threshold), key=lambda image: image["distance"])
    return {"n": len(windows), "threshold": threshold, "quantile": quantile, "flagged": flagged, "images": images}


def neighbours(images: Collection, training: Collection, turned: Features, known: Features) -> Neighbours:
    """The nearest training window of each image over its eight turns.

    Args:
        images: n of them.
        training: m windows.
        turned: (8 n, d) features, the eight turns of an image in a row.
        known: (m, d) features.
    """
    likeness = _unit(turned) @ _unit(known).T  # (8 n, m)
    best = likeness.reshape(len(images), len(TURNS), len(training)).max(axis=1)
    nearest = best.argmax(axis=1)
    distances = 1 - best[np.arange(len(images)), nearest]
    return Neighbours(images.names, [training.names[i] for i in nearest], distances)


def normalised(image: Image) -> Image:
    """The image with mean and spread of its optical density moved to those of an average H&E tile.

    Args:
        image: (H, W, 3) uint8.
    """
    density = -np.log((image.astype(np.float64) + 1) / 256)
    mean, deviation = density.mean(axis=(0, 1)), density.std(axis=(0, 1))
    scaled = (density - mean) / np.maximum(deviation, SMALLEST_DEVIATION) * TARGET_DEVIATION + TARGET_MEAN
    painted: Image = (256 * np.exp(-scaled) - 1).round().clip(0, 255).astype(np.uint8)
    return painted


def in_windows(images: Collection, size: int = WINDOW) -> Collection:
    """The images cut into windows of one size; those that have the size stay as they are.

    Raises:
        BadInput: an image smaller than a window.
    """
    entries: dict[str, Entry] = {}
    for name in images.names:
        height, width = images.read(name).shape[:2]
        if min(height, width) < size:
            raise BadInput(
                f"{name}: found {height} x {width} px, expected at least {size} x {size} to look for copies; "
                "leave --memorisation out"
            )
        if (height, width) == (size, size):
            entries[name] = images.entries[name]
            continue
        for y in test_offsets(height, size):
            for x in test_offsets(width, size):
                read = _cutting(images, name, y, x, size)
                entries[f"{name}_y{y:04d}_x{x:04d}"] = Entry(read, images.organ(name), name)
    return Collection(images.label, entries)


class Normalised(Sequence[Any]):
    """The stain-normalised images of a collection, each in the given turns, made when they are asked for."""

    def __init__(self, collection: Collection, turns: Sequence[tuple[int, bool]]) -> None:
        self.collection = collection
        self.turns = list(turns)

    def __len__(self) -> int:
        return len(self.collection) * len(self.turns)

    def __getitem__(self, index: Any) -> Any:
        number, turn = divmod(int(index), len(self.turns))
        return turn_image(normalised(self.collection.read(self.collection.names[number])), *self.turns[turn])

    def __iter__(self) -> Iterator[Any]:
        for name in self.collection.names:
            upright = normalised(self.collection.read(name))
            for turns, flip in self.turns:
                yield turn_image(upright, turns, flip)


def _cutting(images: Collection, name: str, y: int, x: int, size: int) -> Callable[[], Any]:
    return lambda: images.read(name)[y : y + size, x : x + size]


def _unit(features: Features) -> Floats:
    rows = features.astype(np.float64)
    unit: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit


class _Stages:
    """Several stages as one progress."""

    def __init__(self, report: Report | None, total: int) -> None:
        self.report, self.total, self.start = report, total, 0

    def stage(self, length: int) -> Report:
        start = self.start
        self.start += length

        def report(done: int, _: int) -> None:
            if self.report:
                self.report(start + done, self.total)

        return report
