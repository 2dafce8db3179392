"""How near fitted styles come to references that a model has not seen, beside encoded ones, and in what time.

    python benchmarks/fitting.py DATA --split test --picture fitted.png

Each tile's left half is the reference (its nuclei found by the bundled segmenter), the mask of its right half is
painted, and compared with the real right half, which neither has seen: the mean colour of all, of nuclei and of the
rest, as the mean absolute difference over the channels, in grey levels. What the two halves themselves differ by
stands beside it.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import torch

import sian
from sian.files import write_png
from sian.synthesis.labels import png_text

SIDE = 256  # px of a window on the picture
COLUMNS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--picture", type=Path, help="reference, real, encoded, fitted; of every other tile")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore", sian.SianWarning)
    model, segmenter = sian.load(options.model), sian.segmentation.load()
    data = sian.open_dataset(options.data).split(options.split)
    print(
        f"model {model.sha256[:12]}, {len(data)} tiles of {options.data} ({options.split}), {options.threads} threads"
    )
    rows, errors, seconds = [], [], []
    for item in data:
        image, mask = data.image(item), data.mask(item)
        half = image.shape[1] // 2
        reference, real = np.ascontiguousarray(image[:, :half]), image[:, half : 2 * half]
        target = np.ascontiguousarray(mask[:, half : 2 * half])
        started = time.perf_counter()
        fitted = sian.fit_style(reference, model=model, segment=segmenter.predict)
        seconds.append(time.perf_counter() - started)
        layout = sian.describe(target)
        painted = [model.synthesize(layout, style, seed=1) for style in (model.encode(reference), fitted.style)]
        halves = [apart(reference, real, mask[:, :half] > 0, target > 0)]
        errors.append([*(apart(real, picture, target > 0, target > 0) for picture in painted), *halves])
        before, after, natural = (error[0] for error in errors[-1])
        print(f"{item.id}: encoded {before:.1f}, fitted {after:.1f}, the halves themselves {natural:.1f}", flush=True)
        rows.append(np.concatenate([part[:SIDE, :SIDE] for part in (reference, real, *painted)], 1))
    report(np.array(errors), seconds)
    if options.picture is not None:
        shown = rows[:: max(1, len(rows) // 10)]
        tall = -(-len(shown) // COLUMNS)
        shown += [np.full_like(shown[0], 255)] * (tall * COLUMNS - len(shown))
        columns = [np.concatenate(shown[part * tall : (part + 1) * tall]) for part in range(COLUMNS)]
        write_png(options.picture, np.concatenate(columns, 1), png_text(model, None, 1))


def apart(first: np.ndarray, second: np.ndarray, nuclei: np.ndarray, others: np.ndarray) -> tuple[float, float, float]:
    """Mean absolute difference of mean colours, in grey levels: of all, of nuclei, of the rest."""
    parts = [(np.ones_like(nuclei), np.ones_like(others)), (nuclei, others), (~nuclei, ~others)]
    return tuple(float(np.abs(first[a].mean(0) - second[b].mean(0)).mean()) for a, b in parts)  # type: ignore[return-value]


def report(errors: np.ndarray, seconds: list[float]) -> None:
    """Means over the tiles; errors are (tiles, 3 ways, 3 parts)."""
    print("| mean colour of | encoded | fitted | the two halves themselves |")
    for part, name in enumerate(("all", "nuclei", "the rest")):
        print(f"| {name} | {' | '.join(f'{error:.1f}' for error in errors[:, :, part].mean(0))} |")
    better = int((errors[:, 1, 0] < errors[:, 0, 0]).sum())
    print(f"fitted is nearer on {better} of {len(errors)} tiles; {np.mean(seconds):.1f} s a style")


if __name__ == "__main__":
    main()
