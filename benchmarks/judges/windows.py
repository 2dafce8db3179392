"""The real windows of a data set's test tiles as PNG, by the protocol's names: what a judge's floor is measured on.

python benchmarks/judges/windows.py data/monuseg runs/windows
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sian.data import open_dataset
from sian.evaluation.scenes import cut_windows
from sian.files import write_png


def main() -> None:
    """Cut and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", default="test")
    options = parser.parse_args()
    for window in cut_windows(open_dataset(options.data).split(options.split)):
        write_png(options.out / f"{window.name}.png", window.image)


if __name__ == "__main__":
    main()
