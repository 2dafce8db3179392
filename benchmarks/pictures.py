"""Mask, real window and paintings of one test window an organ: the picture of docs/results/reconstruction.md.

    python benchmarks/pictures.py DATA -o docs/images/reconstruction.webp

The window at (248, 248) of each organ's first tile, in the style of the real window, with the noise of seed 0; nothing
is chosen. Models that take tissue maps paint it twice: without one, and with the tile's own.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

import sian
from sian.evaluation.pictures import coloured

OFFSET, SIDE = 248, 256  # px; one of the protocol's windows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--model", default="bundled")
    options = parser.parse_args()
    warnings.simplefilter("ignore", sian.SianWarning)
    model = sian.load(options.model)
    data = sian.open_dataset(options.data).split(options.split)
    columns, organs = [], []
    for item in data:
        if item.organ in organs:
            continue
        organs.append(item.organ)
        part = (slice(OFFSET, OFFSET + SIDE),) * 2
        mask, real = data.mask(item), np.ascontiguousarray(data.image(item)[part])
        maps = (None, data.image(item)) if model.takes_tissue else (None,)
        layouts = [sian.describe(mask, tissue=tissue).window(OFFSET, OFFSET, SIDE, SIDE) for tissue in maps]
        painted = [model.synthesize(layout, real, seed=0) for layout in layouts]
        columns.append(np.concatenate([coloured(mask[part]), real, *painted]))
    Image.fromarray(np.concatenate(columns, 1)).save(options.output, quality=84)
    print(f"{options.output}: {', '.join(organs)}")


if __name__ == "__main__":
    main()
