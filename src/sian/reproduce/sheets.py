"""A table as it is written: our numbers beside the paper's, the floors below, what the rows cost, and what to know.

`sheet` makes one of reports. A table of another kind makes its own `Sheet` and uses the same `sheet_writing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sian.errors import BadInput
from sian.reproduce.differences import Difference, differences
from sian.reproduce.judges import FOUND_BY, REAL, floors_of, judges_columns
from sian.reproduce.running import Outcome
from sian.reproduce.scales import Scale
from sian.reproduce.tables import Column, Table

Kind = Literal["row", "missing", "floor", "bar"]


@dataclass(frozen=True)
class SheetRow:
    """A line of a sheet.

    Attributes:
        name: in the CSV.
        title: for people.
        kind: a row of the paper, one that is not there yet, a floor, or a bar that any method must clear.
        ours: our numbers by column key.
        paper: the paper's.
        n: how many images it was measured on.
        facts: how it was made, in the order they are shown.
        intervals: 95 % intervals of ours by column key, where there are any.
    """

    name: str
    title: str
    kind: Kind = "row"
    ours: Mapping[str, float | None] = field(default_factory=dict)
    paper: Mapping[str, float] = field(default_factory=dict)
    n: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Sheet:
    """A whole table, ready to be written.

    Attributes:
        name: of its files.
        title: its heading.
        scale: the scale of every number that is ours.
        columns: its numbers.
        rows: its lines.
        notes: sentences below.
        differences: between rows, a list for each pair.
    """

    name: str
    title: str
    scale: str
    columns: Sequence[Column]
    rows: Sequence[SheetRow]
    notes: Sequence[str]
    differences: Sequence[Sequence[Difference]] = ()


def sheet(table: Table, scale: Scale, outcome: Outcome, style: str) -> Sheet:
    """The sheet of a table.

    Args:
        table: which rows and numbers.
        scale: of all reports.
        outcome: reports, failures and floors; rows without a report are shown as missing.
        style: the protocol's source of styles.

    Raises:
        BadInput: a report is of another scale.
    """
    for name, report in {**outcome.reports, "floors": outcome.floors or {}}.items():
        if report and report["reproduce"]["scale"] != scale.name:
            raise BadInput(
                f"{table.name}: the report of {name!r} is of the scale {report['reproduce']['scale']!r}, expected "
                f"{scale.name!r}; numbers of different scales never share a table"
            )
    table = replace(table, columns=judges_columns(table.columns, outcome.judged))
    rows = [_row(table, line.row, line.title, line.paper, outcome) for line in table.lines]
    if outcome.floors:
        rows += _floors(table, outcome.floors, floors_of(outcome.judged))
    both = {name: {**report, "judges": outcome.judged.get(name, {})} for name, report in outcome.reports.items()}
    return Sheet(
        table.name,
        table.title,
        scale.name,
        table.columns,
        rows,
        _notes(table, scale, outcome, style),
        differences(table, table.columns, both),
    )


def _row(table: Table, name: str, title: str, paper: Mapping[str, float], outcome: Outcome) -> SheetRow:
    report = outcome.reports.get(name)
    if report is None:
        why = "failed" if name in outcome.failures else "not run"
        return SheetRow(name, title, "missing", {}, paper, why)
    both = {**report, "judges": outcome.judged.get(name, {})}
    ours = {column.key: column.of(both) for column in table.columns}
    found = {column.key: column.interval_of(both) for column in table.columns}
    intervals = {key: interval for key, interval in found.items() if interval is not None}
    return SheetRow(name, title, "row", ours, paper, str(report["n"]), _facts(report), intervals)


def _facts(report: Mapping[str, Any]) -> dict[str, str]:
    own = report["reproduce"]
    facts = {
        "parameters": f"{own['parameters'] / 1e6:.2f} M",
        "images seen": f"{own['images']:,}",
        "windows": _sizes(own["recipe"]),
        "hours": f"{own['hours']:.3f}",
        "device": own["device"],
        "seed": str(own["seed"]),
        "commit": own["commit"],
    }
    if own.get("minutes"):
        facts["budget"] = f"{own['minutes']:g} min"
    return facts


def _sizes(recipe: Mapping[str, Any]) -> str:
    sizes = dict.fromkeys(f"{stage.get('size', 256)} px" for stage in recipe.get("stages", ()))
    return " + ".join(sizes)


def _floors(table: Table, floors: Mapping[str, Any], others: Mapping[str, Any]) -> list[SheetRow]:
    """The floors that have a number of this table, and the trivial painter."""
    rows = []
    for floor in floors["floor_rows"]:
        if floor["name"] == "trivial painter":
            continue
        judges = others if floor["name"] == REAL else {}
        ours = {column.key: _floor_number(column, {**floor, "judges": judges}, floors) for column in table.columns}
        if any(value is not None for value in ours.values()):
            per_organ = any(column.path[0] == "per_organ" for column in table.columns)
            rows.append(
                SheetRow(
                    floor["name"], f"floor: {floor['name']}", "floor", ours, {}, "" if per_organ else _n(floor["n"])
                )
            )
    bar = {column.key: column.of(floors) for column in table.columns}
    return [*rows, SheetRow("trivial painter", "bar: trivial painter", "bar", bar, {}, str(floors["n"]))]


def _floor_number(column: Column, floor: Mapping[str, Any], floors: Mapping[str, Any]) -> float | None:
    if column.path[0] == "per_organ":
        value = floors.get("organ_floors", {}).get(column.path[1], {}).get(floor["name"])
        return None if value is None else float(value)
    return column.of({"metrics": floor, "judges": floor["judges"]})


def _n(count: Any) -> str:
    return " / ".join(str(part) for part in count) if isinstance(count, list) else str(count)


def _notes(table: Table, scale: Scale, outcome: Outcome, style: str) -> list[str]:
    measured = next(iter(outcome.reports.values()), outcome.floors)
    windows = "all 16 windows" if scale.a_tile is None else f"{scale.a_tile} windows"
    notes = [
        f"Scale {scale.name}: networks {scale.widths}, trained {scale.length}; {windows} of each test tile measured. "
        "The paper's numbers are of 224 windows and of training as published.",
        f"Protocol: reconstruction, style {style}, no noise (pix2pix and Sharp-GAN with their dropout, as their "
        "originals have it at test); EMA weights, exported in half precision.",
    ]
    if measured:
        own = measured["reproduce"]
        notes.append(f"Data: {own['data']}. Measured on {own['measured_on']} at commit {own['measured_at']}.")
        organs = ", ".join(f"{organ} {n}" for organ, n in measured["organs"].items())
        notes.append(f"n = {measured['n']} painted windows against {measured['n_real']} real ones: {organs}.")
    if any(report.get("confidence_95") for report in outcome.reports.values()):
        notes.append(
            "Brackets: 95 % of a bootstrap over test tiles. Two rows whose brackets overlap by far are not told apart."
        )
    notes += _judges(table, outcome)
    notes += _other_tiles(table, outcome)
    notes += [scale.warning] if scale.warning else []
    notes += [table.note] if table.note else []
    notes += [f"{name} failed: {error}" for name, error in outcome.failures.items()]
    return notes


def _judges(table: Table, outcome: Outcome) -> list[str]:
    """A sentence on who judges, where a table has a judge's numbers."""
    known = (report.get("inputs") or {} for report in (outcome.floors or {}, *outcome.reports.values()))
    judge = next((one["segmenter"]["sha256"] for one in known if (one.get("segmenter") or {}).get("sha256")), None)
    if judge is None or not any(column.key in FOUND_BY for column in table.columns):
        return []
    return [f"DQ, SQ and PQ are by the segmenter of SHA-256 {judge[:12]}, but where a column names another judge."]


def _other_tiles(table: Table, outcome: Outcome) -> list[str]:
    """A sentence where rows were trained on different pixels: a job's pack holds the training tiles recompressed."""
    titles: dict[str, list[str]] = {}
    for line in table.lines:
        own = outcome.reports.get(line.row, {}).get("reproduce", {})
        if sha256 := own.get("train_sha256"):
            titles.setdefault(sha256, []).append(line.title)
    if len(titles) < 2:
        return []
    groups = "; ".join(f"{', '.join(names)}: {sha256[:12]}" for sha256, names in titles.items())
    return [
        "Not all rows were trained on the same pixels (SHA-256 of the training tiles; a job's pack holds them "
        f"recompressed): {groups}."
    ]
