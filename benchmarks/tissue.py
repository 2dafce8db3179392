"""Windows painted without and with their tissue maps, nothing chosen: the picture of docs/results/tissue.md.

    python benchmarks/tissue.py DATA --before MODEL -o docs/images/tissue.webp [--model MODEL]

The middle window of 256 px of each organ's first tile: mask, real, its map; painted by the model before; by the model
without the map, seeds 0 and 1; and with it, seeds 0 and 1. The style is the real window's.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

import sian
from sian.evaluation.pictures import coloured
from sian.layout.picture import picture

SIDE = 256  # px


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--model", help="the bundled one if not given")
    parser.add_argument("--before", required=True)
    parser.add_argument("--most", type=int, default=7, help="organs")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    warnings.simplefilter("ignore", sian.SianWarning)
    before, model = sian.load(options.before), sian.load(options.model)
    first = {item.organ: item for item in reversed(list(sian.open_dataset(options.data).split(options.split)))}
    data, rows = sian.open_dataset(options.data), []
    for organ in sorted(first)[: options.most]:
        mask, image = data.mask(first[organ]), data.image(first[organ])
        y, x = ((side - SIDE) // 2 for side in mask.shape)
        part = (slice(y, y + SIDE), slice(x, x + SIDE))
        whole, real = sian.describe(mask, tissue=image), np.ascontiguousarray(image[part])
        told, plain = whole.window(y, x, SIDE, SIDE), sian.describe(mask).window(y, x, SIDE, SIDE)
        painted = [before.synthesize(plain, real)]
        painted += [model.synthesize(layout, real, seed=seed) for layout in (plain, told) for seed in (0, 1)]
        rows.append(np.concatenate([coloured(mask[part]), real, picture(told)["tissue"], *painted], 1))
    Image.fromarray(np.concatenate(rows)).save(
        options.output, quality=88, comment="synthetic H&E (SIAN); not for diagnosis"
    )
    print(f"{options.output}: {', '.join(sorted(first)[: options.most])}")


if __name__ == "__main__":
    main()
