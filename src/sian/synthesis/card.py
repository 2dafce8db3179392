"""The model card: what a model file says of itself, as Markdown for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sian.synthesis.model import Model
    from sian.synthesis.modelfile import TrainingFacts

LIMITS = """\
## What it must not be used for

Diagnosis, or anything that decides about a patient. The pictures are painted; they show what the model has seen in
{tiles} tiles, not what a tissue is like. Do not publish them without saying that they are synthetic.

## What it cannot do

- Organs it has not seen: it knows {organs} and no other. Another organ's reference image is carried over by its
  colour and texture at best.
- {structure}
- Other magnifications: it was trained at {mpp} um a pixel, median nucleus {area:.0f} px; masks that are off by more
  than 2.5 times in area get a warning.
- Preparation and organ are confounded in its data where an organ was seen in one preparation only: {preparations}.
"""


GUESSED = """\
Structure that the mask does not name: glands' lumina, vessels, collagen bundles and blood are guessed from where
  nuclei lie, not placed by you."""
TOLD = """\
Structure finer than a tissue map, which says for each 16 px what is empty, how dense the rest is and how fibres run.
  Vessels, blood and small fat droplets are guessed, and without a map lumina and collagen are as well."""


def model_card(model: Model) -> str:
    """The card of a loaded model, as Markdown."""
    info, facts = model.info, model.info.training
    vector = model.painter.generator.style_dim
    style = f"style encoder {{}} M, style vector {vector}" if vector else "no style: every reference paints alike"
    size = sum(p.numel() for p in model.painter.generator.parameters())
    style = style.format(f"{sum(p.numel() for p in model.painter.encoder.parameters()) / 1e6:.1f}")
    lines = [
        f"# Model card: {info.name}",
        "",
        f"SHA-256 `{model.sha256}`, format {info.format}. Network {info.recipe.get('network', 'sian')}, generator "
        f"{size / 1e6:.1f} M parameters, {style}. Licence of weights and of what it paints: {info.licence}.",
        "",
        "## What it saw",
        "",
        f"{facts.images:,} training windows in {facts.hours:.2f} hours on {facts.device} (SIAN {facts.version}, commit "
        f"{facts.commit}). Data: {facts.data}. {len(facts.tiles)} tiles:",
        "",
        ", ".join(facts.tiles) + ".",
        "",
        *_history(facts),
        "| style | tiles | windows in the bank |",
        "|---|---|---|",
        *(f"| {name} | {len(part.tiles)} | {part.n} |" for name, part in model.styles.parts.items()),
        "",
    ]
    if info.aliases:
        names = ", ".join(f"{new} stands for {old}" for new, old in info.aliases.items())
        lines += [f"Aliases: {names}.", ""]
    if info.classes:
        lines += [f"Nuclear classes that a mask has to come with: {', '.join(info.classes)}.", ""]
    lines += ["## Numbers", "", *_numbers(info.metrics), ""]
    lines += [
        LIMITS.format(
            tiles=len(facts.tiles),
            structure=TOLD if model.takes_tissue else GUESSED,
            organs=", ".join(model.styles),
            mpp=info.mpp if info.mpp is not None else "an unknown number of",
            area=info.median_nucleus_area,
            preparations=", ".join(model.styles.parts),
        )
    ]
    return "\n".join(lines)


def _history(facts: TrainingFacts) -> list[str]:
    """What was held out, and the models that it was fine-tuned from, one paragraph each."""
    lines = [f"Held out, to see when to stop: {', '.join(facts.held_out)}.", ""] if facts.held_out else []
    base = facts.base
    while base is not None:
        before = base.training
        lines += [
            f"Fine-tuned from the model {base.name} (SHA-256 `{base.sha256}`), which had seen {before.images:,} "
            f"windows in {before.hours:.2f} hours: {len(before.tiles)} tiles of {before.data}.",
            "",
        ]
        base = before.base
    return lines


def _numbers(metrics: dict[str, Any]) -> list[str]:
    """A table of the metrics in the file beside their floors."""
    if not metrics:
        return ["None were measured."]
    values, floors = metrics.get("metrics", {}), metrics.get("floors", {})
    settings = [f"{key} {metrics[key]}" for key in ("protocol", "style", "noise") if key in metrics]
    head = f"{', '.join(settings)}; n = {metrics.get('n')}. Floors are what real images score by the same code."
    rows = [
        f"| {key} | {_number(value)} | {_number(floors.get(key))}{_floor_n(metrics, key)} |"
        for key, value in values.items()
        if _number(value) != "-"
    ]
    return [head, "", "| metric | this model | floor |", "|---|---|---|", *rows]


def _floor_n(metrics: dict[str, Any], key: str) -> str:
    """How many real images a floor stands on, e.g. " (n 480 / 224)": FID at another n is another number."""
    value = metrics.get("floors", {}).get(key)
    n = next((row.get("n") for row in metrics.get("floor_rows", []) if value and row.get(key) == value), None)
    if n is None:
        return ""
    return f" (n {' / '.join(map(str, n)) if isinstance(n, list) else n})"


def _number(value: object) -> str:
    if isinstance(value, dict):
        value = value.get("mean")
    return f"{value:.4g}" if isinstance(value, int | float) else "-"
