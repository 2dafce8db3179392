"""Exit codes, one-sentence errors, warnings as lines, and what goes to which stream."""

import errno
import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import typer

from sian import errors
from sian.cli import console
from sian.cli import main as cli


@pytest.fixture
def verb(monkeypatch):
    """Make a command line whose only verb runs a given function."""

    def install(function):
        app = typer.Typer(rich_markup_mode=None)
        app.callback()(lambda: None)
        app.command("act")(function)
        monkeypatch.setattr(cli, "app", app)

    return install


def raising(error):
    def act() -> None:
        raise error

    return act


def lines_of(text):
    return text.splitlines()


@pytest.mark.parametrize(
    ("error", "code", "start"),
    [
        (errors.BadInput("a.png: not a mask"), 3, "sian: error: a.png: not a mask"),
        (errors.MissingResource("no weights"), 4, "sian: error: no weights"),
        (
            errors.Interrupted("stopped at step 7; resume with --resume"),
            130,
            "sian: stopped at step 7",
        ),
        (KeyboardInterrupt(), 130, "sian: interrupted"),
        (typer.Abort(), 130, "sian: interrupted"),
        (MemoryError(), 4, "sian: error: memory ran out"),
        (
            OSError(errno.ENOSPC, "No space left on device", "x.png"),
            4,
            "sian: error: x.png: the disk is full",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "x.png"),
            3,
            "sian: error: x.png: permission denied",
        ),
        (
            ZeroDivisionError("division\nby zero"),
            1,
            "sian: error: a bug in SIAN: ZeroDivisionError: division by zero",
        ),
    ],
)
def test_each_error_is_one_line_and_a_code(verb, capfd, error, code, start):
    verb(raising(error))
    assert cli.main(["act"]) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert len(lines_of(err)) == 1
    assert err.startswith(start)


def test_a_bug_asks_for_a_report_and_debug_shows_the_traceback(verb, capfd):
    verb(raising(ZeroDivisionError("x")))
    for arguments in (["--debug", "act"], ["act", "--debug"]):
        assert cli.main(arguments) == 1
        err = capfd.readouterr().err
        assert "Traceback" in err
        assert "ZeroDivisionError" in err
        assert "please report it" in lines_of(err)[-1]


def test_debug_after_two_dashes_is_a_file_name(verb, capfd):
    def act(name: str) -> None:
        console.out(name)

    verb(act)
    assert cli.main(["act", "--", "--debug"]) == 0
    assert capfd.readouterr().out == "--debug\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--frob"], "sian: error: No such option: --frob; see `sian --help`"),
        (["frob"], "sian: error: No such command 'frob'; see `sian --help`"),
        (["weights"], "sian: error: Missing command; see `sian weights --help`"),
        (["doctor", "--jsno"], "sian: error: No such option: --jsno"),
        (["weights", "import"], "sian: error: Missing argument 'FILE'; see `sian weights import --help`"),
    ],
)
def test_usage_errors_leave_with_two(capfd, arguments, sentence):
    assert cli.main(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert len(lines_of(err)) == 1
    assert err.startswith(sentence)


def test_a_group_without_a_verb_is_one_line_even_where_it_shows_help(verb, capfd, monkeypatch):
    group = typer.Typer(no_args_is_help=True)
    group.command("a")(lambda: None)
    group.command("b")(lambda: None)
    monkeypatch.setattr(cli, "app", group)
    assert cli.main([]) == 2
    assert lines_of(capfd.readouterr().err) == ["sian: error: Missing command; see `sian --help`"]


def test_a_verb_may_choose_its_code(verb):
    verb(raising(typer.Exit(4)))
    assert cli.main(["act"]) == 4


def test_what_a_verb_returns_is_no_exit_code_unless_it_is_a_number(verb):
    verb(lambda: "text")
    assert cli.main(["act"]) == 0


def test_warnings_of_ours_are_lines_said_once_and_others_wait_for_debug(verb, capfd, monkeypatch):
    monkeypatch.setattr(sys, "warnoptions", [])

    def act() -> None:
        for _ in range(3):
            errors.warn("the median area is 3.1 times\nwhat the model saw")
        warnings.warn("of a library", DeprecationWarning, stacklevel=1)
        console.out("done")

    verb(act)
    assert cli.main(["act"]) == 0
    out, err = capfd.readouterr()
    assert out == "done\n"
    assert lines_of(err) == ["sian: warning: the median area is 3.1 times what the model saw"]


def test_warnings_of_libraries_are_shown_with_debug(verb, capfd):
    def act() -> None:
        warnings.simplefilter("always")
        warnings.warn("of a library", DeprecationWarning, stacklevel=1)

    verb(act)
    assert cli.main(["act", "--debug"]) == 0
    assert "DeprecationWarning: of a library" in capfd.readouterr().err


def test_version_and_help(capfd):
    assert cli.main(["--version"]) == 0
    assert capfd.readouterr().out.startswith("sian ")
    assert cli.main([]) == 0
    bare = capfd.readouterr().out
    assert cli.main(["--help"]) == 0
    assert capfd.readouterr().out == bare
    assert "doctor" in bare


@pytest.mark.parametrize("name", [*cli.VERBS, *cli.GROUPS])
def test_every_verb_has_a_line_of_help(capfd, name):
    assert cli.main([name, "--help"]) == 0
    out = capfd.readouterr().out
    assert len(out.split("Options:")[0].splitlines()) >= 3
    assert "Args:" not in out


def test_module_and_script_are_the_same_program():
    result = subprocess.run([sys.executable, "-m", "sian", "--frob"], capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr == "sian: error: No such option: --frob; see `sian --help`\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_leaves_with_130_and_one_line():
    code = (
        "import os, signal, sys, typer\n"
        "from sian.cli import main as cli\n"
        "app = typer.Typer(); app.callback()(lambda: None)\n"
        "app.command('act')(lambda: os.kill(os.getpid(), signal.SIGINT))\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background ignores Ctrl-C
        "cli.app = app; sys.argv = ['sian', 'act']; cli.run()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (130, "sian: interrupted\n")
    assert signal.SIGINT == 2


def test_json_says_null_for_nan_and_takes_arrays_and_paths(capfd):
    console.print_json({"a": float("nan"), 2: np.float32(0.5), "p": Path("x"), "l": (np.arange(2), {1}), "s": "µ"})
    out = capfd.readouterr().out
    assert json.loads(out) == {"a": None, "2": 0.5, "p": "x", "l": [[0, 1], [1]], "s": "µ"}
    with pytest.raises(TypeError, match="object"):
        console.print_json(object())


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def test_progress_in_a_log_is_a_line_now_and_then_and_one_at_the_end(capfd, clock):
    with console.progress("painting") as report:
        for done in range(1, 31):
            clock[0] += 1.0
            report(done, 30)
        report(30, 30)
    out, err = capfd.readouterr()
    assert out == ""
    assert lines_of(err) == [
        "painting: 10 of 30, 1 images/s, 20 s left",
        "painting: 20 of 30, 1 images/s, 10 s left",
        "painting: 30 images in 30 s, 1 images/s",
    ]


def test_progress_without_a_total_counts(capfd, clock):
    with console.progress("reading", unit="tiles") as report:
        clock[0] += 1000
        report(20, 0)
    assert lines_of(capfd.readouterr().err) == ["reading: 20 tiles, 1.2 tiles/min"]


def test_progress_on_a_terminal_is_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with console.progress("painting [1]") as report:
        report(3, 12)
        report(12, 12)
    out, err = capsys.readouterr()
    assert out == ""
    assert "painting [1]" in err
    assert "12/12" in err
    assert "images/s" in err


def test_doctor_as_json_and_as_text_agree(capfd):
    code = cli.main(["doctor", "--json"])
    facts = json.loads(capfd.readouterr().out)
    assert facts["format"] == "sian.doctor/1"
    assert code == (4 if any(problem["stops_synthesis"] for problem in facts["problems"]) else 0)
    assert facts["packages"]["numpy"]["installed"] == np.__version__
    assert cli.main(["doctor"]) == code
    text = capfd.readouterr().out
    assert all(problem["what"] in text and problem["advice"] in text for problem in facts["problems"])
