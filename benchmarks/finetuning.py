"""The protocol of docs/results/finetune.md: one row a call, resumable, a JSON file a row, the table from these files.

    python benchmarks/finetuning.py --data DATASET --out DIR --weights DIR [ROW] [--target tnbc] [--list] [--table]

Without ROW, the first row that is not there yet. A killed row goes on where it stopped. `--table` prints what is there
and `--list` what is missing. DATASET holds the target whole, e.g. `sian data import tnbc -o DATASET`: which tiles are
learned from and which tested stands here. Rows:

    start                    the model that fine-tuning begins with, styles by its encoder
    fitted                   the same, its styles fitted to the references (`sian style`); exemplar only
    adjust-TILES             recipe `adjust`: colours alone, nothing trained
    finetune-TILES-SEED      recipe `finetune`
    finetune-slides-SEED     recipe `finetune` on windows of the training slides without their annotation

One thread. For cryonuseg give --init: a model that has not seen it (the bundled one has).
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import sian
from sian import seeds
from sian.data import Dataset, open_dataset
from sian.evaluation.agreement import agreement, summarize
from sian.evaluation.features import InceptionFeatures
from sian.evaluation.fid import fid
from sian.evaluation.kid import discrepancy_parts
from sian.evaluation.scenes import Window, cut_windows
from sian.files import write_json, write_png
from sian.files.code_and_machine import commit
from sian.layout import Layout, describe
from sian.segmentation import load as load_segmenter
from sian.synthesis.sheet import contact_sheet, mask_picture
from sian.training import Hardware, Recipe

SETTINGS = ("sibling", "exemplar")  # the style: another window of the tile, or one of a tile that was learned from
INFLUENCED = 24  # windows that are painted in a second style
SHOWN = (0, 37, 74, 111)  # windows on the sheet, not chosen by their look
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Target:
    """Which tiles are learned from, in the order in which more are taken, and how a tested one's name begins."""

    train: tuple[str, ...]
    tested: tuple[str, ...]
    development: tuple[str, ...] = ()  # in place of `tested` with --development


CRYO = ("AdrenalGland", "Larynx", "LymphNodes", "Mediastinum", "Pancreas", "Pleura", "Skin", "Testes", "Thymus")
CRYO_ORGANS = (*CRYO, "ThyroidGland")
TARGETS = {
    "tnbc": Target(
        ("07_1", "03_1", "10_1", "05_1", "09_1"),
        ("01_", "02_", "04_", "06_", "08_", "11_"),
        ("03_2", "03_3", "05_2", "05_3", "07_2", "07_3", "09_2", "09_3", "10_2", "10_3"),
    ),
    "cryonuseg": Target(
        tuple(f"Human_{organ}_01" for organ in CRYO_ORGANS[::2]),
        tuple(f"Human_{organ}_0{number}" for organ in CRYO_ORGANS for number in (2, 3)),
    ),
}
COUNTS = ("1", "3", "5")
ROWS = (
    "start",
    "fitted",
    *(f"adjust-{count}" for count in COUNTS),
    *(f"finetune-{count}-{seed}" for count in (*COUNTS[::-1], "slides") for seed in SEEDS),
)


def main() -> None:
    """Make a row, or print what is there."""
    arguments = _arguments()
    torch.set_num_threads(1)
    there = [row for row in ROWS if _path(arguments, row).is_file()]
    if arguments.table:
        print(table(arguments, there))
        return
    missing = [row for row in ROWS if not set(settings(row)) <= _known(arguments, row).keys()]
    if arguments.list:
        print("\n".join(missing))
        return
    row = arguments.row or next(iter(missing), None)
    if row not in ROWS:
        raise SystemExit("all rows are there" if row is None else f"{row}: expected one of {', '.join(ROWS)}")
    make(arguments, row)
    print(table(arguments, [*there, *({row} - set(there))]))


def settings(row: str) -> tuple[str, ...]:
    """Where a row's styles come from."""
    return SETTINGS[1:] if row == "fitted" else SETTINGS


def make(arguments: argparse.Namespace, row: str) -> None:
    """Train what a row needs, and measure what is missing of it; each setting is written when it is there."""
    known = _known(arguments, row)
    target, data = TARGETS[arguments.target], open_dataset(arguments.data)
    kind, _, rest = row.partition("-")
    count, _, seed = rest.partition("-")
    learned = _some(data, target.train[: int(count)] if count.isdigit() else target.train)
    begun = time.process_time()
    model_file: Path | None = None if arguments.init == "bundled" else Path(arguments.init)
    facts: dict[str, Any] = {"tiles": [item.id for item in learned]}
    if kind in ("adjust", "finetune"):
        run = arguments.out / arguments.target / row
        changes = dict(word.split("=", 1) for word in arguments.set) | {"seed": seed or "0"}
        slides = {"slides": [learned.folder / item.image for item in learned]} if count == "slides" else {}
        model_file = sian.train(
            Recipe.load(kind, changes),
            learned if not slides else None,
            run,
            init=arguments.init,
            resume=(run / "recipe.yaml").is_file(),
            weights=arguments.weights,
            hardware=Hardware("cpu", precision=arguments.precision),
            say=print,
            **slides,
        )
        record = json.loads((run / "stopping.json").read_text(encoding="utf-8"))
        facts |= {"chosen": record["kind"], "windows": record["best"], "looks": len(record["looks"]), "set": changes}
    facts["cpu_minutes"] = round((time.process_time() - begun) / 60, 2)
    facts["peak_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, 2)
    facts |= {"commit": commit(), "precision": arguments.precision}
    tested = target.development if arguments.development else target.tested
    held = [item for item in data.items if item.id.startswith(tested)]
    scene = Scene(Dataset(data.folder, data.info, held), _some(data, target.train), arguments.windows)
    facts = known or facts
    for setting in settings(row):
        if setting not in facts and arguments.setting in (None, setting):
            facts[setting] = measure(sian.load(model_file), scene, setting, kind == "fitted", arguments, row)
            write_json(_path(arguments, row), facts)


class Scene:
    """Windows of the tested tiles with their layouts, and windows of those that may be learned from."""

    def __init__(self, tested: Dataset, train: Dataset, a_tile: int) -> None:
        self.windows = cut_windows(tested, a_tile=a_tile)
        self.others = cut_windows(train)
        whole = {item.id: describe(tested.mask(item)) for item in tested}
        self.layouts = [self._layout(whole[window.tile], window) for window in self.windows]

    @staticmethod
    def _layout(whole: Layout, window: Window) -> Layout:
        y, x = (int(part[1:]) for part in window.name.rsplit("_", 2)[-2:])
        return whole.window(y, x, *window.image.shape[:2])

    def reference(self, setting: str, index: int, second: bool = False) -> Window:
        """Another window of the same tile, or one that may be learned from; the second is of another tile."""
        window, random = self.windows[index], seeds.generator(0, f"{setting} {second}", index)
        if setting == "exemplar":
            pool = self.others
        else:
            same = [other for other in self.windows if other.tile == window.tile and other.name != window.name]
            pool = [other for other in self.windows if other.tile != window.tile] if second else same
        if second and setting == "exemplar":
            pool = [other for other in pool if other.tile != self.reference(setting, index).tile]
        return pool[int(random.integers(len(pool)))]


def measure(
    model: Any, scene: Scene, setting: str, fitted: bool, arguments: argparse.Namespace, row: str
) -> dict[str, Any]:
    """Paint every window and compare with the real one."""
    begun, fits = time.process_time(), {}
    segmenter = load_segmenter("judge")

    def style(window: Window) -> Any:
        if not fitted:
            return model.encode(window.image)
        if window.tile not in fits:  # one a tile, of its first window: a fit takes a quarter of a minute
            first = next(other for other in scene.others if other.tile == window.tile)
            fits[window.tile] = sian.fit_style(first.image, model=model, mask=first.mask).style
        return fits[window.tile]

    def paint(index: int, second: bool = False) -> Any:
        chosen = style(scene.reference(setting, index, second))
        return model.synthesize(scene.layouts[index], chosen, seed=seeds.derive(0, "finetuning", index))

    painted = [paint(index) for index in range(len(scene.windows))]
    real = [window.image for window in scene.windows]
    extract = InceptionFeatures.load(arguments.weights)
    features = extract.cached(real, arguments.out / "features"), extract(painted)
    kid, parts = discrepancy_parts(*features)
    found = [agreement(w.mask, segmenter.predict(image)) for w, image in zip(scene.windows, painted, strict=True)]
    colours = [abs(a.mean((0, 1)) - b.mean((0, 1))).mean() for a, b in zip(painted, real, strict=True)]
    step = max(1, len(painted) // INFLUENCED)
    changes = [abs(paint(n, True).astype(float) - painted[n]).mean() for n in range(0, len(painted), step)]
    shown = [n for n in SHOWN if n < len(painted)]
    rows = [[mask_picture(scene.windows[n].mask), real[n], painted[n]] for n in shown]
    sheet = contact_sheet(rows, ["mask", "real", f"{row}, {setting}"])
    write_png(arguments.out / arguments.target / f"{row}-{setting}.png", sheet, {"Description": "synthetic H&E (SIAN)"})
    return {
        "n": len(painted),
        "kid": kid,
        "parts": [round(part, 6) for part in parts],
        "fid": fid(*features),
        "colour": float(np.mean(colours)),
        **{key: value for key, value in summarize(found)[0].items() if key in ("dq", "sq", "pq")},
        "influence": float(np.mean(changes)),
        "measuring_cpu_minutes": round((time.process_time() - begun) / 60, 2),
    }


def table(arguments: argparse.Namespace, rows: list[str]) -> str:
    """The rows as Markdown; KID's difference from `fitted` (or `start`) with two paired standard errors."""
    made = {row: json.loads(_path(arguments, row).read_text(encoding="utf-8")) for row in rows}
    lines = [
        "| row | style | n | KID x 1000 | against base | FID | colour | DQ | SQ | PQ | influence | chosen | min |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for setting in SETTINGS:
        base = next((made[row][setting] for row in ("fitted", "start") if setting in made.get(row, {})), None)
        for row, facts in made.items():
            if setting not in facts:
                continue
            found = facts[setting]
            numbers = [f"{found[key]:.3f}" for key in ("dq", "sq", "pq")]
            what = f"{facts['chosen']} ({facts['windows']})" if "chosen" in facts else ""
            cells = [row, setting, found["n"], f"{1000 * found['kid']:.1f}", _difference(found, base)]
            cells += [f"{found['fid']:.1f}", f"{found['colour']:.1f}", *numbers, f"{found['influence']:.1f}", what]
            lines.append("| " + " | ".join(map(str, [*cells, facts["cpu_minutes"] or ""])) + " |")
    return "\n".join(lines)


def _difference(found: dict[str, Any], base: dict[str, Any] | None) -> str:
    if base is None or found is base:
        return ""
    each = np.subtract(found["parts"], base["parts"])
    error = 4 * each.std(ddof=1) / len(each) ** 0.5
    change = found["kid"] - base["kid"]
    return f"{1000 * change:+.1f} ± {1000 * error:.1f} ({change / base['kid']:+.0%})"


def _some(data: Dataset, names: tuple[str, ...]) -> Dataset:
    by_name = {item.id: item for item in data.items}
    return Dataset(data.folder, data.info, [by_name[name] for name in names])


def _known(arguments: argparse.Namespace, row: str) -> dict[str, Any]:
    path = _path(arguments, row)
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _path(arguments: argparse.Namespace, row: str) -> Path:
    path: Path = arguments.out / arguments.target / f"{row}.json"
    return path


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("row", nargs="?", help="e.g. finetune-5-0")
    parser.add_argument("--data", type=Path, required=True, help="the target's data set, whole")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--target", choices=TARGETS, default="tnbc")
    parser.add_argument("--init", default="bundled")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--windows", type=int, default=4, help="of each tested tile, at most")
    parser.add_argument("--setting", choices=SETTINGS, help="measure this one alone for now")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the recipe; in the JSON")
    parser.add_argument("--development", action="store_true", help="other tiles of the training slides are tested")
    parser.add_argument("--list", action="store_true", help="print the rows that are missing")
    parser.add_argument("--table", action="store_true", help="print what is there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
