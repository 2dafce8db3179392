"""A gland that stays a gland: real tissue, and its nuclei painted again without and with what lies between them.

    python benchmarks/kept_tissue.py DATA -o docs/images/kept_tissue.webp [--model MODEL]

Two windows of 512 px at (200, 200), one below the other; columns: real; painted without a tissue map in the window's
own style; with the window's map in its own style, in kidney's and in colon's. All with the noise of seed 0.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

import sian

ITEMS = ("TCGA-EJ-A46H-01A-03-TSC", "TCGA-HC-7209-01A-01-TS1")  # MoNuSeg's two test tiles of prostate
START, SIDE = 200, 512  # px
STYLES = ("kidney", "colon")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", help="the bundled one if not given")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    warnings.simplefilter("ignore", sian.SianWarning)
    model, data = sian.load(options.model), sian.open_dataset(options.data)
    part, rows = (slice(START, START + SIDE),) * 2, []
    for item in (item for item in data if item.id in ITEMS):
        image, mask = (np.ascontiguousarray(whole[part]) for whole in (data.image(item), data.mask(item)))
        told = [model.synthesize(mask, style, seed=0, tissue=image) for style in (image, *STYLES)]
        rows.append(np.concatenate([image, model.synthesize(mask, image, seed=0), *told], 1))
    sheet = Image.fromarray(np.concatenate(rows))
    sheet.resize((sheet.width // 2, sheet.height // 2), Image.Resampling.LANCZOS).save(options.output, quality=90)
    print(f"{options.output}: {', '.join(ITEMS)}")


if __name__ == "__main__":
    main()
