"""How long the metrics take, beside independent implementations on the same inputs in the same run.

    python benchmarks/metrics.py --weights ../shared/weights

Times are the process' own CPU time, so that other work on the machine does not count. MONAI and torchmetrics come with
the dev extra. Prints the table of docs/results/benchmarks.md, section Metrics.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from sian.evaluation import InceptionFeatures, aji, fid, kid, panoptic, ssim
from sian.nuclei import scatter

SIDE, NUCLEI = 1000, 700
PAIRS, WINDOW = 224, 256
BATCH = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--images", type=int, default=PAIRS, help="on each side of the FID")
    parser.add_argument("--only-fid", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, numpy {np.__version__}, {options.threads} thread(s), CPU time, best of runs\n")
    print("| what | ours | beside it | ratio |\n|---|---|---|---|")
    if not options.only_fid:
        masks()
        similarity()
    distance(InceptionFeatures.load(options.weights), options.images)


def masks() -> None:
    true = scatter(SIDE, SIDE, density=NUCLEI, seed=0)
    pred = np.roll(true, (2, 1), axis=(0, 1))
    pred[np.isin(pred, np.unique(pred)[5::10])] = 0  # a tenth is missed
    count = len(np.unique(true)) - 1
    ours = best(lambda: panoptic(true, pred), 20)
    what = f"PQ, {SIDE} x {SIDE}, {count} nuclei"
    row(what, ours, "MONAI compute_panoptic_quality", best(lambda: by_monai(true, pred), 2))
    row(what, ours, "torchmetrics panoptic_quality", best(lambda: by_torchmetrics(true, pred), 2))
    row(what, ours, "loop over pairs of binary masks", best(lambda: by_loop(true, pred), 1))
    row("AJI, the same masks", best(lambda: aji(true, pred), 20))


def by_monai(true: np.ndarray, pred: np.ndarray) -> object:
    from monai.metrics.panoptic_quality import compute_panoptic_quality

    return compute_panoptic_quality(torch.from_numpy(pred), torch.from_numpy(true))


def by_torchmetrics(true: np.ndarray, pred: np.ndarray) -> object:
    from torchmetrics.functional.detection import panoptic_quality

    sides = [torch.from_numpy(np.stack([m > 0, m], -1).astype(np.int64))[None] for m in (pred, true)]
    return panoptic_quality(*sides, things={1}, stuffs={0})


def by_loop(true: np.ndarray, pred: np.ndarray) -> float:
    """As much published code does: a binary mask a nucleus, every overlapping pair compared at full size."""
    preds = {i: pred == i for i in np.unique(pred) if i}
    matched = []
    for i in np.unique(true):
        if i:
            nucleus = true == i
            for j in np.unique(pred[nucleus]):
                if j:
                    iou = (nucleus & preds[j]).sum() / (nucleus | preds[j]).sum()
                    matched += [iou] if iou > 0.5 else []
    return float(np.sum(matched))


def similarity() -> None:
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 16, WINDOW, WINDOW, 3), dtype=np.uint8)
    a, b = np.resize(a, (PAIRS, *a.shape[1:])), np.resize(b, (PAIRS, *b.shape[1:]))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    ours = best(lambda: [ssim(x, y) for x, y in zip(a, b, strict=True)], 2)
    theirs = best(
        lambda: [structural_similarity(x, y, channel_axis=-1, **options) for x, y in zip(a, b, strict=True)], 2
    )
    row(f"SSIM, {PAIRS} pairs of {WINDOW} px", ours, "scikit-image structural_similarity", theirs)


def distance(extractor: InceptionFeatures, n: int) -> None:
    rng = np.random.default_rng(0)
    images = list(rng.integers(0, 256, (2 * n, WINDOW, WINDOW, 3), dtype=np.uint8))
    extractor(images[:BATCH])
    start = time.process_time()
    features = extractor(images)
    value = fid(features[:n], features[n:])
    ours = time.process_time() - start
    start = time.process_time()
    with torch.inference_mode():
        for first in range(0, len(images), BATCH):
            batch = np.stack(images[first : first + BATCH]).transpose(0, 3, 1, 2)
            extractor.network(torch.from_numpy(np.ascontiguousarray(batch)))
    bare = time.process_time() - start
    row(f"FID, {n} + {n} images ({len(images) / ours:.1f} images/s)", ours, "the bare forward pass", bare)
    both = rng.normal(size=(2, PAIRS, 2048))
    row(f"FID from {PAIRS} + {PAIRS} features", best(lambda: fid(*both), 3))
    row("KID from features, 100 subsets of 50", best(lambda: kid(*both), 3))
    assert np.isfinite(value)


def best(function: Callable[[], object], runs: int) -> float:
    times = []
    for _ in range(runs):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def row(what: str, ours: float, other: str = "", theirs: float | None = None) -> None:
    beside = "" if theirs is None else f"{other}: {seconds(theirs)}"
    ratio = "" if theirs is None else f"{theirs / ours:.2f}" if theirs < 2 * ours else f"{theirs / ours:.0f} x"
    print(f"| {what} | {seconds(ours)} | {beside} | {ratio} |", flush=True)


def seconds(value: float) -> str:
    return f"{1000 * value:.1f} ms" if value < 1 else f"{value:.1f} s"


if __name__ == "__main__":
    main()
