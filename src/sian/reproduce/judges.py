"""Second judges: what segmenters from elsewhere found in a row's paintings, beside the row's own report.

RUNS/SCALE/ROW/judge-NAME.json is the evaluation.json of ``sian evaluate-model --model
RUNS/SCALE/ROW/model.safetensors --segmented FOLDER --judge NAME``; it has to be of the very paintings of the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sian.errors import BadInput
from sian.evaluation.evaluate import FORMAT
from sian.files.jsonfiles import read_json
from sian.reproduce.tables import Column

if TYPE_CHECKING:
    from pathlib import Path

Judged = dict[str, dict[str, Any]]  # evaluations by the judge's name
FOUND_BY = ("dq", "sq", "pq")  # columns that are a judge's
REAL = "segmenter on real images"  # the floor that is a judge's


def read_judged(folder: Path, report: Mapping[str, Any]) -> Judged:
    """What other judges say of a row.

    Args:
        folder: the row's.
        report: the row's own.

    Raises:
        BadInput: an evaluation is of other paintings than the report, or no evaluation at all.
    """
    judged: Judged = {}
    for path in sorted(folder.glob("judge-*.json")):
        found = read_json(path)
        name = _name(found)
        if name is None:
            raise BadInput(
                f"{path}: expected the evaluation.json of `sian evaluate --segmented FOLDER --judge NAME`, found "
                "something else; remove it"
            )
        if differs := _difference(found, report):
            raise BadInput(
                f"{path}: is not of the paintings of the row's report ({differs} differs); segment and evaluate the "
                "row's model again, or remove the file"
            )
        judged[name] = found
    return judged


def judges_columns(columns: tuple[Column, ...], judged: Mapping[str, Judged]) -> tuple[Column, ...]:
    """A table's columns, and those of every judge that any row has."""
    names = sorted({name for of_row in judged.values() for name in of_row})
    more = [
        replace(
            column, key=f"{column.key}_{name}", title=f"{column.title} by {name}", path=("judges", name, *column.path)
        )
        for name in names
        for column in columns
        if column.key in FOUND_BY
    ]
    return (*columns, *more)


def floors_of(judged: Mapping[str, Judged]) -> dict[str, dict[str, Any]]:
    """What each judge finds in the real windows, as a report's "judges" has it."""
    floors = {}
    for name, found in (pair for of_row in judged.values() for pair in of_row.items()):
        for row in found.get("floor_rows", ()):
            if row["name"] == REAL:
                floors[name] = {"metrics": row}
    return floors


def _name(found: Any) -> str | None:
    """What an evaluation calls its judge; None if its judge has no name."""
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        return None
    segmenter = (found.get("inputs") or {}).get("segmenter") or {}
    return str(segmenter["name"]) if segmenter.get("name") else None


def _difference(found: Mapping[str, Any], report: Mapping[str, Any]) -> str | None:
    models = [one["inputs"].get("model") or {} for one in (found, report)]
    if models[0].get("sha256") != models[1].get("sha256"):
        return "the model"
    return next((key for key in ("n", "style", "noise") if found.get(key) != report.get(key)), None)
