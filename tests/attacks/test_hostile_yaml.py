"""YAML that others wrote: bombs, depths, numbers without an end; and values that no plan can have."""

from __future__ import annotations

import os
import time

import pytest
import yaml

from sian.cli.main import main
from sian.errors import BadInput
from sian.files.yamlfiles import MOST_DEPTH, parse_yaml
from sian.production import Plan


def laughs(levels: int, width: int = 9) -> str:
    """Lists of aliases of lists of aliases: width ** levels values in a few lines."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (laughs(30), "more than 200,000 values"),
        (laughs(30).replace("[", "{? [").replace("]", "]}"), "values"),
        ("base: &b {k: 1}\n" + "".join(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}' if n else '*b'] * 9)}]}}\n"
                                        for n in range(12)), "more than 200,000 values"),
        ("a: &a [*a]", "alias of what it is in"),
        ("a: &a {b: *a}", "alias of what it is in"),
        ("[" * 5000, f"more than {MOST_DEPTH} deep"),
        ("{a: " * 5000, f"more than {MOST_DEPTH} deep"),
        ("- " * 5000 + "x", f"more than {MOST_DEPTH} deep"),
        ("images: " + "9" * 5000, "a number of 5,000 characters"),
        ("images: 0x" + "f" * 5000, "a number of 5,002 characters"),
        ("images: 1" + ":59" * 3000, "a number of"),
        ("images: 1.0e+" + "9" * 5000, "a number of 5,005 characters"),
        ("date: 2026-13-45", "month must be in 1..12"),
        ("date: 2026-02-30 25:61:61", ""),
        ("a: 1\na: 2", "the key 'a' twice"),
        ("a: !!python/object/apply:os.system [x]", "could not determine a constructor"),
        ("a: !!binary 'xxxxx'", "failed to decode base64 data"),
        ('a: "\\ud800"', "half of a character"),
        ("a: *nowhere", "undefined alias"),
        ("a: [1", "expected ',' or ']'"),
        ("a: b: c", "mapping values are not allowed"),
        ("a: \x07", "special characters"),
        ("--- 1\n--- 2", "but found another document"),
        ("x" * (5 << 20), "more than 4 MB"),
    ],
)  # fmt: skip
def test_yaml_that_is_refused_at_once_and_in_few_words(text, found):
    begun = time.process_time()
    with pytest.raises(ValueError, match=r"\w") as refused:
        parse_yaml(text)
    assert found in str(refused.value)
    assert len(str(refused.value)) < 300
    assert time.process_time() - begun < 5


def test_what_is_harmless_is_read_as_the_library_reads_it():
    text = "a: &x {k: [1, 2.5, .inf, null, true]}\nb: *x\nc: {<<: *x, k: 3}\nd: 2026-02-28\n'1': one\n"
    assert parse_yaml(text) == yaml.safe_load(text)
    assert parse_yaml("") is None


VALUES = {"name": "p", "images": 10, "styles": ["kidney"], "masks": {"size": 64}}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"images": 100_000_000}, "images: input should be less than or equal to 10000000"),
        ({"images": 10**5000}, "images"),
        ({"images": [[1] * 1000] * 1000}, "images: input should be a valid integer, found [[1, 1, 1, 1, 1, 1, ...]"),
        ({"images": "x" * 100_000}, "images"),
        ({"seed": 2**64}, "seed"),
        ({"seed": -1}, "seed"),
        ({"noise": float("nan")}, "noise"),
        ({"mpp": float("inf")}, "mpp"),
        ({"mpp": 1e-300}, "mpp"),
        ({"name": "../p"}, "name"),
        ({"name": "p\n"}, "name"),
        ({"name": "p" * 100}, "name"),
        ({"split": "a\n"}, "split"),
        ({"split": "a/../b"}, "split"),
        ({"split": "s" * 1000}, "split"),
        ({"device": "meta"}, "device"),
        ({"device": "cuda:99999999999"}, "device"),
        ({"device": "cpu\n"}, "device"),
        ({"styles": [{"style": "kidney", "share": 1e308}, {"style": "breast", "share": 1e308}]}, "styles.0.share"),
        ({"styles": [{"style": "kidney", "share": 1e-320}]}, "styles.0.share"),
        ({"styles": ["kidney"] * 20_000}, "styles"),
        ({"styles": [{"style": "k=" * 50_000, "draw": True}]}, "styles.0"),
        ({"gate": {"attempts": 10**9}}, "gate.attempts"),
        ({"x" * 100_000: 1}, "unknown key 'xxx"),
        ({f"k{n}": 1 for n in range(1000)}, "and 980 more"),
        ({1: 2}, "1"),
        ({"masks": {"size": [64, 10**9]}}, "masks.size"),
    ],
)
def test_a_plan_that_cannot_be_is_one_short_sentence(changes, sentence):
    with pytest.raises(BadInput) as refused:
        Plan.parse(VALUES | changes, "p.yaml")
    assert sentence in str(refused.value)
    assert len(str(refused.value)) < 6000


@pytest.mark.parametrize(
    "changes",
    [
        {"styles": ["kidney#" + "9" * 5000]},
        {"styles": ["kidney=1e308+breast=1e308"]},
        {"styles": ["kidney=nan"]},
        {"styles": ["no such organ"]},
        {"styles": ["no-such-file.png"], "masks": {"size": 64, "source": "nuclei"}},
        {"styles": [{"style": "pipe.png", "masks": "kidney"}]},
        {"styles": [{"style": "loop.png", "masks": "kidney"}]},
        {"styles": [{"style": "a\0b.png", "masks": "kidney"}]},
        {"masks": {"source": "pipe.png"}},
        {"masks": {"source": "a\0b"}},
        {"masks": {"source": "loop.png"}},
        {"masks": {"size": 64, "fit": "a\0b.json"}},
        {"model": {"file": "pipe.png"}},
        {"model": {"file": "."}},
        {"gate": {"segmenter": "loop.png"}},
    ],
)
def test_what_a_plan_names_is_looked_at_before_anything_is_written(tmp_path, model, capsys, changes):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    values = VALUES | {"model": {"file": str(model)}} | changes
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(values))
    target = tmp_path / "deep" / "set"
    assert main(["dataset", str(tmp_path / "plan.yaml"), "-o", str(target), "--workers", "0"]) == 3
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert len(error) < 6000
    assert not target.parent.exists()


@pytest.mark.parametrize("what", ["a pipe", "a folder", "a device", "bytes"])
def test_a_plan_that_is_no_file_of_text(tmp_path, capsys, what):
    path = tmp_path / "p.yaml"
    if what == "a pipe":
        os.mkfifo(path)
    elif what == "a folder":
        path.mkdir()
    elif what == "a device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"\xff\xfe\x00")
    assert main(["dataset", str(path), "-o", str(tmp_path / "set")]) == 3
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    "change", ["images=" + "9" * 5000, "a" * 5000 + "=1", "name=[" + "[" * 200, "=", "x.y.z=" + laughs(30)]
)
def test_a_change_on_the_command_line_is_read_as_carefully(tmp_path, capsys, change):
    assert main(["dataset", "seven-organs", "-o", str(tmp_path / "set"), "--set", change]) == 3
    error = capsys.readouterr().err
    assert (error.count("\n"), len(error) < 1000) == (1, True)
