"""The HTML page of an evaluation: self-contained, no scripts, pictures as data URIs, every text escaped."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

from sian.evaluation.pictures import SEEN_COLOUR, TRUE_COLOUR, coloured, data_uri, outlined

if TYPE_CHECKING:
    from sian.evaluation.evaluate import Evaluation

SAMPLES = 9
EXTREMES = 6
COLUMNS = {"fid": "FID", "kid": "KID × 1000", "ssim": "SSIM", "dq": "DQ", "sq": "SQ", "pq": "PQ"} | {
    "aji": "AJI",
    "dice": "Dice",
    "f1": "F1",
}
SMALLER_IS_BETTER = ("fid", "kid")
UNPAIRED_SHOWN = 50

STYLE = """
:root { color-scheme: light; --ink: #1c1b22; --quiet: #67646f; --line: #e3e0e8; --accent: #7a2e72; --paper: #fff; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 1280px; padding: 24px 20px 60px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 36px 0 8px; }
p, li { max-width: 78ch; } .quiet { color: var(--quiet); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; min-width: 100%; }
th, td { padding: 6px 7px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 190px; }
thead th { color: var(--quiet); font-weight: 600; border-bottom: 2px solid var(--ink); }
tr.main td { font-weight: 700; color: var(--accent); } tr.floor td:first-child { padding-left: 22px; }
td small { display: block; font-weight: 400; font-size: 11px; color: var(--quiet); }
.warn { border-left: 4px solid #c98a00; background: #fff8e6; padding: 8px 14px; margin: 12px 0; }
.warn p { margin: 4px 0; }
.samples { display: grid; gap: 18px; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); }
figure { margin: 0; border: 1px solid var(--line); border-radius: 6px; padding: 8px; }
figure div { display: grid; gap: 4px; grid-auto-columns: 1fr; } figure img { width: 100%; height: auto; }
figure .p1 { grid-template-columns: 1fr; } figure .p3 { grid-template-columns: repeat(3, 1fr); }
figure .p2, figure .p4 { grid-template-columns: 1fr 1fr; }
figcaption { font-size: 13px; margin-top: 6px; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; } dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; } code { font-size: 13px; }
"""


def page(evaluation: Evaluation) -> str:
    """The whole page as text."""
    result = evaluation.result
    title = f"Evaluation of {result['n']} images"
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            f'<p class="quiet">{escape(_subtitle(result))}</p>',
            _warnings(result["warnings"]),
            _main_table(result),
            _part_table("By organ", result["per_organ"], "FID of so few images is dominated by their number."),
            _part_table("By tile", result["per_tile"], "Means over what was cut from one tile."),
            _samples(evaluation),
            _extremes(evaluation),
            _memorisation(result.get("memorisation")),
            _measured(result),
            "</body></html>",
        ]
    )


def _subtitle(result: dict[str, Any]) -> str:
    facts = [f"protocol: {result['protocol']}"]
    facts += [f"style: {result['style']}"] if result.get("style") else []
    facts += [f"noise: {result['noise']:g}"] if result.get("noise") is not None else []
    facts += [f"windows of {result['window']} px"] if result.get("window") else []
    return " · ".join([*facts, f"{result['n']} images against {result['n_real']} real ones"])


def _warnings(sentences: list[str]) -> str:
    if not sentences:
        return ""
    return f'<div class="warn">{"".join(f"<p>{escape(s)}</p>" for s in sentences)}</div>'


def _main_table(result: dict[str, Any]) -> str:
    shown = [key for key in COLUMNS if any(row.get(key) is not None for row in _all_rows(result))]
    head = "".join(f"<th>{COLUMNS[key]} {'↓' if key in SMALLER_IS_BETTER else '↑'}</th>" for key in shown)
    lines = [_line("these images", "", result["metrics"], result["n"], shown, "main", result["confidence_95"])]
    pooled = result["pooled"]
    if pooled:
        note = f"{pooled['tp']} nuclei found, {pooled['fp']} invented, {pooled['fn']} missed"
        lines.append(_line("pooled over all nuclei", note, pooled, result["n"], shown, ""))
    for row in result["floor_rows"]:
        prefix = "floor: " if row["what"] != "a painter to beat, not a floor" else ""
        lines.append(_line(f"{prefix}{row['name']}", row["what"], row, row["n"], shown, "floor"))
    return (
        '<h2>Numbers and their floors</h2><div class="wide"><table><thead><tr><th></th><th>n</th>'
        f"{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
        '<p class="quiet">Mask metrics are means over images; a pair of nuclei matches above an IoU of one half. '
        "Below a number: its 95 % interval, from a bootstrap over what the images were cut from.</p>"
    )


def numbers_table(result: dict[str, Any]) -> str:
    """The numbers beside their floors alone, for notebooks; `result` is an `Evaluation`'s."""
    return f"<style>td small {{ display: block; }}</style>{_main_table(result)}{_warnings(result['warnings'])}"


def _all_rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [result["metrics"], *result["floor_rows"]]


def _line(
    name: str,
    note: str,
    values: dict[str, Any],
    n: Any,
    shown: list[str],
    kind: str,
    intervals: dict[str, list[float]] | None = None,
) -> str:
    counted = " / ".join(str(part) for part in n) if isinstance(n, list) else str(n)
    small = f"<small>{escape(note)}</small>" if note else ""
    cells = "".join(f"<td>{_number(key, values.get(key), (intervals or {}).get(key))}</td>" for key in shown)
    return f'<tr class="{kind}"><td>{escape(name)}{small}</td><td>{counted}</td>{cells}</tr>'


def _number(key: str, value: Any, interval: list[float] | None = None) -> str:
    if value is None:
        return "–"
    if key == "kid":
        text = f"{1000 * value['mean']:.1f} ± {1000 * value['std']:.1f}"
    else:
        text = f"{value:.1f}" if key == "fid" else f"{value:.3f}"
    return text if interval is None else f"{text}<small>{_interval(key, *interval)}</small>"


def _interval(key: str, low: float, high: float) -> str:
    factor, digits = (1000, 1) if key == "kid" else (1, 1 if key == "fid" else 3)
    return f"[{factor * low:.{digits}f}, {factor * high:.{digits}f}]"


def _part_table(title: str, parts: dict[str, Any], note: str) -> str:
    """A row an organ, or a row a tile."""
    if not parts:
        return ""
    shown = [key for key in COLUMNS if any(row.get(key) is not None for row in parts.values())]
    head = "".join(f"<th>{COLUMNS[key]}</th>" for key in shown)
    lines = "".join(_line(name, row.get("organ") or "", row, row["n"], shown, "") for name, row in parts.items())
    return (
        f'<h2>{title}</h2><div class="wide"><table><thead><tr><th></th><th>n</th>'
        f'{head}</tr></thead><tbody>{lines}</tbody></table></div><p class="quiet">{note}</p>'
    )


def _samples(evaluation: Evaluation) -> str:
    names = evaluation.row.names
    count = min(SAMPLES, len(names))
    chosen = [names[(2 * i + 1) * len(names) // (2 * count)] for i in range(count)]
    figures = "".join(_figure(evaluation, name) for name in chosen)
    return f'<h2>Samples</h2>{_legend(evaluation)}<div class="samples">{figures}</div>'


def _legend(evaluation: Evaluation) -> str:
    parts = ["mask"] if "masks" in evaluation.collections else []
    parts += ["real image"] if evaluation.row.ssim else []
    parts += ["image judged"]
    parts += ["the same with outlines: of the mask green, of the segmenter yellow"] if evaluation.segmented else []
    return f'<p class="quiet">In reading order: {"; ".join(parts)}.</p>'


def _extremes(evaluation: Evaluation) -> str:
    """The worst and the best images by PQ, or by SSIM where there are no masks."""
    key = next((k for k in ("pq", "ssim") if any(line.get(k) is not None for line in evaluation.images)), None)
    if key is None:
        return ""
    scored = sorted((line[key], line["name"]) for line in evaluation.images if line.get(key) is not None)
    parts = []
    for title, chosen in (("Worst", scored[:EXTREMES]), ("Best", scored[::-1][:EXTREMES])):
        figures = "".join(_figure(evaluation, name) for _, name in chosen)
        parts.append(f'<h2>{title} by {COLUMNS[key]}</h2><div class="samples">{figures}</div>')
    return "".join(parts)


def _figure(evaluation: Evaluation, name: str) -> str:
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
    pictures = "".join(f'<img alt="{alt} of {escape(name)}" src="{data_uri(p)}">' for alt, p in shown)
    block = f'<div class="p{len(shown)}">{pictures}</div>'
    return f"<figure>{block}<figcaption>{_caption(evaluation, name)}</figcaption></figure>"


def _caption(evaluation: Evaluation, name: str) -> str:
    line = next(line for line in evaluation.images if line["name"] == name)
    facts = [escape(line["organ"])] if line.get("organ") else []
    facts += [f"{COLUMNS[k]} {line[k]:.2f}" for k in ("ssim", "pq", "aji") if line.get(k) is not None]
    return f"{escape(name)}<br><span class='quiet'>{' · '.join(facts)}</span>"


def _memorisation(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    flagged = found["flagged"]
    which = f": {', '.join(escape(f['name']) for f in flagged[:20])}" if flagged else ""
    return (
        "<h2>Copies of training images</h2>"
        f"<p>{len(flagged)} of {found['n']} images lie closer to a training window than {found['threshold']:.4f}, "
        f"the distance below which only {100 * found['quantile']:.0f} % of held-out real windows lie{which}.</p>"
    )


def _measured(result: dict[str, Any]) -> str:
    facts: list[tuple[str, str]] = []
    for side, source in result["inputs"].items():
        if source:
            facts.append((side, ", ".join(f"{key}: {value}" for key, value in source.items())))
    facts.append(("Inception weights", result["weights"]["inception"] or "not used"))
    facts.append(("versions", ", ".join(f"{name} {v}" for name, v in result["versions"].items())))
    facts.append(("organs", ", ".join(f"{k}: {v}" for k, v in result["organs"].items()) or "not given"))
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts)
    return f"<h2>What was measured</h2><dl>{listed}</dl>{_unpaired(result['unpaired'])}"


def _unpaired(names: list[dict[str, str]]) -> str:
    if not names:
        return "<p>Every image has its partner.</p>"
    items = "".join(f"<li>{escape(json.dumps(entry, ensure_ascii=False))}</li>" for entry in names[:UNPAIRED_SHOWN])
    more = len(names) - UNPAIRED_SHOWN
    rest = f"<li>and {more} more, all in evaluation.json</li>" if more > 0 else ""
    return f"<p>Without a partner ({len(names)}):</p><ul>{items}{rest}</ul>"
