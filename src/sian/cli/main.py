"""The command ``sian``: its table of verbs, and what becomes of an error.

Every error is one line on stderr and an exit code: 0 done, 1 a bug, 2 usage, 3 bad input, 4 something missing
on this machine, 130 interrupted (docs/design.md, "Command line"). A verb's module imports what is heavy inside its
functions: ``sian --help`` must not load torch.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from sian.cli import (
    console,
    verb_adapt,
    verb_data,
    verb_dataset,
    verb_demo,
    verb_doctor,
    verb_evaluate,
    verb_evaluate_model,
    verb_export,
    verb_masks,
    verb_reproduce,
    verb_restyle,
    verb_segment,
    verb_studio,
    verb_style,
    verb_styles,
    verb_synthesize,
    verb_train,
    verb_weights,
)
from sian.errors import (
    EXIT_BUG,
    EXIT_USAGE,
    BadInput,
    Interrupted,
    MissingResource,
    SianError,
    SianWarning,
    dead_worker,
    first_line,
    lacks_memory,
    of_system,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HELP_WIDTH = 100  # characters, where the terminal is as wide
LONGEST = 6000  # characters of an error's line; a sentence with 20 problems has some 3,000


class _Group(TyperGroup):
    """Typer's, but for three habits of the library below it."""

    def get_command(self, context: Any, name: str) -> Any:
        """A verb; a file that may not be read is the verb's affair (3), not a wrong option (2)."""
        return _relaxed(super().get_command(context, name))

    def invoke(self, context: Any) -> Any:
        """Run a verb; the end of a file is not taken for the end of the user's patience."""
        try:
            return super().invoke(context)
        except EOFError as error:
            raise BadInput(
                f"a file ended before its content did ({first_line(error)}); copy or download it again"
            ) from error


def _relaxed(command: Any) -> Any:
    for parameter in getattr(command, "params", ()):
        described = getattr(getattr(parameter, "type_descriptor", None), "parameter_info", None)
        if described is not None:
            described.readable = False
        _name_value(parameter)
    for verb in getattr(command, "commands", {}).values():
        _relaxed(verb)
    return command


# What help calls the value of an option, by the option or else by its type, where the option does not say so itself.
_VALUES = {"--data": "DATASET", "--split": "SPLIT", "--style": "STYLE", "--set": "KEY=VALUE", "--rows": "ROWS"}
_VALUES_BY_TYPE = {"int": "N", "float": "NUMBER", "path": "PATH", "str": "TEXT"}


def _name_value(parameter: Any) -> None:
    """Call an option's value DATASET or N where typer would say ``<list[Path]>`` or ``<int range>``."""
    described = getattr(parameter, "type_descriptor", None)
    if parameter.param_type_name != "option" or parameter.is_flag or parameter.metavar:
        return
    if described is None or described.is_choice:
        return
    names = [_VALUES[option] for option in parameter.opts if option in _VALUES]
    shown = parameter.display_type(None).lower()  # <int range>, <list[path]>
    parameter.metavar = next(iter(names), None) or next(name for kind, name in _VALUES_BY_TYPE.items() if kind in shown)


app = typer.Typer(
    name="sian",
    cls=_Group,
    help="Paint nucleus masks as H&E images in any organ's style, and measure whether they are real enough.",
    rich_markup_mode=None,  # plain help starts three times as fast
    pretty_exceptions_enable=False,
)

# One line a verb: the function that is the command.
VERBS: dict[str, Callable[..., Any]] = {
    "train": verb_train.train,
    "export": verb_export.export,
    "synthesize": verb_synthesize.synthesize,
    "style": verb_style.style,
    "styles": verb_styles.styles,
    "restyle": verb_restyle.restyle,
    "studio": verb_studio.studio,
    "demo": verb_demo.demo,
    "masks": verb_masks.masks,
    "dataset": verb_dataset.dataset,
    "adapt": verb_adapt.adapt,
    "evaluate": verb_evaluate.evaluate,
    "evaluate-model": verb_evaluate_model.evaluate_model,
    "doctor": verb_doctor.doctor,
}

# One line a group of verbs: its typer app.
GROUPS: dict[str, typer.Typer] = {
    "data": verb_data.app,
    "reproduce": verb_reproduce.app,
    "segment": verb_segment.app,
    "weights": verb_weights.app,
}

for _name, _function in VERBS.items():
    app.command(_name)(_function)
for _name, _group in GROUPS.items():
    app.add_typer(_group, name=_name)


def _print_version(wanted: bool) -> None:
    if wanted:
        import sian

        console.out(f"sian {sian.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True, context_settings={"max_content_width": HELP_WIDTH})
def _options(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
    debug: Annotated[  # noqa: ARG001 - `main` has taken it already
        bool, typer.Option("--debug", help="Print the traceback of an error; works after a verb as well.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        console.out(context.get_help())


def run() -> None:
    """Run ``sian`` with the process' arguments and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a terminal may lack a letter
    _stop_as_by_ctrl_c()
    _leave(main(sys.argv[1:]))


def _leave(code: int) -> None:
    """Leave the process; at once if what Ray wants to do before that would wait for a cluster that is gone."""
    cluster = sys.modules.get("sian.production.cluster")
    if cluster is not None and cluster.lost.is_set():
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    sys.exit(code)


def _stop_as_by_ctrl_c() -> None:
    """SIGTERM, and the end of the terminal, unwind what is under way: no temporary file stays, no worker is left."""
    if threading.current_thread() is not threading.main_thread():
        return
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup's wish is respected
            signal.signal(number, signal.default_int_handler)


def main(arguments: list[str]) -> int:
    """Run ``sian`` with `arguments` and return its exit code; prints every error as one line on stderr."""
    debug, arguments = _take_debug(arguments)
    arguments = _as_named_now(arguments)
    with _warnings_as_lines(debug):
        try:
            code = app(args=arguments, prog_name="sian", standalone_mode=False)
        except Exception as error:  # noqa: BLE001 - the one place where every error ends
            if debug:
                console.say("".join(traceback.format_exception(error)).rstrip())
            code, sentence = explain(error)
            _say_error(sentence, stopped=code == Interrupted.exit_code)
            return code
        except KeyboardInterrupt:
            code = Interrupted.exit_code
    if code == Interrupted.exit_code:
        _say_error("interrupted", stopped=True)
    return code if isinstance(code, int) else 0


def _take_debug(arguments: list[str]) -> tuple[bool, list[str]]:
    """Take ``--debug`` out of the arguments wherever it stands (before a ``--``)."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    rest = [word for word in arguments[:end] if word != "--debug"] + arguments[end:]
    return len(rest) < len(arguments), rest


_PROTOCOLS = {"reconstruction": "evaluate-model", "folders": "evaluate"}


def _as_named_now(arguments: list[str]) -> list[str]:
    """``evaluate --protocol reconstruction``, as it was written once, is ``evaluate-model`` now."""
    if arguments[:1] != ["evaluate"]:
        return arguments
    for place, word in enumerate(arguments):
        option, equals, value = word.partition("=")
        if option == "--protocol":
            rest = arguments[1:place] + arguments[place + 1 + (not equals) :]
            protocol = value if equals else next(iter(arguments[place + 1 :]), "")
            if protocol in _PROTOCOLS:
                return [_PROTOCOLS[protocol], *rest]
    return arguments


def explain(error: Exception) -> tuple[int, str]:
    """The exit code and the one sentence that an error becomes."""
    if isinstance(error, SianError):
        return error.exit_code, str(error)
    if (dead := dead_worker(error)) is not None:  # torch may notice it anywhere in this process
        return dead.exit_code, str(dead)
    if isinstance(error, typer.TyperException):
        return EXIT_USAGE, _usage(error)
    if isinstance(error, typer.Abort):
        return Interrupted.exit_code, "interrupted"
    if lacks_memory(error):
        sentence = "memory ran out; try a smaller batch or smaller windows, or close other programs"
        return MissingResource.exit_code, sentence
    if isinstance(error, OSError):
        said = of_system(error)
        return said.exit_code, str(said)
    if (reason := _no_name(error)) is not None:
        return BadInput.exit_code, reason
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return EXIT_BUG, f"a bug in SIAN: {what}; please report it with what this command prints with --debug"


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "sian"
    bare = type(error).__name__ == "NoArgsIsHelpError"  # its message is the whole help
    message = "Missing command" if bare else error.format_message().rstrip(".")
    return f"{message} See `{command} --help`" if message.endswith("?") else f"{message}; see `{command} --help`"


def _no_name(error: Exception) -> str | None:
    """What to say of a name that no file can have, None for any other error."""
    if isinstance(error, ValueError) and "embedded null" in str(error):
        return "a name holds a NUL character, expected the name of a file; take it out"
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):
        return f"{str(error).removeprefix('Symlink loop from ')}: found links that lead in a circle; check the path"
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        text = str(error.object)[max(0, error.start - 40) : error.end + 20]
        return f"{text!r}: holds bytes that are not UTF-8, expected a name that every program can read; rename it"
    return None


def _say_error(sentence: str, stopped: bool = False) -> None:
    """One line; stopping on the user's wish is not an error."""
    line = " ".join(sentence.split())
    if len(line) > LONGEST:
        line = f"{line[:LONGEST]}... ({len(line) - LONGEST:,} characters more)"
    console.say(f"sian: {line}" if stopped else f"sian: error: {line}")


@contextmanager
def _warnings_as_lines(debug: bool) -> Iterator[None]:
    """Print each `SianWarning` once, as one line; keep the warnings of libraries for ``--debug``."""
    said: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG001 - the signature is Python's
        line: str | None = None,  # noqa: ARG001
    ) -> None:
        sentence = " ".join(str(message).split())
        if sentence in said:
            return
        said.add(sentence)
        where = "" if issubclass(category, SianWarning) else f"{filename}:{lineno}: {category.__name__}: "
        console.say(f"sian: warning: {where}{sentence}")

    with warnings.catch_warnings():
        if not debug and not sys.warnoptions:
            warnings.simplefilter("ignore")
        warnings.simplefilter("always", SianWarning)
        warnings.showwarning = show
        yield
