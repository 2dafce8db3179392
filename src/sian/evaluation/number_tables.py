"""An evaluation's numbers as tables: of the page, and of notebooks."""

from __future__ import annotations

from typing import Any

from sian.files.templates import render

COLUMNS = {"fid": "FID", "kid": "KID × 1000", "ssim": "SSIM", "dq": "DQ", "sq": "SQ", "pq": "PQ"} | {
    "aji": "AJI",
    "dice": "Dice",
    "f1": "F1",
}
SMALLER_IS_BETTER = ("fid", "kid")


def numbers_table(result: dict[str, Any]) -> str:
    """The numbers beside their floors alone, for notebooks; `result` is an `Evaluation`'s."""
    return render("numbers.html", main=main_table(result), sentences=result["warnings"])


def main_table(result: dict[str, Any]) -> dict[str, Any]:
    """What was measured and its floors, as templates/lines.html takes it; `result` is an `Evaluation`'s."""
    all_rows = [result["metrics"], *result["floor_rows"]]
    shown = [key for key in COLUMNS if any(row.get(key) is not None for row in all_rows)]
    lines = [_line("these images", "", result["metrics"], result["n"], shown, "main", result["confidence_95"])]
    pooled = result["pooled"]
    if pooled:
        note = f"{pooled['tp']} nuclei found, {pooled['fp']} invented, {pooled['fn']} missed"
        lines.append(_line("pooled over all nuclei", note, pooled, result["n"], shown, ""))
    for row in result["floor_rows"]:
        prefix = "floor: " if row["what"] != "a painter to beat, not a floor" else ""
        lines.append(_line(f"{prefix}{row['name']}", row["what"], row, row["n"], shown, "floor"))
    return {
        "title": "Numbers and their floors",
        "heads": [f"{COLUMNS[key]} {'↓' if key in SMALLER_IS_BETTER else '↑'}" for key in shown],
        "rows": lines,
        "shown": shown,
        "note": "Mask metrics are means over images; a pair of nuclei matches above an IoU of one half. "
        "Below a number: its 95 % interval, from a bootstrap over what the images were cut from.",
    }


def part_table(title: str, parts: dict[str, Any], note: str) -> list[dict[str, Any]]:
    """A row an organ, or a row a tile; no table without any."""
    if not parts:
        return []
    shown = [key for key in COLUMNS if any(row.get(key) is not None for row in parts.values())]
    rows = [_line(name, row.get("organ") or "", row, row["n"], shown, "") for name, row in parts.items()]
    return [{"title": title, "heads": [COLUMNS[k] for k in shown], "rows": rows, "shown": shown, "note": note}]


def _line(
    name: str,
    note: str,
    values: dict[str, Any],
    n: Any,
    shown: list[str],
    kind: str,
    intervals: dict[str, list[float]] | None = None,
) -> dict[str, Any]:
    counted = " / ".join(str(part) for part in n) if isinstance(n, list) else str(n)
    cells = {}
    for key in shown:
        known = values.get(key) is not None and key in (intervals or {})
        interval = _interval(key, *(intervals or {})[key]) if known else ""
        cells[key] = {"text": _number(key, values.get(key)), "interval": interval}
    return {"name": name, "note": note, "n": counted, "kind": kind, "cells": cells}


def _number(key: str, value: Any) -> str:
    if value is None:
        return "–"
    if key == "kid":
        return f"{1000 * value['mean']:.1f} ± {1000 * value['std']:.1f}"
    return f"{value:.1f}" if key == "fid" else f"{value:.3f}"


def _interval(key: str, low: float, high: float) -> str:
    factor, digits = (1000, 1) if key == "kid" else (1, 1 if key == "fid" else 3)
    return f"[{factor * low:.{digits}f}, {factor * high:.{digits}f}]"
