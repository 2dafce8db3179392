"""Every row at every scale is a recipe that can be trained; the paper's numbers are the printed ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sian.errors import BadInput
from sian.reproduce.rows import _ALL, rows_named
from sian.reproduce.scales import SCALES, scale_named
from sian.reproduce.tables import ORGANS, TABLES, table_named


@pytest.mark.parametrize("scale", SCALES.values(), ids=lambda scale: scale.name)
@pytest.mark.parametrize("row", _ALL, ids=lambda row: row.name)
def test_every_row_has_a_recipe_at_every_scale(row, scale):
    recipe = row.load(scale, seed=3)
    assert recipe.seed == 3
    assert recipe.network == row.network
    assert recipe.generator.base_width == (scale.width or 64)
    if scale.name == "paper":
        published = type(recipe).load(row.recipe, row.changes).model_dump(exclude={"name", "seed"})
        assert recipe.model_dump(exclude={"name", "seed"}) == published
    if scale.name == "tiny":
        pixels = sum(stage.images * stage.size**2 for stage in recipe.stages)
        assert pixels == 160 * 128**2
        assert sum(stage.images // stage.batch for stage in recipe.stages) == 20


def test_a_scale_changes_size_and_length_and_not_the_method():
    for row in _ALL:
        small, paper = (row.load(SCALES[name]) for name in ("small", "paper"))
        for section in ("losses", "data", "augment", "optimiser"):
            assert getattr(small, section) == getattr(paper, section)
        assert [stage.batch for stage in small.stages] == [stage.batch for stage in paper.stages]


def test_every_row_sees_as_many_pixels_at_the_scale_core():
    seen = {row.name: sum(s.images * s.size**2 for s in row.load(SCALES["core"]).stages) for row in _ALL}
    assert set(seen.values()) == {900 * 256**2}


def test_every_table_names_rows_that_exist():
    names = {row.name for row in _ALL}
    assert len(names) == len(_ALL)
    for table in TABLES.values():
        assert set(table.row_names) <= names
        assert {key for line in table.lines for key in line.paper} <= {column.key for column in table.columns}


def test_unknown_names_offer_the_nearest():
    with pytest.raises(BadInput, match="did you mean 'tiny'"):
        scale_named("tinny")
    with pytest.raises(BadInput, match="did you mean 'spade'"):
        rows_named(["spde"], ["sian", "spade"])
    with pytest.raises(BadInput, match="table1"):
        table_named("table9")
    assert [row.name for row in rows_named(["spade", "sian", "spade"], ["sian", "spade"])] == ["spade", "sian"]


PRINTED = {  # the paper's name of a row, ours, by table
    "table1": {
        "pix2pix": "pix2pix",
        "Sharp-GAN": "sharpgan",
        "pix2pixHD": "pix2pixhd",
        "SPADE": "spade",
        "SIAN": "sian",
    },
    "table3": {"Baseline": "baseline", "INST": "inst", "STYLE": "style", "Style Loss": "style-loss", "SIAN": "sian"},
}


@pytest.mark.shared
@pytest.mark.parametrize("name", ["table1", "table2", "table3"])
def test_the_papers_numbers_are_as_printed(shared: Path, name: str):
    text = (shared / "paper" / "sian.txt").read_text(encoding="utf-8")
    heads = {"table1": "Methods\tFID \\downarrow", "table2": "Methods\tBreast", "table3": "Methods\tFID↓"}
    part = text[text.index(heads[name]) :]
    part = part[: part.index(f"Table {name[-1]}:")]
    printed = {}
    for line in part.splitlines()[1:]:
        title, *numbers = line.split("\t")
        if numbers:
            printed[re.sub(r" \[\d+\]", "", title)] = [float(number) for number in numbers]
    ours = {line.row: list(line.paper.values()) for line in TABLES[name].lines if line.paper}
    names = PRINTED.get(name, PRINTED["table1"])
    assert {names[title]: numbers for title, numbers in printed.items()} == ours
    if name == "table2":
        assert list(TABLES[name].lines[0].paper) == list(ORGANS)
