"""L_reg as a sum or a mean, initial weights of torch or of SPADE's code: which of the four empties the style vector?

The row `sian` of the scale `core` at half of its widths and on crops of 64 px, once for each choice, to 400, then
1,200, then 3,600 windows. A choice whose style tells no images apart at 1,200 windows, and no more than at 400, is not
gone on with. Run it again and it goes on. `--width 16 --size 128` are the scale's own, seven times as slow.

    python benchmarks/recipe_choices.py DATA RUNS --weights DIR [--windows 400,1200] [--only sum-xavier,mean-xavier]
    python benchmarks/recipe_choices.py DATA RUNS --table      # what the journals say so far, as Markdown
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from sian.data import open_dataset
from sian.data.tiles import read_tiles
from sian.reproduce.rows import ROWS
from sian.reproduce.scales import SCALES
from sian.training import Hardware, Recipe, train
from sian.training.journal import read_journal

CHOICES = {  # by name: how Eq. 2 is reduced over the D dimensions, and what the weights are drawn from
    "sum-xavier": ("sum", "xavier"),  # what is printed, on the code that the paper builds on
    "mean-xavier": ("mean", "xavier"),
    "sum-torch": ("sum", "torch"),
    "mean-torch": ("mean", "torch"),
}
MARKS = (400, 1200, 3600)  # windows
EMPTY = 0.09  # spread of a batch's styles; 256 / 2 times its square is about a nat
BATCH = 8


def main() -> None:
    """Train, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--windows", default=",".join(map(str, MARKS)))
    parser.add_argument("--only", default=",".join(CHOICES))
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print(table(options.runs))
        return
    torch.set_num_threads(1)
    tiles = read_tiles(open_dataset(options.data).split("train"))
    for windows in map(int, options.windows.split(",")):
        for name in options.only.split(","):
            if is_empty(options.runs / name):
                continue
            train(
                recipe(name, windows, options.width, options.size),
                tiles,
                options.runs / name,
                resume=True,
                hardware=Hardware("cpu", precision="32-true"),
                weights=options.weights,
            )
            print(f"{name}: {windows} windows", flush=True)


def recipe(name: str, windows: int, width: int, size: int) -> Recipe:
    """The row `sian` at `core` with one of the choices, so many windows long; every mark draws samples."""
    reduction, initialisation = CHOICES[name]
    values = ROWS["sian"].load(SCALES["core"]).scaled(width).model_dump(mode="json")
    values["losses"]["regularisation_reduction"] = reduction
    values["initialisation"] = initialisation
    values["stages"] = [{"images": windows, "size": size, "batch": BATCH}]
    values["every"] = {"journal": 80, "samples": 10 * MARKS[-1], "checkpoint": 80, "keep": 1}
    return Recipe.parse(values, name)


def is_empty(run: Path) -> bool:
    """Whether a run has shown that its style vector empties.

    Not by its nats: a mean that all images share has some.
    """
    lines = read_journal(run / "stats.jsonl")
    early, late = ([line["style_batch_spread"] for line in lines if line["images"] >= mark] for mark in MARKS[:2])
    return bool(late) and late[-1] < EMPTY and late[-1] <= early[0]


def table(runs: Path) -> str:
    """Nats, the spread of the style in a batch, and how much another style changes a painting, by windows seen."""
    keys = ("kld_nats", "style_batch_spread", "style_change")
    lines = ["| windows | choice | KLD, nats | spread of style in a batch | change by another style, grey levels |"]
    lines += ["|---|---|---|---|---|"]
    for name in CHOICES:
        for line in read_journal(runs / name / "stats.jsonl"):
            numbers = " | ".join(f"{line[key]:.3g}" if key in line else "–" for key in keys)
            lines.append(f"| {line['images']:,} | {name} | {numbers} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
