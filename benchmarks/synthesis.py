"""How fast and in how much memory the bundled model paints: 256 x 256, lists, 1000 x 1000, 4096 x 4096.

    python benchmarks/synthesis.py [--threads 2] [--model FILE] [--rounds 9] [--sides 1000 4096]

Goals: 256 x 256 px in less than 0.5 s on two cores; over a list at least 95 % of the images/s of
the bare forward pass; 4096 x 4096 px in less than 4 GB. Large images are painted in a process of their own, whose peak
memory is the kernel's number (`ru_maxrss`), with Python, torch and the model in it. Lists and the bare pass take turns,
so that their ratio survives a busy machine; seconds don't. CPU seconds, which other work hardly changes, stand beside
them; on one thread they are what an idle core would take. In the same rounds the same threads do a 3x3 convolution of
a shape that suits them (128 channels, 64 x 64 px, 4 images): the machine's peak, of which the bare pass and the
painting reach a share that hangs on the machine less than seconds do.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LIST = 4  # images a list
PEAK = (4, 128, 64)  # images, channels, side of the convolution that measures the peak


def main() -> None:
    arguments = parse_arguments()
    if arguments.child:
        print(json.dumps(large(arguments.child, arguments.model, arguments.threads)))
        return
    load = "unknown" if not hasattr(os, "getloadavg") else f"{os.getloadavg()[0]:.1f}"
    print(f"{platform.machine()}, {os.cpu_count()} cores, {arguments.threads} threads, load average {load} before")
    medians, ratios, peaks = small(arguments.model, arguments.threads, arguments.rounds)
    for clock, (one, several, bare) in medians.items():
        print(
            f"{clock} seconds (median of {arguments.rounds}): 256 x 256 {one:.3f}; of a list of {LIST}, {several:.3f} "
            f"each; bare forward pass {bare:.3f}; ratio to the bare pass {ratios[clock]:.1%}"
        )
    print(
        f"3x3 convolution {peaks['peak']:.0f} GFLOP/s; of them the bare pass reaches {peaks['bare']:.0%}, a list of "
        f"{LIST} {peaks['list']:.0%} ({peaks['flops']:.1f} GFLOP an image; CPU seconds, medians of the rounds' shares)"
    )
    for side in arguments.sides:
        command = [sys.executable, __file__, "--child", str(side), "--threads", str(arguments.threads)]
        command += ["--model", str(arguments.model)] if arguments.model else []
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(
            f"{side} x {side}: layout {found['layout']:.1f} s, painting {found['painting']:.1f} s "
            f"({found['cpu']:.1f} CPU s), peak {found['peak']:.2f} GB ({found['before']:.2f} GB before)"
        )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads")
    parser.add_argument("--model", type=Path, help="a model file instead of the bundled one")
    parser.add_argument("--rounds", type=int, default=9, help="how often the small ones are timed")
    parser.add_argument("--sides", type=int, nargs="*", default=[1000, 4096], help="px of the large images")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def small(
    path: Path | None, threads: int, rounds: int
) -> tuple[dict[str, list[float]], dict[str, float], dict[str, float]]:
    """By clock: median seconds an image (alone, in a list, bare pass), and the median of the rounds' bare by list.

    Last what they reach of the peak: GFLOP/s of the convolution, GFLOP an image, shares.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    import sian
    from sian.networks import LEVELS, noise_at, stack

    torch.set_num_threads(threads)
    model = sian.load(path)
    masks = [sian.nuclei.scatter(256, 256, seed) for seed in range(LIST)]
    layouts = [sian.describe(mask) for mask in masks]
    style = model.style(next(iter(model.styles)))
    vector = torch.from_numpy(style.vector)[None]
    generator = model.painter.generator
    noise = [
        noise_at(0, level, 0, 0, 256 >> level, 256 >> level) if block in generator.noise_blocks else None
        for block, level in enumerate(LEVELS)
    ]
    tensors = [
        stack(torch.from_numpy(lay.direction)[None], torch.from_numpy(lay.distance)[None]).contiguous(
            memory_format=torch.channels_last
        )
        for lay in layouts
    ]

    def bare() -> None:
        with torch.inference_mode():
            for tensor in tensors:
                generator(tensor, vector, noise)

    number, channels, side = PEAK
    convolution = torch.nn.Conv2d(channels, channels, 3, padding=1).to(memory_format=torch.channels_last)
    features = torch.randn(number, channels, side, side).contiguous(memory_format=torch.channels_last)

    def peak_work() -> None:
        with torch.inference_mode():
            for _ in range(10):
                convolution(features)

    with FlopCounterMode(display=False) as counter:
        bare()
    flops = counter.get_total_flops() / LIST / 1e9
    of_peak = 10 * number * 2 * 9 * channels**2 * side**2 / 1e9
    images = (1, LIST, LIST, 1)
    work = (lambda: model.synthesize(masks[0], style), lambda: model.synthesize(masks, style), bare, peak_work)
    for function in work:
        function()
    timings = [[timed(function, n) for function, n in zip(work, images, strict=True)] for _ in range(rounds)]
    medians, ratios = {}, {}
    for place, clock in enumerate(("wall", "CPU")):
        of_clock = [[seconds[place] for seconds in timing] for timing in timings]
        medians[clock] = [statistics.median(column) for column in zip(*of_clock, strict=True)][:3]
        ratios[clock] = statistics.median(bare_ / list_ for _, list_, bare_, _ in of_clock)
    cpu = [[seconds[1] for seconds in timing] for timing in timings]
    peaks = {
        "flops": flops,
        "peak": statistics.median(of_peak / convolved for *_, convolved in cpu),
        "bare": statistics.median(flops / bare_ * convolved / of_peak for _, _, bare_, convolved in cpu),
        "list": statistics.median(flops / list_ * convolved / of_peak for _, list_, _, convolved in cpu),
    }
    return medians, ratios, peaks


def large(side: int, path: Path | None, threads: int) -> dict[str, float]:
    """Seconds of layout and painting, and peak memory in GB, of one square image in this process."""
    import numpy as np
    import torch

    import sian

    torch.set_num_threads(threads)
    model = sian.load(path)
    block = sian.nuclei.scatter(512, 512, 0)
    count, step = -(-side // 512), int(block.max())
    rows = [
        np.hstack([np.where(block > 0, block + (y * count + x) * step, 0) for x in range(count)]) for y in range(count)
    ]
    mask = np.ascontiguousarray(np.vstack(rows)[:side, :side].astype(np.int32))
    del rows
    before = peak()
    start = time.perf_counter()
    layout = sian.describe(mask)
    described, cpu = time.perf_counter(), time.process_time()
    image = model.synthesize(layout, next(iter(model.styles)))
    done = time.perf_counter()
    assert image.shape == (side, side, 3)
    cpu = time.process_time() - cpu
    return {"layout": described - start, "painting": done - described, "cpu": cpu, "peak": peak(), "before": before}


def peak() -> float:
    """Peak resident memory of this process in GB (Linux counts in KiB, macOS in bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def timed(function: Callable[[], object], n: int) -> tuple[float, float]:
    """Wall and CPU seconds by image."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return (time.perf_counter() - wall) / n, (time.process_time() - cpu) / n


if __name__ == "__main__":
    main()
