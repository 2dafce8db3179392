"""`sian styles`: what ``--style`` can ask a model for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sian.cli import console
from sian.cli.arguments import Json, check_there


def styles(
    model: Annotated[str | None, typer.Argument(help="A model file; the bundled model if not given.")] = None,
    as_json: Json = False,
) -> None:
    """List the styles that a model knows, with the training tiles behind each.

    They are organs, each organ's preparations, and other names of organs.
    """
    check_there("file", Path(model) if model else None, bundled=True)

    from sian.synthesis import load

    bank = load(model).styles
    known = {name: {"tiles": len(bank[name].tiles), "windows": bank[name].n} for name in bank.names}
    if as_json:
        console.print_json({"styles": known, "aliases": bank.aliases})
        return
    width = max((len(name) for name in known), default=0)
    console.out(f"{'style':<{width}}  tiles  windows")
    for name, entry in sorted(known.items()):
        same = f"  the same as {bank.aliases[name]}" if name in bank.aliases else ""
        console.out(f"{name:<{width}}  {entry['tiles']:>5}  {entry['windows']:>7}{same}")
