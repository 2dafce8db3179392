"""`sian export`: a run to a model file, also before the run is complete; or a model file written again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sian.cli import console
from sian.cli.arguments import Aliases, Kept, Storage, check_there, parse_aliases
from sian.errors import BadInput


def export(
    run: Annotated[Path, typer.Argument(help="A run's folder, made by `sian train`, or a model file, or bundled.")],
    data: Annotated[Path | None, typer.Option("--data", "-d", help="The data set that the run learned from.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="RUN/model.safetensors if not given.")] = None,
    split: Annotated[str, typer.Option(help="The split that it learned from.")] = "train",
    alias: Aliases = None,
    discriminator: Annotated[
        Kept | None,
        typer.Option(
            help="What the file keeps of the discriminator, for fine-tuning. The recipe finetune uses the whole."
        ),
    ] = None,
    storage: Annotated[
        Storage | None,
        typer.Option(help="How weights are stored: float16 if not given; int8 takes about half of that."),
    ] = None,
    metrics: Annotated[Path | None, typer.Option(help="Report of `sian evaluate --json` to keep in the file.")] = None,
    notes: Annotated[
        Path | None, typer.Option(help="Markdown that the card ends with: what people saw in its pictures.")
    ] = None,
) -> None:
    """Make a model file of a run's newest checkpoint, and its card beside it.

    It holds the weights, the style bank, and facts about the training.

    With a model file instead of a run, only what you name changes. --metrics puts numbers into the file. --storage
    stores its weights in another way: numbers measured before go, and styles fitted for the old file do not fit the new
    one. --discriminator leaves part of the discriminator out. The card is written anew, so give --notes again.
    """
    if not run.exists() and str(run) != "bundled":
        raise BadInput(f"{run}: no such run or model file, expected a run's folder or a model; check the path")
    aliases, numbers, words = parse_aliases(alias), _read_metrics(metrics), _read_notes(notes)
    if data is None and run.is_dir():
        raise BadInput("expected --data DATASET, the data set that the run learned from; its styles make the bank")
    check_there("folder", data)

    from sian.data import open_dataset
    from sian.synthesis.export import export_run, rewrite
    from sian.synthesis.load_model import bundled_model

    if str(run) == "bundled" and not run.exists():
        if output is None:
            raise BadInput("bundled: this would change the installed model; name a file of yours with --output")
        run = bundled_model()
    if run.is_file():
        if (numbers is None and not words and not storage and not discriminator) or alias or data:
            raise BadInput(
                f"{run}: is a model file, expected --metrics REPORT.json, --notes FILE, --storage or --discriminator "
                "with it and nothing else; or name a run's folder"
            )
        if not (numbers is None and storage is None and discriminator is None and output is None):
            run = rewrite(run, output or run, metrics=numbers, storage=storage, discriminator=discriminator)
        write_card(run, words)
        return
    assert data is not None  # noqa: S101 - checked above, for the type checker
    source = open_dataset(data).split(split)
    with console.progress("batch norm and style bank", "steps") as report:
        path = export_run(
            run,
            source,
            output or run / "model.safetensors",
            aliases=aliases,
            metrics=numbers,
            discriminator=discriminator,
            storage=storage or "float16",
            report=report,
        )
    write_card(path, words)


def write_card(model: Path, notes: str = "") -> None:
    """Write a model file's card beside it, ending with the notes, and say where both are."""
    from sian.files import write_text
    from sian.synthesis import load
    from sian.synthesis.card import model_card

    card = model.with_suffix(".md")
    write_text(card, model_card(load(model)) + (f"\n{_one_deeper(notes)}\n" if notes.strip() else ""))
    console.out(str(model))
    console.say(f"its card: {card}")


def _one_deeper(notes: str) -> str:
    """Notes with their headings one level down: the card has a title of its own."""
    deeper, code = [], False
    for line in notes.strip().splitlines():
        code ^= line.startswith("```")
        deeper.append(f"#{line}" if line.startswith("#") and not code else line)
    return "\n".join(deeper)


def _read_notes(path: Path | None) -> str:
    try:
        return path.read_text(encoding="utf-8") if path else ""
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: expected notes as Markdown in UTF-8, found {error}") from None


def _read_metrics(path: Path | None) -> dict[str, Any] | None:
    import json

    if path is None:
        return None
    try:
        numbers = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: expected the JSON of `sian evaluate --json`, found {error}") from None
    if not isinstance(numbers, dict):
        raise BadInput(f"{path}: expected the JSON object of `sian evaluate --json`, found {numbers!r:.60}")
    return numbers
