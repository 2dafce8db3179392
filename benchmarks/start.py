"""How long `import sian` and `sian --help` take: goals 0.3 s and 0.5 s.

.venv/bin/python benchmarks/start.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

GOALS = {"import sian": 0.3, "sian --help": 0.5}
COMMANDS = {
    "python": [sys.executable, "-c", "pass"],
    "import sian": [sys.executable, "-c", "import sian"],
    "sian --help": [sys.executable, "-m", "sian", "--help"],
}
RUNS = 11


def seconds(command: list[str]) -> float:
    """Median wall time of a fresh process, after one that warms the disk's cache."""
    times = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main() -> None:
    print(f"{'':14}{'seconds':>8}{'goal':>6}")
    for name, command in COMMANDS.items():
        goal = GOALS.get(name)
        print(f"{name:14}{seconds(command):8.3f}{goal if goal else '':>6}")


if __name__ == "__main__":
    main()
