"""What making a data set costs beyond painting, Ray beside local processes, and resuming a finished plan.

    python benchmarks/dataset.py [--images 40] [--rounds 3] [--ray] [--resume PLAN FOLDER]

Bare: `model.synthesize` in a loop over masks in memory, one thread. Local: `sian dataset` with one process, from stored
masks to shards on disk, without a gate; invented masks cost some 20 ms more each. Both are timed by turns. CPU seconds
an image are those of a run of three times as many images less those of a short one: starting Python and loading the
model, which thousands of images share, are left out. They hang less on what else the machine does than seconds do.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GOAL = 0.95  # of the bare loop
RESUME_GOAL = 5.0  # seconds, 5,000 images
WARM = 3  # images before the clock


def main() -> None:
    arguments = parse_arguments()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.python_version()}")
    if arguments.resume:
        resume(*arguments.resume)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), arguments.images, arguments.rounds, arguments.ray)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=40, help="of 256 px a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ray", action="store_true", help="also by Ray, one actor on this machine")
    parser.add_argument(
        "--resume", nargs=2, metavar=("PLAN", "FOLDER"), help="time the rerun of a finished plan instead"
    )
    return parser.parse_args()


def compare(folder: Path, images: int, rounds: int, with_ray: bool) -> None:
    import torch

    import sian
    from sian.masks import write_mask

    torch.set_num_threads(1)
    model = sian.load()
    masks = [sian.nuclei.generate(256, 256, "kidney", seed) for seed in range(16)]
    for number, mask in enumerate(masks):
        write_mask(folder / "masks" / f"{number}.png", mask)
    layouts = [sian.describe(mask) for mask in masks]
    found: dict[str, list[float]] = {"bare": [], "local": [], "ray": []}
    costs: dict[str, list[float]] = {"bare": [], "local": []}
    for number in range(rounds):
        clock, cpu = time.perf_counter(), time.process_time()
        for image in range(images):  # the mask is described anew, as in a data set; its layout only spares a warning
            sian.describe(masks[image % len(masks)])
            model.synthesize(layouts[image % len(masks)], "kidney", seed=image)
        found["bare"].append(images / (time.perf_counter() - clock))
        costs["bare"].append((time.process_time() - cpu) / images)
        target = folder / f"local{number}"
        short = made(folder, target.with_name(f"{target.name}-short"), images // 2, ray=False)
        long = made(folder, target, images // 2 * 3, ray=False)
        found["local"].append(long[0])
        costs["local"].append((long[1] - short[1]) / (images // 2 * 2))
        if with_ray:
            found["ray"].append(made(folder, folder / f"ray{number}", images, ray=True)[0])
        said = ", ".join(f"{name} {rates[-1]:.3f} images/s" for name, rates in found.items() if rates)
        print(
            f"round {number + 1}: {said}; CPU s an image: bare {costs['bare'][-1]:.3f}, local {costs['local'][-1]:.3f}"
        )
    ratio = statistics.median(bare / local for bare, local in zip(costs["bare"], costs["local"], strict=True))
    print(f"local by bare, CPU seconds, median: {ratio:.1%} (goal {GOAL:.0%})")
    print(f"local by bare, images/s, median: {middle(found['local'], found['bare']):.1%}")
    if with_ray:
        print(f"Ray by local, images/s, median: {middle(found['ray'], found['local']):.1%}")


def middle(these: list[float], those: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(these, those, strict=True))


def made(folder: Path, target: Path, images: int, *, ray: bool) -> tuple[float, float]:
    """Images/s after the first few, and CPU seconds of this process and of those that it started."""
    from sian.production import Plan, run

    plan = Plan.parse(
        {"name": "b", "images": images, "styles": ["kidney"], "masks": {"source": str(folder / "masks")}}, "benchmark"
    )
    marks: dict[int, float] = {}
    cpu = cpu_seconds()
    run(plan, target, workers=1, ray=ray, report=lambda done, _: marks.update({done: time.perf_counter()}))
    return (images - WARM) / (marks[images] - marks[WARM]), cpu_seconds() - cpu


def cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def resume(plan: str, folder: str) -> None:
    """The command once more on a finished folder."""
    command = [sys.executable, "-m", "sian", "dataset", plan, "-o", folder]
    for _ in range(3):
        clock, cpu = time.perf_counter(), cpu_seconds()
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        seconds, cost = time.perf_counter() - clock, cpu_seconds() - cpu
        print(f"{seconds:.2f} s, {cost:.2f} CPU s (goal {RESUME_GOAL:.0f} s): {said}")


if __name__ == "__main__":
    main()
