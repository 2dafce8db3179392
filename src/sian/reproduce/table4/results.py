"""The sheet of Table 4: means over test tiles and seeds, intervals, gains, and what to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sian.reproduce.sheets import Sheet, SheetRow
from sian.reproduce.table4.findings import findings, gain, matrices
from sian.reproduce.table4.intervals import DRAWS, interval
from sian.reproduce.table4.segmenter_rows import PASTED, ROWS, SHARE, STRONG_STAIN, TRADITIONAL, Training
from sian.reproduce.table4.synthetic import painter_tiles
from sian.reproduce.tables import Column

if TYPE_CHECKING:
    from sian.reproduce.table4.findings import Matrices
    from sian.reproduce.table4.segmenter_runs import Bench4, Scores

MEANS = ("dq", "sq", "pq", "aji")
COLUMNS = (
    *(Column(key, key.upper(), (key,)) for key in MEANS),
    Column("pq_low", "PQ from", ("pq_low",), smaller_is_better=None),
    Column("pq_high", "PQ to", ("pq_high",), smaller_is_better=None),
    Column("gain", "PQ gained", ("gain",)),
    Column("gain_low", "gain from", ("gain_low",), smaller_is_better=None),
    Column("gain_high", "gain to", ("gain_high",), smaller_is_better=None),
)


def sheet(bench: Bench4, scores: Scores) -> Sheet:
    """The table of what is done; rows that lack a seed are shown as missing."""
    known = {key: matrices(scores.done, bench.scale, key) for key in MEANS}
    names = [name for name in ROWS if name in bench.scale.rows or name in known["pq"]]
    rows = [_row(ROWS[name], bench, scores, known) for name in names]
    notes = [*findings(known["pq"], known["aji"]), *_notes(bench, scores)]
    return Sheet(
        "table4", "Table 4: segmentation learned from real and synthetic images", bench.scale.name, COLUMNS, rows, notes
    )


def _row(row: Training, bench: Bench4, scores: Scores, known: dict[str, Matrices]) -> SheetRow:
    if row.name not in known["pq"]:
        failed = any(name == row.name for name, _ in scores.failures)
        done = sum(name == row.name for name, _ in scores.done)
        why = "failed" if failed else f"{done} of {bench.scale.seeds} seeds" if done else "not run"
        return SheetRow(row.name, row.title, "missing", {}, row.paper, why)
    ours: dict[str, float | None] = {key: float(np.nanmean(known[key][row.name])) for key in MEANS}
    own = interval(known["pq"][row.name])
    ours |= {"pq_low": own.low, "pq_high": own.high}
    if row.against and (gained := gain(known["pq"], row.name, row.against)) is not None:
        ours |= {"gain": gained.mean, "gain_low": gained.low, "gain_high": gained.high}
    n = f"{len(bench.test)} tiles x {bench.scale.seeds} seeds"
    return SheetRow(row.name, row.title, "row", ours, row.paper, n, _facts(row, bench, scores))


def _facts(row: Training, bench: Bench4, scores: Scores) -> dict[str, str]:
    runs = [scores.done[row.name, seed] for seed in range(bench.scale.seeds)]
    first: dict[str, Any] = runs[0]
    return {
        "against": ROWS[row.against].title if row.against else "–",
        "network": f"{first['recipe']['network']['kind']}, {first['parameters'] / 1e6:.2f} M",
        "real tiles": str(len(first["real_tiles"])),
        "synthetic images": str(first["synthetic_tiles"] or "–"),
        "windows": f"{first['training']['images']:,} of {first['recipe']['data']['size']} px",
        "steps": f"{first['training']['steps']:,}",
        "hours a seed": f"{np.mean([run['minutes'] for run in runs]) / 60:.3f}",
        "device": first["training"].get("device", "unknown"),
        "commit": str(first["commit"]),
    }


def _tested(bench: Bench4) -> str:
    windows, tiles = bench.scale.windows, len(bench.test)
    return f"{tiles} whole test tiles" if windows is None else f"{windows} windows of each of {tiles} test tiles"


def _painter(bench: Bench4) -> str:
    """What the painter had seen: whether rows with synthetic images rest on more tiles than the others."""
    real, seen = {item.id for item in bench.train}, painter_tiles(bench.painted, bench.painter)
    few = (
        "Rows with a part of the real tiles are flattered: their painter had seen all of them, and so had the fit of "
        "the invented nuclei."
    )
    if seen is None:
        return (
            "What the synthetic images' painter had learned from is not known here (its file was not named with "
            "--model); annotated tiles beyond the real ones would flatter all rows with synthetic images."
        )
    if more := len(seen - real):
        return (
            f"The synthetic images' painter had learned from {len(seen)} annotated tiles, {more} of which no row "
            "without synthetic images sees: unlike in the paper, rows with them rest on more tiles. For the paper's "
            f"comparison name a painter that has seen the real tiles alone (--model). {few}"
        )
    return f"The synthetic images' painter had learned from the real training tiles alone, as in the paper. {few}"


def _notes(bench: Bench4, scores: Scores) -> list[str]:
    scale = bench.scale
    minutes = sum(run["minutes"] for run in scores.done.values())
    notes = [
        f"Tested on {_tested(bench)}; means over tiles, then over {scale.seeds} seeds (initial "
        "weights, windows and, where tiles are left out, which). From, to: 95 % of "
        f"{DRAWS:,} bootstrap draws of tiles and seeds; a gain is taken tile by tile and seed by seed against the row "
        f"named under 'against'. {scale.seeds} seeds are few to draw from: small differences between seeds may be "
        "underrated.",
        "All rows take equally many optimiser steps, except where the row says so. Nothing was chosen by a score.",
        f"* is the paper's traditional augmentation: {TRADITIONAL:.0%} of the windows flipped and turned, half of "
        "these blurred by a median of 3 px. Without it, windows are neither turned nor jittered. Strong stain "
        f"augmentation: haematoxylin and eosin each by up to {STRONG_STAIN:.0%}, in optical density. Copy-paste: "
        f"{PASTED} nuclei of other tiles offered to each window. With synthetic images, {SHARE:.0%} of the windows are "
        "synthetic.",
        "Three of MoNuSeg's seven styles come from frozen sections alone, as most test tiles but few training tiles "
        "do. Part of what synthetic images change may be this balance, which the row with frozen tiles counted twice "
        "has without them.",
        f"{len(scores.done)} trainings took {minutes / 60:.2f} hours in all.",
    ]
    synthetic = [run for run in scores.done.values() if run["synthetic_tiles"]]
    if synthetic:
        models = sorted({item.model[:12] for item in bench.painted if item.model})
        notes.append(f"Synthetic data: {len(bench.painted)} images painted by the model {', '.join(models)}.")
        notes.append(_painter(bench))
    notes += [scale.warning] if scale.warning else []
    notes += [f"{row}, seed {seed}, failed: {error}" for (row, seed), error in scores.failures.items()]
    return notes
