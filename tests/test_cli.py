"""Exit codes, one-sentence errors, warnings as lines, and what goes to which stream."""

import errno
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import get_args

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
        app = typer.Typer(rich_markup_mode=None, cls=cli._Group)
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
        (OSError(errno.EFBIG, "File too large"), 4, "sian: error: this file system, or a limit of this session"),
        (OSError(errno.EMFILE, "Too many open files", "x"), 4, "sian: error: x: too many files are open"),
        (OSError(errno.ELOOP, "Too many levels", "x"), 3, "sian: error: x: too many levels"),
        (OSError("of a library"), 3, "sian: error: of a library"),
        (EOFError("Compressed file ended"), 3, "sian: error: a file ended before its content did (Compressed file"),
        (ValueError("embedded null byte"), 3, "sian: error: a name holds a NUL character"),
        (
            UnicodeEncodeError("utf-8", "a\udcff.png", 1, 2, "surrogates not allowed"),
            3,
            "sian: error: 'a\\udcff.png': holds bytes that are not UTF-8",
        ),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:116] . DefaultCPUAllocator: can't allocate memory"),
            4,
            "sian: error: memory ran out",
        ),
        (RuntimeError("Symlink loop from 'a.png'"), 3, "sian: error: 'a.png': found links that lead in a circle"),
        (errors.BadInput("x" * 10**6), 3, "sian: error: xxx"),
        (errors.BadInput("a\x1b[31m\x9b\u202e.png: red"), 3, "sian: error: a\\u001b[31m\\u009b\\u202e.png: red"),
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
    assert len(err) < 7000


def test_names_of_others_give_the_terminal_no_orders(verb, capfd):
    organ = "\x1b]0;X\x07 kidney\r\x7f\u202e\ud800 µ核"

    def act() -> None:
        console.out(organ)
        console.print_json({organ: organ})
        errors.warn(organ)
        raise ZeroDivisionError(organ)

    verb(act)
    assert cli.main(["act", "--debug"]) == 1
    out, err = capfd.readouterr()
    assert not [letter for letter in out + err if not letter.isprintable() and letter != "\n"]
    assert json.loads(out.partition("\n")[2]) == {organ: organ}
    assert out.startswith(r"\u001b]0;X\u0007 kidney\u000d\u007f\u202e\ud800 µ核")


def test_what_may_not_be_read_is_the_verbs_affair(verb, capfd, tmp_path, monkeypatch):
    def act(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    verb(act)
    (tmp_path / "a.png").write_text("")
    monkeypatch.setattr(os, "access", lambda *_, **__: False)  # whoever runs the tests may read everything
    assert cli.main(["act", str(tmp_path / "a.png")]) == 3
    assert capfd.readouterr().err == f"sian: error: {tmp_path / 'a.png'}: permission denied; check the path\n"


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
        (["synthesise"], "sian: error: No such command 'synthesise'. Did you mean 'synthesize'? See `sian --help`"),
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
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_ctrl_c_and_its_kin_leave_with_130_and_one_line(name, tmp_path):
    code = (
        "import os, signal, sys, time, typer\n"
        "from sian.cli import main as cli\n"
        "from sian.files.atomic import atomic_file\n"
        "def act():\n"
        f"    with atomic_file({str(tmp_path / 'a')!r}) as part:\n"
        f"        part.write_text('half'); os.kill(os.getpid(), signal.{name}); time.sleep(9)\n"
        "app = typer.Typer(); app.callback()(lambda: None)\n"
        "app.command('act')(act)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background ignores Ctrl-C
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # and one under nohup the terminal's end
        "cli.app = app; sys.argv = ['sian', 'act']; cli.run()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (130, "sian: interrupted\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lost", [True, False])
def test_nothing_waits_for_a_cluster_that_is_gone(lost):
    code = (
        "import atexit, sys, threading, types\n"
        "from sian.cli import main as cli\n"
        "atexit.register(print, 'Ray waits')\n"
        "cluster = sys.modules['sian.production.cluster'] = types.SimpleNamespace(lost=threading.Event())\n"
        f"{lost} and cluster.lost.set()\n"
        "sys.argv = ['sian', '--frob']; cli.run()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (2, "" if lost else "Ray waits\n")


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


def _verbs(app, words=()):
    """Every command that does something, as its words."""
    import typer.main

    commands = getattr(typer.main.get_command(app) if not words else app, "commands", None)
    if commands is None:
        yield list(words)
    for name, command in (commands or {}).items():
        yield from _verbs(command, (*words, name))


@pytest.mark.parametrize("words", list(_verbs(cli.app)), ids=" ".join)
def test_every_verb_s_help_fits_one_screen(words, capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert cli.main([*words, "--help"]) == 0
    lines = lines_of(capfd.readouterr().out)
    assert len(lines) <= 40
    types = ("<list[", " range>", "<int>", "<float>", "<str>", "<path>")  # what typer calls a value that nobody named
    assert not [line for line in lines if line.lstrip().startswith("-") and any(kind in line for kind in types)]


def test_the_list_of_verbs_is_whole_sentences(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert cli.main(["--help"]) == 0
    listed = lines_of(capfd.readouterr().out.split("Commands:\n")[1])
    assert len(listed) == len(cli.VERBS) + len(cli.GROUPS)
    assert not [line for line in listed if line.endswith("...")]


def test_choices_of_the_command_line_are_those_of_the_library():
    from sian.cli import arguments
    from sian.evaluation import reconstruction
    from sian.reproduce import scales
    from sian.reproduce.table4 import segmenter_rows
    from sian.synthesis import brushes, storage
    from sian.training import device

    assert get_args(arguments.Backend) == get_args(brushes.Backend)
    assert get_args(arguments.Storage) == get_args(storage.Storage)
    assert get_args(arguments.Kept) == get_args(storage.Kept)
    assert get_args(arguments.StyleSetting) == reconstruction.STYLE_SETTINGS
    assert get_args(arguments.Precision) == (*device.PRECISIONS, device.AUTO)
    assert get_args(arguments.Scale) == tuple(scales.SCALES)
    assert get_args(arguments.Scale4) == tuple(segmenter_rows.SCALES)


WRONG_NAMES = [
    ["synthesize", "{new}.png", "-o", "{new}"],
    ["synthesize", "{mask}", "-o", "{new}", "--model", "{new}.safetensors"],
    ["style", "{new}.png"],
    ["restyle", "{new}.png", "--style", "kidney"],
    ["train", "-d", "{new}", "-o", "{new}"],
    ["train", "{new}.yaml", "-d", "{here}", "-o", "{new}"],
    ["export", "{new}"],
    ["demo", "--model", "{new}.safetensors"],
    ["dataset", "{new}.yaml", "-o", "{new}"],
    ["evaluate", "{new}", "--real", "{here}", "-o", "{new}"],
    ["evaluate-model", "--data", "{new}", "-o", "{new}"],
    ["segment", "predict", "{new}.png", "-o", "{new}"],
    ["segment", "train", "segnet", "-d", "{new}", "-o", "{new}"],
    ["segment", "evaluate", "-d", "{new}", "-o", "{new}"],
    ["reproduce", "table1", "-d", "{new}", "-o", "{new}"],
    ["reproduce", "figures", "-d", "{new}", "-o", "{new}"],
    ["reproduce", "table4", "-d", "{new}", "-o", "{new}"],
    ["studio", "{new}.png"],
    ["styles", "{new}.safetensors"],
    ["synthesize", "{mask}", "-o", "{new}", "--style", "{new}.png"],
    ["synthesize", "{mask}", "-o", "{new}", "--style", "kidney", "--style", "nosuch#3"],
    ["synthesize", "{mask}", "-o", "{new}", "--style", "kidney=1+nosuch/ffpe=2"],
    ["restyle", "{mask}", "--style", "{new}.json"],
    ["restyle", "{mask}", "--style", "nosuch"],
    ["train", "nosuch", "-d", "{here}", "-o", "{new}"],
    ["segment", "train", "nosuch", "-d", "{here}", "-o", "{new}"],
    ["dataset", "nosuch", "-o", "{new}"],
]


def test_a_wrong_name_is_said_before_torch_is_loaded(tmp_path):
    """Loading torch takes seconds; here it is impossible."""
    (tmp_path / "mask.png").write_bytes(b"")
    places = {"new": tmp_path / "nosuch", "mask": tmp_path / "mask.png", "here": tmp_path}
    commands = [[word.format(**places) for word in words] for words in WRONG_NAMES]
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from sian.cli.main import main\n"
        f"for words in {commands!r}: print('code', main(words))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines() == ["code 3"] * len(commands), result.stderr
    assert all("nosuch" in line for line in lines_of(result.stderr))
    assert len(lines_of(result.stderr)) == len(commands)


def test_styles_that_are_written_in_other_ways_are_left_to_the_model(tmp_path):
    from sian.cli.style_completion import check_styles

    (tmp_path / "a=b#1.PNG").write_bytes(b"")
    (tmp_path / "slide.ome.zarr").mkdir()
    files = [str(tmp_path / "a=b#1.PNG"), str(tmp_path / "slide.ome.zarr")]
    check_styles(["KIDNEY", " Colon/FROZEN", "lung #3", "Kidney=0.5, colon/frozen=0.5", "kidney=1=2", *files], None)


def test_the_shell_completes_styles_without_torch(tmp_path):
    from sian.cli.style_completion import style_names
    from sian.synthesis import load

    assert style_names() == sorted(set(load().styles.names))
    (tmp_path / "no.safetensors").write_bytes(b"no model")
    assert style_names(tmp_path / "no.safetensors") == style_names(tmp_path / "absent") == []
    code = "import sys; sys.modules['torch'] = None; from sian.cli.main import run; sys.argv = ['sian']; run()"
    for verb in ("synthesize a.png", "restyle a.png"):
        asked = {"_SIAN_COMPLETE": "complete_bash", "COMP_WORDS": f"sian {verb} --style kid", "COMP_CWORD": "4"}
        result = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True
        )
        assert set(result.stdout.split()) >= {"kidney", "kidney/ffpe"}
        assert "breast" not in result.stdout
