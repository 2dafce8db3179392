"""A data set by Ray whose actors are killed at random, beside the same plan made in this process: equal bytes?

    python benchmarks/ray_kills.py [--images 1000] [--actors 3] [--kills 12] [--address HOST:PORT]

Needs Linux (the actors' processes are found in /proc) and `pip install 'sian[ray]'`. Each kill is a SIGKILL, as the
kernel sends it when memory runs out. Leaves with 1 when an image is missing or a byte differs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from sian import seeds
from sian.files import sha256_file
from sian.production import run

PLAN = {"name": "kills", "styles": ["kidney", {"style": "breast", "draw": True}], "masks": {"size": 32}, "shard": 20}


def main() -> int:
    """Make both, and compare them."""
    options = _options()
    random = seeds.generator(options.seed, "kills of actors")
    moments = set(random.choice(options.images, options.kills, replace=False).tolist())
    killed: list[int] = []

    def strike(done: int, _: int) -> None:
        if done in moments:
            moments.remove(done)
            if pids := actors():
                killed.append(int(random.choice(pids)))
                os.kill(killed[-1], signal.SIGKILL)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = folder / "kills.yaml"
        plan.write_text(json.dumps({**PLAN, "images": options.images}))  # JSON is YAML
        begun = time.perf_counter()
        outcome = run(plan, folder / "ray", workers=options.actors, ray=options.address or True, report=strike)
        by_ray = time.perf_counter() - begun
        run(plan, folder / "here", workers=0)
        same = tree(folder / "ray") == tree(folder / "here")
    print(
        f"{outcome.kept} of {options.images} images by {options.actors} actors, {len(killed)} of them killed, "
        f"{len(outcome.failed)} failed, {by_ray:.0f} s; the bytes of a local run: {same}"
    )
    return 0 if same and outcome.kept == options.images else 1


def actors() -> list[int]:
    """The process numbers of this user's Ray actors that paint."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            title = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(b"ray::_Actor"):
            found.append(int(entry.name))
    return sorted(found)


def tree(folder: Path) -> dict[str, str]:
    """SHA-256 of every file, by its path."""
    return {str(f.relative_to(folder)): sha256_file(f) for f in sorted(folder.rglob("*")) if f.is_file()}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--actors", type=int, default=3)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--address", help="of a cluster on this machine; Ray is started for this run if not given")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
