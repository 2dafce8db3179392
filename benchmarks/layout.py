"""How long the layout of a tile with 700 nuclei takes, beside cellpose's flows and stardist's distances.

    python benchmarks/layout.py [--mask MASK.png] [--rounds 7]

All run in one process on one thread, in turn, on the same mask of 1000 x 1000 px; printed are medians and
their ratios to ours, and first that ours equals the plain definition of tests/reference_layout.py.

cellpose and stardist are no dependencies of SIAN. What is missing is said and left out. To compare, make a
virtual environment for them (torch from wherever yours came from) and run this in it with PYTHONPATH=src:

    pip install torch numpy scipy scikit-image pillow numba opencv-python-headless fastremap fill-voids \
        natsort tqdm roifile tifffile imagecodecs six matplotlib packaging
    pip install --no-deps cellpose stardist csbdeep

cellpose 4 has no `masks_to_flows` any more: its `masks_to_flows_gpu` runs on the CPU here. `pip install
--no-deps "cellpose<4"` gives the compiled loop of cellpose 3. cellpose 4 imports torchvision, needlessly;
where it is missing, an empty stand-in takes its place.
"""

# ruff: noqa: E402  (the number of threads is set before NumPy, torch and numba are loaded)
from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
import platform
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import MagicMock

import numpy as np

from sian.layout import describe

if TYPE_CHECKING:
    from collections.abc import Callable

    Contender = Callable[[np.ndarray], object]

sys.path.append(str(Path(__file__).parents[1] / "tests"))


def main() -> None:
    arguments = parse_arguments()
    mask = read(arguments.mask) if arguments.mask else scattered_nuclei()
    name = arguments.mask.name if arguments.mask else "ellipses, seed 0"
    count, covered = len(np.unique(mask)) - 1, (mask > 0).mean()
    print(f"{name}: {mask.shape[0]} x {mask.shape[1]} px, {count} nuclei, {covered:.0%} covered")
    print(f"{platform.machine()}, {os.cpu_count()} cores, one thread, Python {platform.python_version()}")
    print(check(mask))

    seconds = measure(contenders(), mask, arguments.rounds)
    ours = seconds["sian.describe (M, P and Q)"]
    for contender, median in sorted(seconds.items(), key=lambda item: item[1]):
        print(f"{contender:48}{median:9.4f} s{median / ours:8.1f} x")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mask", type=Path, help="an instance mask as grey PNG instead of scattered ellipses")
    parser.add_argument("--rounds", type=int, default=7, help="how often each is timed")
    return parser.parse_args()


def read(path: Path) -> np.ndarray:
    from PIL import Image

    return np.array(Image.open(path)).astype(np.int32)


def scattered_nuclei(count: int = 700, side: int = 1000, seed: int = 0) -> np.ndarray:
    """Ellipses of MoNuSeg's sizes on a jittered grid; neighbours touch, none is hidden."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((side, side), np.int32)
    rows, columns = 25, 28
    y, x = np.mgrid[:side, :side]
    for nucleus in rng.permutation(rows * columns)[:count]:
        row, column = divmod(nucleus, columns)
        cy, cx = (row + 0.5) * side / rows, (column + 0.5) * side / columns
        cy, cx = cy + rng.uniform(-9, 9), cx + rng.uniform(-9, 9)
        major, aspect, angle = rng.uniform(8, 16), rng.uniform(0.6, 1), rng.uniform(0, np.pi)
        box = np.s_[max(int(cy) - 20, 0) : int(cy) + 20, max(int(cx) - 20, 0) : int(cx) + 20]
        dy, dx = y[box] - cy, x[box] - cx
        along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        inside = (along / major) ** 2 + (across / (major * aspect)) ** 2 <= 1
        mask[box][inside & (mask[box] == 0)] = nucleus + 1
    return mask


def check(mask: np.ndarray) -> str:
    """Compare with the definition; a fast wrong answer is worth nothing."""
    from reference_layout import reference_layout

    layout = describe(mask)
    semantic, direction, distance = reference_layout(mask)
    assert np.array_equal(layout.semantic, semantic)
    assert np.array_equal(layout.direction, direction)
    return f"equals the definition: M and P exactly, Q to {np.abs(layout.distance - distance).max():.1e}"


def contenders() -> dict[str, Contender]:
    """Everything that is installed here, by name."""
    from reference_layout import reference_layout

    found: dict[str, Contender] = {
        "sian.describe (M, P and Q)": describe,
        "the definition, a loop over bounding boxes": reference_layout,
    }
    for find in (cellpose_flows, stardist_distances):
        try:
            name, contender = find()
        except ImportError as missing:
            print(f"left out: {find.__name__} ({missing}); see the top of this file for how to install it")
        else:
            found[name] = contender
    return found


def cellpose_flows() -> tuple[str, Contender]:
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        sys.modules.update({name: MagicMock() for name in ("torchvision", "torchvision.transforms")})
    import torch
    from cellpose import dynamics

    torch.set_num_threads(1)
    function = "masks_to_flows" if hasattr(dynamics, "masks_to_flows") else "masks_to_flows_gpu"
    flows = getattr(dynamics, function)
    return f"cellpose {version('cellpose')} {function}", lambda mask: flows(mask, torch.device("cpu"))


def stardist_distances() -> tuple[str, Contender]:
    from stardist.geometry import star_dist

    return f"stardist {version('stardist')} star_dist, 32 rays", lambda mask: star_dist(mask, n_rays=32)


def measure(contenders: dict[str, Contender], mask: np.ndarray, rounds: int) -> dict[str, float]:
    """Median seconds of each, all of them once a round, after one round that doesn't count."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(rounds + 1):
        for name, contender in contenders.items():
            start = time.perf_counter()
            contender(mask)
            if round_:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


if __name__ == "__main__":
    main()
