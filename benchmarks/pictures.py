"""Mask, real window and painting of one test window an organ: the picture of docs/results/reconstruction.md.

    python benchmarks/pictures.py DATA -o docs/images/reconstruction.png

The window at (248, 248) of each organ's first tile, in the style of the real window, with the noise of seed 0; nothing
is chosen.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np

import sian
from sian.evaluation.pictures import coloured
from sian.files import write_png
from sian.synthesis.labels import png_text

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
        layout = sian.describe(mask).window(OFFSET, OFFSET, SIDE, SIDE)
        columns.append(np.concatenate([coloured(mask[part]), real, model.synthesize(layout, real, seed=0)]))
    write_png(options.output, np.concatenate(columns, 1), png_text(model, None, 0))
    print(f"{options.output}: {', '.join(organs)}")


if __name__ == "__main__":
    main()
