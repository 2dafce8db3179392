"""Plans and data sets of millions of images: resuming a finished one, opening one, the first image of a huge one.

    python benchmarks/millions.py [--images 1000000] [--shard 100] [--forms tar folders] [--folder FOLDER]

What is finished is simulated: the manifest says what a real one says, with made-up hashes, and each file holds a byte.
`folders` makes two files an image. Every row is a process of its own; its peak memory is the kernel's number. Goals
(issue 14): resuming 1,000,000 images in less than 10 s and 500 MB; `open_dataset` at most 0.5 KB an item.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sian
from sian.files import write_text
from sian.production import Plan, Schedule

if TYPE_CHECKING:
    from sian.production.schedule import ImageOrder

SIDE = 256
PLAN = {
    "name": "millions",
    "styles": ["kidney", {"style": "breast", "draw": True}, {"style": "colon", "to": "liver", "share": 0.5}],
    "masks": {"size": SIDE},
}
BASE = "import sian.data, sian.production; print()"
OPEN = "import sys, sian.data, sian.production; print(len(sian.data.open_dataset(sys.argv[1])))"
FIRST = (
    "import sys; from sian.production import Plan, Schedule; "
    "print(Schedule(Plan.load(sys.argv[1], {'images': '10000000'})).image(9_999_999).id)"
)


def main() -> None:
    arguments = _arguments()
    print(f"load average {os.getloadavg()[0]:.1f} before\n\n| what | seconds | CPU s | peak MB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        plan_file = Path(name) / "millions.yaml"
        plan_file.write_text(json.dumps({**PLAN, "images": arguments.images, "shard": arguments.shard}))
        row("the imports alone", "-c", BASE)
        row("the last image of a plan of 10,000,000", "-c", FIRST, str(plan_file))
        for form in arguments.forms:
            folder, plan = Path(name) / form, Plan.load(plan_file, {"form": form})
            simulate(Schedule(plan), folder)
            words = ["-m", "sian", "dataset", str(plan_file), "--set", f"form={form}", "-o", str(folder)]
            row(f"resuming {arguments.images:,} finished images, {form}", *words)
            if form == "folders":
                row(f"`open_dataset`, {arguments.images:,} items", "-c", OPEN, str(folder))


def simulate(schedule: Schedule, folder: Path) -> None:
    """A finished folder of a plan, as `sian dataset` leaves it, but for what is in the pictures."""
    plan, sha = schedule.plan, schedule.sha256
    write_text(folder / "plan.yaml", plan.dump())
    info = {"format": "sian.dataset/1", "name": plan.name, "mpp": 0.25, "synthetic": True}
    if plan.form == "folders":
        (folder / "dataset.json").write_text(json.dumps(info))
    for part in ("images", "masks", "shards"):
        (folder / part).mkdir()
    with (folder / "manifest.jsonl").open("w") as lines, (folder / "items.jsonl").open("w") as items:
        for shard in range(schedule.shards):
            orders = [schedule.image(number) for number in schedule.numbers(shard)]
            records = [facts(order) for order in orders]
            files = [f"shards/{plan.name}-{shard:06d}.tar"]
            if plan.form == "folders":
                files = [record[part] for record in records for part in ("image", "mask")]
            for file in files:
                (folder / file).write_bytes(b"x")
            more = {"synthetic": True, "licence": "CC BY-NC-SA 4.0", "plan_name": plan.name, "plan_sha256": sha}
            full = [record | more | further(order) for record, order in zip(records, orders, strict=True)]
            line: dict[str, Any] = {"shard": shard, "files": files, "bytes": [1] * len(files), "sha256": sha}
            line |= {"version": sian.__version__, "items": full, "rejected": [], "failed": []}
            lines.write(json.dumps(line, ensure_ascii=False) + "\n")
            items.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    if plan.form == "tar":
        (folder / "items.jsonl").unlink()


def facts(order: ImageOrder) -> dict[str, Any]:
    """An item's line."""
    digest = hashlib.sha256(order.id.encode()).hexdigest()
    return {
        "id": order.id,
        "image": f"images/{order.id}.png",
        "mask": f"masks/{order.id}.png",
        "organ": order.organ,
        "split": "train",
        "preparation": order.preparation,
        "mpp": 0.25,
        "width": SIDE,
        "height": SIDE,
        "nuclei": order.seed % 60,
        "overlaps": 0,
        "lost_pixels": 0,
        "dropped_regions": 0,
        "source": "synthetic: painted by bundled for the plan millions",
        "sha256_image": digest,
        "sha256_mask": digest[::-1],
        "model": order.model,
        "style": order.style.name,
        "seed": order.seed,
        "plan": order.number,
    }


def further(order: ImageOrder) -> dict[str, Any]:
    """What the manifest says beside it."""
    return {"made_from": order.mask.describe(), "noise": order.noise, "attempt": order.attempt}


def row(what: str, *words: str) -> None:
    """Run a process of Python, and print what it took."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, what
    unit = 1 if sys.platform == "darwin" else 1024
    seconds = f"{time.perf_counter() - start:.1f} | {usage.ru_utime + usage.ru_stime:.1f}"
    print(f"| {what} | {seconds} | {usage.ru_maxrss * unit / 1e6:.0f} |", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--shard", type=int, default=100, help="images a shard")
    parser.add_argument("--forms", nargs="*", choices=("tar", "folders"), default=["tar"])
    parser.add_argument("--folder", type=Path, help="where there is room; the system's temporary folder if not given")
    return parser.parse_args()


if __name__ == "__main__":
    main()
