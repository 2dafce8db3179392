"""How long 5,000 invented masks of 256 x 256 take, and how far each organ's lie from the real ones.

    python benchmarks/nuclei.py [--count 5000] [--size 256] [--workers 2] [--data DATASET]

The masks are spread over the seven organs of the bundled fit and written as PNG to a temporary folder, as `sian masks`
does. Wall time depends on what else runs; the CPU seconds of all processes beside it do so less. With --data (a data
set made by `sian data import`) each organ's masks are compared with those of its split.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from itertools import groupby
from pathlib import Path

from sian.data import open_dataset
from sian.masks import read_mask
from sian.nuclei import RealNuclei, compare, default_fit
from sian.nuclei.series import Series, write_series

GOAL = 120.0  # seconds for 5,000 masks of 256 x 256 on two cores
COMPARED = 200  # masks of an organ


def main() -> None:
    arguments = parse_arguments()
    organs = tuple(default_fit().organs.values())
    each = -(-arguments.count // len(organs))
    series = Series(organs, each, arguments.size, arguments.size)
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), cpu_seconds()
        paths = write_series(Path(folder), series, workers=arguments.workers)
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
        print(f"{len(paths)} masks of {arguments.size} px, {arguments.workers} processes: {wall:.1f} s, "
              f"{len(paths) / wall:.0f} masks/s; {cpu:.1f} CPU s, {1000 * cpu / len(paths):.1f} ms a mask")  # fmt: skip
        print(f"5,000 such masks: {5000 * wall / len(paths):.0f} s; goal {GOAL:.0f} s")
        if arguments.data:
            distances(arguments.data, arguments.split, paths, arguments.size)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--data", type=Path, help="data set to compare with")
    parser.add_argument("--split", default="train")
    return parser.parse_args()


def cpu_seconds() -> float:
    """Of this process and of those it started that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def distances(folder: Path, split: str, paths: list[Path], size: int) -> None:
    data = open_dataset(folder).split(split)
    print(f"{'organ':10}{'invented':>10}{'resampled':>10}{'floor':>8}   the invented by statistic (floor)")
    for organ, several in groupby(paths, lambda path: path.name.rpartition("_")[0]):
        masks = [read_mask(path) for path in list(several)[:COMPARED]]
        real = [data.mask(item) for item in data if item.organ == organ]
        if not real:
            continue
        found = compare(organ, real, masks)
        outlines = RealNuclei(real)
        resampled = compare(organ, real, [outlines.resample(size, size, seed) for seed in range(len(masks))])
        parts = ", ".join(f"{name} {row.distance:.2f} ({row.floor:.2f})" for name, row in found.rows.items())
        print(f"{organ:10}{found.distance:10.3f}{resampled.distance:10.3f}{found.floor:8.3f}   {parts}", flush=True)


if __name__ == "__main__":
    main()
