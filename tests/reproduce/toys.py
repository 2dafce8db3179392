"""A data set, a recipe, a scale and a table so small that the whole of `sian reproduce` runs in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.evaluation import toys as evaluation_toys
from tests.training import toys as training_toys

from sian.data import DatasetInfo, DatasetWriter
from sian.reproduce.rows import Row
from sian.reproduce.scales import Scale
from sian.reproduce.tables import TABLES, Line, Table

SIDE = 272  # px of a tile: one window of 256 px would be enough, four are cut


def write_dataset(folder: Path, tests: int = 3, trains: int = 2) -> Path:
    """Ellipses on a bright ground, of two organs."""
    writer = DatasetWriter(folder, DatasetInfo(name="toys", mpp=0.25, licence="CC0-1.0", source="made up"))
    for number in range(tests + trains):
        mask = training_toys.ellipses(number, SIDE)
        split = "test" if number < tests else "train"
        organ = ("kidney", "lung")[number % 2] if split == "test" else ("kidney", "liver")[number % 2]
        writer.add(f"tile{number}", training_toys.picture(mask, number), mask, organ=organ, split=split, mpp=0.25)
    return folder


def write_recipe(folder: Path, **changes: Any) -> Path:
    """The toy recipe: four images, no VGG19."""
    stages = [training_toys.stage(4)]
    return training_toys.write_recipe(folder / "toy.yaml", **{"stages": stages, "data": {"sibling": 0.0}, **changes})


SCALE = Scale("tiny", None, "on four crops", 2, warning="Toys say nothing.")


def rows(recipe: Path) -> dict[str, Row]:
    """Two rows of the same recipe, one with a change."""
    return {
        "first": Row("first", "First", str(recipe), "sian"),
        "second": Row("second", "Second", str(recipe), "sian", {"generator.distance": "false"}),
    }


def table() -> Table:
    """Two rows; the paper has numbers of the first."""
    columns = TABLES["table1"].columns
    return Table("table1", "A toy table", columns, (Line("first", "First", {"fid": 1.5}), Line("second", "Second", {})))


extractor, segment = evaluation_toys.extractor, evaluation_toys.segment
