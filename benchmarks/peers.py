"""The segmentation metrics of stardist and cellpose on given masks; `metrics.py --peers PYTHON` runs this by PYTHON.

    python -m venv peers
    peers/bin/pip install numpy scipy numba scikit-image pillow opencv-python-headless fastremap fill-voids natsort \
        tqdm roifile tifffile imagecodecs six packaging torch
    peers/bin/pip install --no-deps stardist csbdeep "cellpose<4"

It knows nothing of SIAN: the argument is an .npz file with `true` and `pred`. It prints JSON: CPU seconds, best of
several runs after one that compiles, and the value found, by name. What cannot be imported is left out, and said.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.metadata import version

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"

RUNS = 20


def main() -> None:
    import numpy as np

    with np.load(sys.argv[1]) as masks:
        true, pred = (in_a_row(masks[name]) for name in ("true", "pred"))
    found = {}
    for name, find in (("stardist", by_stardist), ("cellpose", by_cellpose)):
        try:
            what, function = find()
            value, seconds = function(true, pred), []
            for _ in range(RUNS):
                start = time.process_time()
                function(true, pred)
                seconds.append(time.process_time() - start)
            found[f"{name} {version(name)} {what}"] = {"seconds": min(seconds), "value": value}
        except ImportError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    print(json.dumps(found))


def in_a_row(mask):
    """Ids 0, 1, 2, ...: cellpose counts the ids that are missing as nuclei."""
    import numpy as np

    return np.unique(mask, return_inverse=True)[1].reshape(mask.shape).astype(np.int32)


def by_stardist():
    from stardist.matching import matching

    return "`matching` (PQ)", lambda true, pred: float(matching(true, pred, thresh=0.5).panoptic_quality)


def by_cellpose():
    from cellpose.metrics import average_precision

    return "`average_precision` (TP, FP, FN: DQ)", lambda true, pred: detection(
        *(float(counts[0]) for counts in average_precision(true, pred, threshold=[0.5])[1:])
    )


def detection(right: float, wrong: float, missed: float) -> float:
    return right / (right + wrong / 2 + missed / 2)


if __name__ == "__main__":
    main()
