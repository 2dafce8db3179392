"""How long the metrics take, beside independent implementations on the same inputs in the same run.

    python benchmarks/metrics.py --weights DIR [--peers peers/bin/python] [--only pq ssim fid]

Times are the process' own CPU time, so that other work on the machine does not count. MONAI and torchmetrics come with
the dev extra; stardist and cellpose need an environment of their own, which `benchmarks/peers.py` says how to make, and
whose Python is `--peers`: the nearest peers of PQ. Ours is measured before and after them. pytorch-fid and
torch-fidelity (torchmetrics' FID) need torchvision and are not run: their forward pass (NCHW, batch norm apart, batches
of 50) and pytorch-fid's formula (a matrix square root of the covariances' product) are written out here, with the same
weights. Prints the table of docs/results/benchmarks.md, section Metrics.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from safetensors.torch import load_file

from sian.evaluation import InceptionFeatures, aji, fid, kid, panoptic, ssim
from sian.files.weights import find_weights
from sian.networks.inception import INPUT_SIZE, inception_from
from sian.nuclei import scatter

SIDE, NUCLEI = 1000, 700
PAIRS, WINDOW = 224, 256
BATCH = 16
PUBLISHED_BATCH = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--images", type=int, default=PAIRS, help="on each side of the FID")
    parser.add_argument("--peers", type=Path, help="a Python that has stardist and cellpose")
    parser.add_argument("--only", nargs="+", choices=("pq", "ssim", "fid"), default=["pq", "ssim", "fid"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, numpy {np.__version__}, {options.threads} thread(s), CPU time, best of runs\n")
    print("| what | ours | beside it | ratio |\n|---|---|---|---|")
    if "pq" in options.only:
        masks(options.peers)
    if "ssim" in options.only:
        similarity()
    if "fid" in options.only:
        distance(options.weights, options.images)


def masks(peers: Path | None) -> None:
    true = scatter(SIDE, SIDE, density=NUCLEI, seed=0)
    pred = np.roll(true, (2, 1), axis=(0, 1))
    pred[np.isin(pred, np.unique(pred)[5::10])] = 0  # a tenth is missed
    count = len(np.unique(true)) - 1
    ours = best(lambda: panoptic(true, pred), 20)
    what = f"PQ, {SIDE} x {SIDE}, {count} nuclei"
    if peers is not None:
        found = by_peers(peers, true, pred)
        ours = min(ours, best(lambda: panoptic(true, pred), 20))
        score = panoptic(true, pred)
        for name, told in found.items():
            expected = score.pq if "PQ" in name else score.dq
            assert abs(told["value"] - expected) < 1e-6, (name, told["value"], expected)
            row(what, ours, name, told["seconds"])
    row(what, ours, "MONAI compute_panoptic_quality", best(lambda: by_monai(true, pred), 2))
    row(what, ours, "torchmetrics panoptic_quality", best(lambda: by_torchmetrics(true, pred), 2))
    row(what, ours, "loop over pairs of binary masks", best(lambda: by_loop(true, pred), 1))
    row("AJI, the same masks", best(lambda: aji(true, pred), 20))


def by_peers(python: Path, true: np.ndarray, pred: np.ndarray) -> dict[str, dict[str, float]]:
    """What stardist and cellpose found on the same masks, and in how many seconds; see `peers.py`."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "masks.npz", true=true, pred=pred)
        command = [str(python), str(Path(__file__).with_name("peers.py")), str(Path(folder) / "masks.npz")]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


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


def distance(weights: Path | None, n: int) -> None:
    extractor = InceptionFeatures.load(weights)
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
    what = f"FID, {n} + {n} images ({len(images) / ours:.1f} images/s)"
    row(what, ours, "the bare forward pass", bare)
    start = time.process_time()
    theirs = published_features(weights, images)
    row(what, ours, "the forward as pytorch-fid and torch-fidelity run it", time.process_time() - start)
    apart = np.linalg.norm(theirs - features) / np.linalg.norm(theirs)
    print(f"| | features apart by {apart:.1e} | | |", flush=True)
    both = rng.normal(size=(2, n, 2048))
    mine, seconds_ = fid(*both), best(lambda: fid(*both), 3)
    start = time.process_time()
    other = published_distance(*both)
    row(f"FID from {n} + {n} features", seconds_, "pytorch-fid's formula", time.process_time() - start)
    print(f"| | {mine:.6f} and {other:.6f} | | |", flush=True)
    row("KID from features, 100 subsets of 50", best(lambda: kid(*both), 3))
    assert np.isfinite(value)


def published_features(weights: Path | None, images: list[np.ndarray]) -> np.ndarray:
    """Features (n, 2048) with nothing folded, as the published packages go about it."""
    network = inception_from(load_file(find_weights("inception_fid", weights)))
    for parameter in network.parameters():
        parameter.data = parameter.data.contiguous()
    size = (INPUT_SIZE, INPUT_SIZE)
    network.prepare = lambda x: 2 * F.interpolate(x.float() / 255, size, mode="bilinear", align_corners=False) - 1
    rows = []
    with torch.no_grad():
        for first in range(0, len(images), PUBLISHED_BATCH):
            batch = np.stack(images[first : first + PUBLISHED_BATCH]).transpose(0, 3, 1, 2)
            rows.append(network(torch.from_numpy(np.ascontiguousarray(batch))).numpy())
    return np.concatenate(rows)


def published_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """Heusel et al. 2017 with a matrix square root; a little is added to the diagonal where it does not exist."""
    from scipy.linalg import sqrtm

    shift = real.mean(0) - fake.mean(0)
    one, two = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    root = sqrtm(one @ two)
    if not np.isfinite(root).all():
        more = 1e-6 * np.eye(len(one))
        root = sqrtm((one + more) @ (two + more))
    return float(shift @ shift + np.trace(one) + np.trace(two) - 2 * np.trace(root.real))


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
