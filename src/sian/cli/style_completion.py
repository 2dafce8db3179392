"""What the shell offers after ``--style``: the names that the model knows, read without loading torch."""

from __future__ import annotations

from pathlib import Path

import typer

MODEL = "model.safetensors"  # the bundled one, among the assets


def complete_style(context: typer.Context, incomplete: str) -> list[str]:
    """The styles of the model that --model names, or of the bundled one, that begin like `incomplete`."""
    names = style_names(context.params.get("model"))
    return [name for name in ("all", *names) if name.startswith(incomplete.lower())]


def style_names(model: Path | str | None = None) -> list[str]:
    """Organs, organ/preparation and other names in a model file's header; none where it cannot be read.

    >>> "kidney" in style_names()
    True
    """
    import json
    from importlib import resources

    from safetensors import SafetensorError, safe_open

    bundled = model is None or str(model) == "bundled"
    path = resources.files("sian") / "assets" / MODEL if bundled else Path(str(model))
    try:
        with safe_open(str(path), "np") as file:
            parts = {key.removeprefix("bank.").rpartition(".")[0] for key in file.keys() if key.startswith("bank.")}  # noqa: SIM118
            aliases = json.loads((file.metadata() or {}).get("sian", "{}")).get("aliases", {})
    except (OSError, SafetensorError, ValueError, AttributeError):
        return []
    return sorted({*parts, *(part.partition("/")[0] for part in parts), *aliases})
