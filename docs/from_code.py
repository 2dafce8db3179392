"""What pages take from the code whenever the documentation is built, so that it cannot be out of date.

python docs/from_code.py     # print the commands
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def filled(text: str) -> str:
    """A page with what belongs in it: ``<!-- commands -->`` of commands.md, ``<!-- recipes -->`` of models.md."""
    for place, made in {"<!-- commands -->": command_reference, "<!-- recipes -->": recipe_table}.items():
        if place in text:
            text = text.replace(place, made())
    return text


def recipe_table() -> str:
    """The bundled recipes and their descriptions as Markdown."""
    from sian.training.baserecipe import bundled_recipes
    from sian.training.recipe import Recipe

    rows = [f"| `{name}` | {_cell(Recipe.load(name).description)} |" for name in bundled_recipes(Recipe.folder)]
    return "\n".join(["| recipe | what it is |", "|---|---|", *rows])


def command_reference() -> str:
    """All verbs as Markdown: what each does, its arguments and options."""
    import typer.main

    from sian.cli.main import app

    return "\n\n".join(_section(words, command) for words, command in commands(typer.main.get_command(app)))


def commands(command: Any, words: tuple[str, ...] = ("sian",)) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with the words that call it."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield words, command
    for name in inner or {}:
        yield from commands(command.get_command(None, name), (*words, name))


def _section(words: tuple[str, ...], command: Any) -> str:
    context = command.make_context(" ".join(words), [], resilient_parsing=True)
    records = [parameter.get_help_record(context) for parameter in command.params if parameter.name != "help"]
    rows = [f"| {_cell(f'`{given}`')} | {_cell(what)} |" for given, what in filter(None, records)]
    lines = [f"## {' '.join(words)}", "", inspect.cleandoc(command.help or ""), ""]
    return "\n".join([*lines, "| given as | what |", "|---|---|", *rows] if rows else lines)


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


if __name__ == "__main__":
    print(command_reference())  # noqa: T201
