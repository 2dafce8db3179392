"""This checkout beside another commit of it: whole processes of `sian`, in pairs, in turn, on the same masks.

    python benchmarks/against.py [--other 192c8f7] [--only one large] [--rounds 5] [--threads 1]
    python benchmarks/against.py --only one large list --ours="--backend openvino"
    python benchmarks/against.py --only fp32 bf16 --weights DIR

The other commit's files are unpacked into a temporary folder; the same interpreter runs both by PYTHONPATH, with the
other commit's bundled model. `one`, `large`, `list`: `sian synthesize` of an image of 256 x 256 px, one of 1000 x 1000,
and 200 of 256 x 256. `fp32`, `bf16`: `sian train` with the recipe monuseg-plus; a run of many steps less one of few is
the cost of the steps between, since both load, save and draw samples once. Each pair runs at once after the other, and
the next pair the other way round; the median of the pairs' ratios survives a busy machine, seconds don't. CPU seconds
are the kernel's, of the process and of all that it started; on one thread they are what an idle core would take. The
first pair of `synthesize` warms the file cache and is not counted. Pictures are compared value by value.
`bf16` says something on a CPU with AVX512-BF16 or AMX only; others emulate it, fifty times slower.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from sian.data import DatasetInfo
from sian.data.writing import DatasetWriter
from sian.masks import write_mask
from sian.nuclei import scatter

HERE = Path(__file__).resolve().parents[1]
PAINTED = {"one": (1, 256), "large": (1, 1000), "list": (200, 256)}  # images, side in px
TRAINED = {"fp32": "32-true", "bf16": "bf16-mixed"}
RECIPE = "src/sian/recipes/monuseg-plus.yaml"
MODEL = "src/sian/assets/model.safetensors"
TILES, TILE_SIDE = 4, 512


@dataclass(frozen=True)
class Cost:
    """Of a process: seconds by the clock, CPU seconds, peak memory in GB."""

    wall: float
    cpu: float
    peak: float

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.wall - other.wall, self.cpu - other.cpu, self.peak)


def main() -> None:
    arguments = _arguments()
    print(
        f"{platform.machine()} with {torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} cores, "
        f"torch {torch.__version__}, {arguments.threads} thread(s), load average {os.getloadavg()[0]:.1f} before"
    )
    with tempfile.TemporaryDirectory(prefix="sian-against-") as name:
        folder = Path(name)
        other = unpacked(arguments.other, folder / "other")
        model = arguments.model or other / MODEL
        print("\n| what | this checkout, CPU s | wall | peak GB | other, CPU s | wall | peak GB | ratio CPU | wall |")
        print("|---|---|---|---|---|---|---|---|---|", flush=True)
        for what in arguments.only:
            work = folder / what
            work.mkdir()
            if what in PAINTED:
                painting(what, other, work, model, arguments)
            else:
                training(what, other, work, model, arguments)


def unpacked(commit: str, folder: Path) -> Path:
    """The files of a commit of this repository."""
    command = ["git", "-C", str(HERE), "archive", commit]
    archive = subprocess.run(command, check=True, capture_output=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def painting(what: str, other: Path, work: Path, model: Path, arguments: argparse.Namespace) -> None:
    """A row on `sian synthesize`."""
    count, side = PAINTED[what]
    for number in range(count):
        write_mask(work / "masks" / f"{number:03d}.png", scatter(side, side, seed=number))

    def run(checkout: Path, place: int) -> Cost:
        mine = shlex.split(arguments.ours) if checkout == HERE else []
        given = ["--style", arguments.style, "--model", str(model), "--threads", str(arguments.threads), *mine]
        return sian(
            checkout, ["synthesize", str(work / "masks"), "-o", str(work / f"{place}"), *given], arguments.threads
        )

    pairs = in_pairs(run, other, arguments.rounds)
    row(f"`sian synthesize`, {count} of {side} x {side} px", pairs)
    print(f"| | {differences(work / '0', work / '1')} | | | | | | | |", flush=True)


def differences(mine: Path, others: Path) -> str:
    """How far the pictures of two folders are from each other."""
    names = sorted(path.name for path in others.iterdir())
    assert names, "no pictures"
    assert names == sorted(path.name for path in mine.iterdir()), "other pictures"
    most, counts, values = 0, np.zeros(256, np.int64), 0
    for name in names:
        one, two = (np.asarray(Image.open(folder / name)).astype(np.int16) for folder in (mine, others))
        apart = np.abs(one - two)
        most, values = max(most, int(apart.max())), values + apart.size
        counts += np.bincount(apart.ravel(), minlength=256)
    share, more = 1 - counts[0] / values, counts[2:].sum() / values
    return f"pictures: at most {most} grey levels apart, {share:.1e} of the values differ, {more:.1e} by more than 1"


def training(what: str, other: Path, work: Path, model: Path, arguments: argparse.Namespace) -> None:
    """A row on `sian train`: steps of the second stage of monuseg-plus, generator and discriminator learning."""
    writer = DatasetWriter(work / "data", DatasetInfo(name="made up"))
    for number in range(TILES):
        image = np.random.default_rng(number).integers(0, 256, (TILE_SIDE, TILE_SIDE, 3), dtype=np.uint8)
        writer.add(f"tile{number}", image, scatter(TILE_SIDE, TILE_SIDE, seed=number), organ="breast", split="train")
    recipes = {steps: _recipe(other, work, steps) for steps in (arguments.few, arguments.few + arguments.steps)}
    serial = iter(range(10**6))

    def once(checkout: Path, recipe: Path) -> Cost:
        given = ["--init", str(model), "-d", str(work / "data"), "-o", str(work / f"run{next(serial)}"), "--no-export"]
        given += ["--precision", TRAINED[what], "--threads", str(arguments.threads), "--device", "cpu"]
        given += ["--weights", str(arguments.weights.resolve())] if arguments.weights else []
        return sian(checkout, ["train", str(recipe), *given], arguments.threads)

    def run(checkout: Path, place: int) -> Cost:  # noqa: ARG001 - the shape of both
        few, many = (once(checkout, recipe) for recipe in recipes.values())
        return many - few

    pairs = in_pairs(run, other, arguments.rounds, warm=0)  # the short runs warm up
    rates = [arguments.steps / statistics.median(pair[place].cpu for pair in pairs) for place in (0, 1)]
    row(f"`sian train monuseg-plus`, {what}, {arguments.steps} steps of 8 x 128 px", pairs)
    print(f"| | {rates[0]:.3f} and {rates[1]:.3f} steps per CPU second | | | | | | | |", flush=True)


def _recipe(other: Path, work: Path, steps: int) -> Path:
    """The other commit's recipe, cut to so many steps of its second stage; samples and checkpoints once, at the end."""
    recipe = yaml.safe_load((other / RECIPE).read_text())
    stage = recipe["stages"][1]
    recipe["stages"] = [{**stage, "images": steps * stage["batch"]}]
    recipe["every"] = {"journal": 10**6, "samples": 10**6, "checkpoint": 10**6}
    path = work / f"{steps}.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def in_pairs(run, other: Path, rounds: int, warm: int = 1) -> list[tuple[Cost, Cost]]:
    """Pairs of (this checkout's, the other's) costs; whichever goes first takes turns. `warm` pairs are left out."""
    pairs = []
    for number in range(warm + rounds):
        places = (0, 1) if number % 2 else (1, 0)
        costs = {place: run((HERE, other)[place], place) for place in places}
        pairs.append((costs[0], costs[1]))
    return pairs[warm:]


def sian(checkout: Path, words: list[str], threads: int) -> Cost:
    """Run the command of a checkout; its process and all that it starts."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    environment |= {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", "sian", *words], env=environment, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.exit(f"sian {' '.join(words)} of {checkout}: exit {process.returncode}\n{said.read().decode()}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e9)


def row(what: str, pairs: list[tuple[Cost, Cost]]) -> None:
    """Medians of both sides, and the median, least and greatest of the pairs' ratios: other by this."""
    mine, others = (
        tuple(statistics.median(getattr(pair[place], name) for pair in pairs) for name in ("cpu", "wall", "peak"))
        for place in (0, 1)
    )
    cpu, wall = ([getattr(b, name) / getattr(a, name) for a, b in pairs] for name in ("cpu", "wall"))
    cells = [f"{value:.2f}" for value in (*mine, *others)]
    cells += [f"{statistics.median(r):.2f} ({min(r):.2f} to {max(r):.2f})" for r in (cpu, wall)]
    print(f"| {what} | {' | '.join(cells)} |", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--other", default="192c8f7", help="a commit")
    parser.add_argument("--only", nargs="+", choices=(*PAINTED, *TRAINED), default=list(PAINTED), metavar="WHAT")
    parser.add_argument("--rounds", type=int, default=5, help="pairs that count")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--style", default="kidney")
    parser.add_argument("--model", type=Path, help="for both, instead of the other commit's bundled one")
    parser.add_argument("--ours", default="", metavar="WORDS", help="more words for this checkout's `sian synthesize`")
    parser.add_argument("--weights", type=Path, help="folder of vgg19.safetensors, for training")
    parser.add_argument("--few", type=int, default=2, help="steps of the short training run")
    parser.add_argument("--steps", type=int, default=8, help="by so many more goes the long one")
    return parser.parse_args()


if __name__ == "__main__":
    main()
