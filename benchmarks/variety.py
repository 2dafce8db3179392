"""How much a seed decides: whether a nucleus has the same surroundings wherever it lies, and two seeds the same tissue.

    python benchmarks/variety.py [MODEL ...] [--styles kidney breast colon]

One nucleus is drawn 128 px apart, 49 times. Its surroundings (96 px, blurred by 2 px, the nucleus left out) are
correlated with those of each other one; then two seeds of the same mask, and of the demo's mask, are correlated outside
of nuclei, blurred alike. 0 is other tissue, 1 is the same. Means over the styles. With --data also random places of a
data set's real tiles, nuclei and all.
"""

from __future__ import annotations

import argparse
import warnings
from importlib import resources
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter

import sian

PITCH, COUNT, REACH, BLUR, BESIDE = 128, 7, 48, 2.0, 4  # px, but for COUNT a side
AXES = (9, 13)  # px, of the nucleus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["bundled"])
    parser.add_argument("--styles", nargs="+", default=["kidney", "breast", "colon", "brain", "stomach"])
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore", sian.SianWarning)
    print("| | places | two seeds, one nucleus often | two seeds, the demo's mask |\n|---|---|---|---|")
    for name in options.models:
        model = sian.load(name)
        rows = np.array([of_style(model, style) for style in options.styles if style in model.styles])
        print(f"| {name} ({len(rows)} styles) | " + " | ".join(f"{value:.2f}" for value in rows.mean(0)) + " |")
    if options.data is not None:
        print(f"| real tiles, random places | {real_places(options.data):.2f} | | |")


def of_style(model: sian.Model, style: str) -> tuple[float, float, float]:
    mask, places = one_nucleus_often()
    demo = sian.read_mask(Path(str(resources.files("sian") / "assets" / "mask.png")))
    (first, second), (third, fourth) = (
        [model.synthesize(part, style, seed=seed) for seed in (0, 1)] for part in (mask, demo)
    )
    around = [blurred(first)[y - REACH : y + REACH, x - REACH : x + REACH] for y, x in places]
    y, x = places[0]
    outside = ~binary_dilation(mask[y - REACH : y + REACH, x - REACH : x + REACH] > 0, iterations=BESIDE)
    return (
        pairs(np.stack([part[outside].ravel() for part in around])),
        pairs(np.stack([seen(image, mask) for image in (first, second)])),
        pairs(np.stack([seen(image, demo) for image in (third, fourth)])),
    )


def one_nucleus_often() -> tuple[np.ndarray, list[tuple[int, int]]]:
    side = PITCH * (COUNT + 1)
    y, x = np.mgrid[:side, :side]
    places = [(PITCH * row, PITCH * column) for row in range(1, COUNT + 1) for column in range(1, COUNT + 1)]
    mask = np.zeros((side, side), np.int32)
    for number, (top, left) in enumerate(places, 1):
        mask[((y - top) / AXES[0]) ** 2 + ((x - left) / AXES[1]) ** 2 <= 1] = number
    return mask, places


def blurred(image: np.ndarray) -> np.ndarray:
    return gaussian_filter(image.astype(np.float64), (BLUR, BLUR, 0))


def seen(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What is not nuclear, or beside it."""
    return blurred(image)[~binary_dilation(mask > 0, iterations=BESIDE)].ravel()


def pairs(rows: np.ndarray) -> float:
    """Mean correlation of all pairs of rows; each channel's own mean over all rows is taken out first."""
    channels = rows.reshape(len(rows), -1, 3)
    centred = (channels - channels.mean((0, 1))).reshape(len(rows), -1)
    together = np.corrcoef(centred)
    return float(together[np.triu_indices(len(rows), 1)].mean())


def real_places(folder: Path, count: int = 49) -> float:
    found = []
    data = sian.open_dataset(folder)
    for number, item in enumerate(data):
        image = blurred(data.image(item))
        random = np.random.default_rng(number)
        height, width = image.shape[:2]
        places = [random.integers(0, (height - 2 * REACH, width - 2 * REACH)) for _ in range(count)]
        found.append(pairs(np.stack([image[y : y + 2 * REACH, x : x + 2 * REACH].ravel() for y, x in places])))
    return float(np.mean(found))


if __name__ == "__main__":
    main()
