"""The names that ``--style`` can ask a model for, read from its file without loading torch.

The shell offers them, and a wrong one is refused at once.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sian.cli.arguments import check_there

if TYPE_CHECKING:
    from collections.abc import Iterable

MODEL = "model.safetensors"  # the bundled one, among the assets


def complete_style(context: typer.Context, incomplete: str) -> list[str]:
    """The styles of the model that --model names, or of the bundled one, that begin like `incomplete`."""
    names = style_names(context.params.get("model"))
    return [name for name in ("all", *names) if name.startswith(incomplete.lower())]


def check_styles(wanted: Iterable[str], model: Path | None) -> None:
    """Refuse files that are not there, and organs that the model does not know, before torch is loaded.

    What else can be wrong with a style is said by the model itself.

    Args:
        wanted: what ``--style`` was given, without words such as "all".
        model: the model's file; None for the bundled one.

    Raises:
        BadInput: no such file, or no such organ; the nearest one is offered.
    """
    from sian.errors import BadInput, nearest, shown
    from sian.files.images import PICTURE_SUFFIXES

    known = style_names(model)
    for word in wanted:
        if word.lower().endswith((".json", *PICTURE_SUFFIXES)):
            check_there("file", Path(word))
            continue
        names = re.findall(r"(?:^|[+,])([^+,=]+)=", word) or [word.partition("#")[0]]
        for name in map(str.strip, names):
            if known and name.partition("/")[0].lower() not in known:
                listed = [organ for organ in known if "/" not in organ]
                raise BadInput(f"this model knows no style {shown(name)}{nearest(name, known, listed)}")


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
