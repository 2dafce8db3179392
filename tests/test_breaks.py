"""The list of `make mutants` is up to date: each break is one place of a file, and its tests are there."""

from __future__ import annotations

import re

import pytest

from mutants import BREAKS, ROOT, Break


@pytest.mark.parametrize("broken", BREAKS, ids=str)
def test_every_break_is_one_place(broken: Break) -> None:
    text = (ROOT / "src" / "sian" / broken.file).read_text(encoding="utf-8")
    assert text.count(broken.old) == 1
    assert broken.old != broken.new
    assert all((ROOT / test.split("::")[0]).is_file() for test in broken.tests.split())


def test_contributing_counts_them() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.split("| part | breaks |")[1].split("\n\n")[0]
    assert f"list of {len(BREAKS)}:" in text
    assert sum(map(int, re.findall(r"^\| [^|]+ \| (\d+) \|", table, re.MULTILINE))) == len(BREAKS)
