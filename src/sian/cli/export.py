"""`sian export`: a run to a model file, also before the run is complete."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sian.cli import console


def export(
    run: Annotated[Path, typer.Argument(help="A run's folder, made by `sian train`.")],
    data: Annotated[Path, typer.Option("--data", "-d", help="The data set that it learned from.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="RUN/model.safetensors if not given.")] = None,
    split: Annotated[str, typer.Option(help="The split that it learned from.")] = "train",
    alias: Annotated[
        list[str] | None, typer.Option(help="Another name of an organ's style: NEW=ORGAN, e.g. lung=liver.")
    ] = None,
    metrics: Annotated[Path | None, typer.Option(help="Report of `sian evaluate --json` to keep in the file.")] = None,
) -> None:
    """Make a model file of a run's newest checkpoint: weights, style bank, facts."""
    import json

    from sian.data import open_dataset
    from sian.errors import BadInput
    from sian.files import write_text
    from sian.synthesis import load
    from sian.synthesis.card import model_card
    from sian.synthesis.export import export_run

    aliases = dict(pair.partition("=")[::2] for pair in alias or [])
    if not all(aliases) or not all(aliases.values()):
        raise BadInput(f"--alias: expected NEW=ORGAN, found {alias}; write e.g. --alias lung=liver")
    numbers = {}
    if metrics is not None:
        try:
            numbers = json.loads(metrics.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadInput(f"{metrics}: expected the JSON of `sian evaluate --json`, found {error}") from None
        if not isinstance(numbers, dict):
            raise BadInput(f"{metrics}: expected the JSON object of `sian evaluate --json`, found {numbers!r:.60}")
    source = open_dataset(data).split(split)
    with console.progress("batch norm and style bank", "steps") as report:
        path = export_run(
            run, source, output or run / "model.safetensors", aliases=aliases, metrics=numbers, report=report
        )
    card = path.with_suffix(".md")
    write_text(card, model_card(load(path)))
    console.out(f"{path} and its card {card}")
