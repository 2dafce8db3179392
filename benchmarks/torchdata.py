"""Samples a second of `sian.torch_dataset`: painted on the fly against the bare forward pass, and against reading.

    python benchmarks/torchdata.py [--count 24] [--rounds 2] [--workers 0 1 2]

Images of 256 x 256 px by the bundled model, masks from a folder. The same images are then read from a data set and from
a shard. Each contender has its turn in each round, in one process and its workers; the best round counts, because other
work only ever slows one down. A loader's clock starts with its first batch and leaves that out: starting workers and
loading the model there is told apart. CPU seconds are those of the process and its workers together.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import resource
import tarfile
import tempfile
import time
from pathlib import Path

import torch

import sian
from sian.data import DatasetInfo, DatasetWriter
from sian.files import encode_png
from sian.masks import encode_mask_png, write_mask
from sian.networks import LEVELS, noise_at, stack

SIDE, BATCH = 256, 4
PASSES = 20  # over the images on disk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--only", default="", help="only contenders with this in their name, e.g. read")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, load average {load} before")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        painted = make_masks(folder / "masks", arguments.count)
        write_copies(painted, folder)
        sources = {"painted on the fly": painted}
        length = PASSES * arguments.count
        for kind in ("data set", "shard"):
            sources[f"read from a {kind}"] = sian.torch_dataset(folder / kind, keep=0, length=length)
        sources = {title: data for title, data in sources.items() if arguments.only in title}
        rows: dict[str, list[tuple[float, float, float]]] = {}
        for _ in range(arguments.rounds):
            rows.setdefault("bare forward pass", []).append(bare(arguments.count // 3))
            for kind, data in sources.items():
                for workers in arguments.workers:
                    rows.setdefault(f"{kind}, {workers} workers", []).append(loaded(data, workers))
    reference = max(rate for rate, _, _ in rows["bare forward pass"])
    for title, rounds in rows.items():
        rate, cpu, start = max(rounds)
        print(f"{title:36}{rate:9.2f} images/s{rate / reference:9.2f} x bare{cpu:9.3f} CPU s{start:7.1f} s to start")


def make_masks(folder: Path, count: int) -> sian.torchdata.TorchDataset:
    folder.mkdir()
    for number in range(count):
        write_mask(folder / f"{number:05}.png", sian.nuclei.generate(SIDE, SIDE, "kidney", number))
    return sian.torch_dataset(folder, styles="kidney", keep=0)


def write_copies(painted: sian.torchdata.TorchDataset, folder: Path) -> None:
    """The same images as a data set and as a shard."""
    writer = DatasetWriter(folder / "data set", DatasetInfo(name="copies", synthetic=True))
    (folder / "shard").mkdir()
    with tarfile.open(folder / "shard" / "00000.tar", "w") as archive:
        for number in range(len(painted)):
            pixels, ids = painted[number]
            image, mask = pixels.permute(1, 2, 0).numpy(), ids.numpy()
            writer.add(f"{number:05}", image, mask)
            members = {
                "image.png": encode_png(image),
                "mask.png": encode_mask_png(mask),
                "json": json.dumps({}).encode(),
            }
            for end, content in members.items():
                entry = tarfile.TarInfo(f"{number:05}.{end}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))


def bare(count: int) -> tuple[float, float, float]:
    """The generator alone on one thread, layouts and noise made before."""
    model = sian.load()
    generator, vector = model.painter.generator, torch.from_numpy(model.style("kidney").vector)[None]
    noise = [
        noise_at(0, level, 0, 0, SIDE >> level, SIDE >> level) if block in generator.noise_blocks else None
        for block, level in enumerate(LEVELS)
    ]
    layouts = [sian.describe(sian.nuclei.generate(SIDE, SIDE, "kidney", number)) for number in range(count)]
    tensors = [
        stack(torch.from_numpy(each.direction)[None], torch.from_numpy(each.distance)[None]).contiguous(
            memory_format=torch.channels_last
        )
        for each in layouts
    ]
    with torch.inference_mode():
        generator(tensors[0], vector, noise)
        start, before = time.perf_counter(), cpu_seconds()
        for tensor in tensors:
            generator(tensor, vector, noise)
        seconds = time.perf_counter() - start
    return count / seconds, (cpu_seconds() - before) / count, 0.0


def loaded(data: sian.torchdata.TorchDataset, workers: int) -> tuple[float, float, float]:
    """Images/s after the first batch, CPU seconds an image over all, seconds to the first batch."""
    before, start = cpu_seconds(), time.perf_counter()
    # one batch ahead of time a worker: otherwise most of a short run is done before the clock starts
    ahead = {"prefetch_factor": 1} if workers else {}
    batches = iter(data.loader(BATCH, num_workers=workers, **ahead))
    next(batches)
    first = time.perf_counter()
    rest = sum(len(mask) for _, mask in batches)
    return rest / (time.perf_counter() - first), (cpu_seconds() - before) / len(data), first - start


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


if __name__ == "__main__":
    main()
