"""A sheet as Markdown, CSV and one HTML page that needs no network."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from sian.files import write_text
from sian.files.templates import render
from sian.reproduce.differences import Difference
from sian.reproduce.sheets import Sheet, SheetRow
from sian.reproduce.tables import Column

_DIFFERENCES = (
    "Differences, ours / *the paper's*. Brackets: 95 % of a bootstrap over tiles, the two rows paired tile by tile; of "
    "FID, in how many organs the difference has the same sign."
)


def write_sheet(sheet: Sheet, folder: Path, stem: str = "") -> list[Path]:
    """Write STEM.md, STEM.csv and STEM.html; returns their paths.

    Args:
        sheet: the table.
        folder: made if it does not exist; files of an earlier table in it are replaced.
        stem: of the files; the sheet's name if not given.
    """
    texts = {".md": markdown(sheet), ".csv": comma_separated(sheet), ".html": html(sheet)}
    paths = []
    for suffix, text in texts.items():
        paths.append(folder / f"{stem or sheet.name}{suffix}")
        write_text(paths[-1], text)
    return paths


def markdown(sheet: Sheet) -> str:
    """The sheet as Markdown: ours first, the paper's in italics behind it."""
    printed = {key for row in sheet.rows for key in row.paper}
    head = ["", "n", *(_title(c) + (" ours / *paper*" if c.key in printed else "") for c in sheet.columns)]
    lines = [f"# {sheet.title} ({sheet.scale})", "", _markdown_row(head), _markdown_row(["---"] * len(head))]
    lines += [
        _markdown_row([row.title, row.n or "–", *(_pair(row, column, "*{}*") for column in sheet.columns)])
        for row in sheet.rows
    ]
    if sheet.differences:
        keys = _difference_heads(sheet)
        lines += ["", _DIFFERENCES, "", _markdown_row(["", *keys.values()]), _markdown_row(["---"] * (len(keys) + 1))]
        lines += [_markdown_row([name, *cells]) for name, cells in _difference_rows(sheet, "*{}*")]
    facts = _fact_names(sheet)
    if facts:
        lines += [
            "",
            "How each row was made:",
            "",
            _markdown_row(["", *facts]),
            _markdown_row(["---"] * (len(facts) + 1)),
        ]
        lines += [
            _markdown_row([row.title, *(row.facts.get(f, "–") for f in facts)]) for row in sheet.rows if row.facts
        ]
    lines += ["", *(f"- {note}" for note in sheet.notes)]
    return "\n".join(lines) + "\n"


def comma_separated(sheet: Sheet) -> str:
    """The sheet as CSV: a column for ours, one for the paper's, then the facts; numbers in full."""
    facts = _fact_names(sheet)
    pairs = [name for column in sheet.columns for name in (column.key, f"{column.key}_paper")]
    wide = [column.key for column in sheet.columns if any(column.key in row.intervals for row in sheet.rows)]
    ends = [f"{key}_{end}" for key in wide for end in ("from", "to")]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = (name.replace(" ", "_") for name in facts)
    writer.writerow(["table", "scale", "row", "kind", "n", *pairs, *ends, *names])
    for row in sheet.rows:
        numbers = [n for column in sheet.columns for n in (row.ours.get(column.key), row.paper.get(column.key))]
        numbers += [number for key in wide for number in row.intervals.get(key, (None, None))]
        cells = ["" if number is None else repr(number) for number in numbers]
        writer.writerow(
            [sheet.name, sheet.scale, row.name, row.kind, row.n, *cells, *(row.facts.get(f, "") for f in facts)]
        )
    return stream.getvalue()


def html(sheet: Sheet) -> str:
    """The sheet as a page."""
    facts = _fact_names(sheet)
    rows = [
        {
            "kind": row.kind,
            "title": row.title,
            "n": row.n or "–",
            "cells": [_cell(row, column) for column in sheet.columns],
            "facts": [row.facts.get(name, "–") for name in facts] if row.facts else None,
        }
        for row in sheet.rows
    ]
    heads = [_title(column) for column in sheet.columns]
    about = {"differences": _difference_rows(sheet, "{}"), "difference_heads": list(_difference_heads(sheet).values())}
    title = f"{sheet.title} ({sheet.scale})"
    return render("sheet.html", title=title, heads=heads, rows=rows, facts=facts, notes=sheet.notes, **about)


def _title(column: Column) -> str:
    arrow = {True: " ↓", False: " ↑", None: ""}[column.smaller_is_better]
    return column.title + arrow


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _number(value: float | None, column: Column) -> str:
    return "–" if value is None else f"{value:.{column.digits}f}"


def _interval(row: SheetRow, column: Column) -> str:
    if column.key not in row.intervals:
        return ""
    low, high = row.intervals[column.key]
    return f" [{_number(low, column)}, {_number(high, column)}]"


def _pair(row: SheetRow, column: Column, style: str) -> str:
    ours = _number(row.ours.get(column.key), column) + _interval(row, column)
    paper = row.paper.get(column.key)
    return ours if paper is None else f"{ours} / {style.format(_number(paper, column))}"


def _difference_heads(sheet: Sheet) -> dict[str, str]:
    """Keys and titles of the columns that any difference has."""
    found = {one.column.key for pair in sheet.differences for one in pair}
    return {column.key: _title(column) for column in sheet.columns if column.key in found}


def _difference_rows(sheet: Sheet, style: str) -> list[tuple[str, list[str]]]:
    """For each pair its name and its cells; `style` is of the paper's number."""
    rows = []
    for pair in sheet.differences:
        if pair:
            cells = {one.column.key: _difference(one, style) for one in pair}
            name = f"{pair[0].row} − {pair[0].against}"
            rows.append((name, [cells.get(key, "–") for key in _difference_heads(sheet)]))
    return rows


def _difference(one: Difference, style: str) -> str:
    digits = one.column.digits
    text = f"{one.value:+.{digits}f}"
    if one.interval is not None:
        text += f" [{one.interval[0]:+.{digits}f}, {one.interval[1]:+.{digits}f}]"
    if one.organs is not None:
        text += f" ({one.organs[0]} of {one.organs[1]} organs)"
    return text if one.paper is None else f"{text} / {style.format(f'{one.paper:+.{digits}f}')}"


def _cell(row: SheetRow, column: Column) -> dict[str, str]:
    paper = row.paper.get(column.key)
    return {
        "ours": _number(row.ours.get(column.key), column) + _interval(row, column),
        "paper": "" if paper is None else _number(paper, column),
    }


def _fact_names(sheet: Sheet) -> list[str]:
    return list(dict.fromkeys(name for row in sheet.rows for name in row.facts))
