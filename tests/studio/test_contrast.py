"""The page is legible in both themes: WCAG 2.1, 1.4.3 (text, 4.5 : 1) and 1.4.11 (edges and marks, 3 : 1)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import sian.studio_app

STYLE = Path(sian.studio_app.__file__).parent / "page" / "style.css"
TEXT = [
    *(("ink", ground) for ground in ("paper", "raised", "stage", "soft", "bad-soft")),
    *(("quiet", ground) for ground in ("paper", "raised", "stage", "soft")),
    *(("bad", ground) for ground in ("paper", "raised")),
    ("on-accent", "accent"),
]
MARKS = [(mark, ground) for mark in ("accent", "edge") for ground in ("paper", "raised", "stage")]


def colours(theme: str) -> dict[str, str]:
    """The theme's variables; the dark one keeps what it does not name."""
    text = STYLE.read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root[^{]*\{(.*?)\}", text, re.S)
    )
    return light if theme == "light" else {**light, **dark}


def luminance(colour: str) -> float:
    """Relative luminance as WCAG defines it."""
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, two: str) -> float:
    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_formula_is_wcags() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the example everyone quotes


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrasts(theme: str) -> None:
    known = colours(theme)
    low = [
        f"{one} on {two}: {found:.2f}, expected {least}"
        for pairs, least in ((TEXT, 4.5), (MARKS, 3.0))
        for one, two in pairs
        if (found := contrast(known[one], known[two])) < least
    ]
    assert not low


def test_what_can_be_typed_into_has_an_edge_that_shows() -> None:
    rule = re.search(r"\nbutton, select, input[^{]*\{(.*?)\}", STYLE.read_text(encoding="utf-8"), re.S)
    assert rule is not None
    assert "border: 1px solid var(--edge)" in rule[1]
