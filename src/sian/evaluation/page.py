"""The HTML page of an evaluation: self-contained, no scripts, pictures as data URIs; see templates/page.html."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sian.evaluation.number_tables import COLUMNS, main_table, part_table
from sian.evaluation.pictures import SEEN_COLOUR, TRUE_COLOUR, coloured, data_uri, outlined
from sian.files.templates import render

if TYPE_CHECKING:
    from sian.evaluation.evaluate import Evaluation

SAMPLES = 9
EXTREMES = 6
UNPAIRED_SHOWN = 50


def page(evaluation: Evaluation) -> str:
    """The whole page as text."""
    result = evaluation.result
    names = evaluation.row.names
    count = min(SAMPLES, len(names))
    chosen = [names[(2 * i + 1) * len(names) // (2 * count)] for i in range(count)]
    return render(
        "page.html",
        title=f"Evaluation of {result['n']} images",
        subtitle=_subtitle(result),
        sentences=result["warnings"],
        tables=[
            main_table(result),
            *part_table("By organ", result["per_organ"], "FID of so few images is dominated by their number."),
            *part_table("By tile", result["per_tile"], "Means over what was cut from one tile."),
        ],
        legend=_legend(evaluation),
        samples=[_figure(evaluation, name) for name in chosen],
        extremes=_extremes(evaluation),
        copies=_copies(result.get("memorisation")),
        facts=_facts(result),
        unpaired=_unpaired(result["unpaired"]),
        unpaired_count=len(result["unpaired"]),
    )


def _subtitle(result: dict[str, Any]) -> str:
    facts = [f"protocol: {result['protocol']}"]
    facts += [f"style: {result['style']}"] if result.get("style") else []
    facts += [f"noise: {result['noise']:g}"] if result.get("noise") is not None else []
    facts += [f"windows of {result['window']} px"] if result.get("window") else []
    return " · ".join([*facts, f"{result['n']} images against {result['n_real']} real ones"])


def _legend(evaluation: Evaluation) -> str:
    parts = ["mask"] if "masks" in evaluation.collections else []
    parts += ["real image"] if evaluation.row.ssim else []
    parts += ["image judged"]
    parts += ["the same with outlines: of the mask green, of the segmenter yellow"] if evaluation.segmented else []
    return "; ".join(parts)


def _extremes(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The worst and the best images by PQ, or by SSIM where there are no masks."""
    key = next((k for k in ("pq", "ssim") if any(line.get(k) is not None for line in evaluation.images)), None)
    if key is None:
        return []
    scored = sorted((line[key], line["name"]) for line in evaluation.images if line.get(key) is not None)
    return [
        {"title": f"{title} by {COLUMNS[key]}", "figures": [_figure(evaluation, name) for _, name in chosen]}
        for title, chosen in (("Worst", scored[:EXTREMES]), ("Best", scored[::-1][:EXTREMES]))
    ]


def _figure(evaluation: Evaluation, name: str) -> dict[str, Any]:
    collections = evaluation.collections
    image = collections["fake"].read(name)
    masks = collections.get("masks")
    mask = masks.read(name) if masks is not None and name in masks else None
    shown = [("mask", coloured(mask))] if mask is not None else []
    if name in collections["real"]:
        shown.append(("real image", collections["real"].read(name)))
    shown.append(("image judged", image))
    if name in evaluation.segmented and mask is not None:
        seen = outlined(outlined(image, mask, TRUE_COLOUR), evaluation.segmented[name], SEEN_COLOUR)
        shown.append(("outlines", seen))
    line = next(line for line in evaluation.images if line["name"] == name)
    facts = [line["organ"]] if line.get("organ") else []
    facts += [f"{COLUMNS[k]} {line[k]:.2f}" for k in ("ssim", "pq", "aji") if line.get(k) is not None]
    return {"name": name, "facts": facts, "pictures": [{"alt": alt, "uri": data_uri(p)} for alt, p in shown]}


def _copies(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    flagged = found["flagged"]
    which = f": {', '.join(f['name'] for f in flagged[:20])}" if flagged else ""
    return (
        f"{len(flagged)} of {found['n']} images lie closer to a training window than {found['threshold']:.4f}, "
        f"the distance below which only {100 * found['quantile']:.0f} % of held-out real windows lie{which}."
    )


def _facts(result: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [
        (side, ", ".join(f"{key}: {value}" for key, value in source.items()))
        for side, source in result["inputs"].items()
        if source
    ]
    facts.append(("Inception weights", result["weights"]["inception"] or "not used"))
    facts.append(("versions", ", ".join(f"{name} {v}" for name, v in result["versions"].items())))
    facts.append(("organs", ", ".join(f"{k}: {v}" for k, v in result["organs"].items()) or "not given"))
    return facts


def _unpaired(names: list[dict[str, str]]) -> list[str]:
    items = [json.dumps(entry, ensure_ascii=False) for entry in names[:UNPAIRED_SHOWN]]
    more = len(names) - UNPAIRED_SHOWN
    return [*items, f"and {more} more, all in evaluation.json"] if more > 0 else items
