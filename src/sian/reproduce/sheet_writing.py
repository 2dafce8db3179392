"""A sheet as Markdown, CSV and one HTML page that needs no network."""

from __future__ import annotations

import csv
import io
from html import escape
from pathlib import Path

from sian.evaluation.page import STYLE
from sian.files import write_text
from sian.reproduce.sheets import Sheet, SheetRow
from sian.reproduce.tables import Column

_MORE_STYLE = "td i { color: var(--quiet); font-size: 13px; } tr.missing td { color: var(--quiet); }"


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
    head = "".join(f"<th>{escape(_title(column))}</th>" for column in sheet.columns)
    body = "".join(
        f'<tr class="{row.kind}"><td>{escape(row.title)}</td><td>{escape(row.n or "–")}</td>'
        + "".join(f"<td>{_html_pair(row, column)}</td>" for column in sheet.columns)
        + "</tr>"
        for row in sheet.rows
    )
    facts = _fact_names(sheet)
    made = "".join(
        f"<tr><td>{escape(row.title)}</td>"
        + "".join(f"<td>{escape(row.facts.get(f, '–'))}</td>" for f in facts)
        + "</tr>"
        for row in sheet.rows
        if row.facts
    )
    fact_head = "".join(f"<th>{escape(name)}</th>" for name in facts)
    title = escape(f"{sheet.title} ({sheet.scale})")
    notes = "".join(f"<li>{escape(note)}</li>" for note in sheet.notes)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}{_MORE_STYLE}</style></head><body><h1>{title}</h1>"
        '<p class="quiet">Ours; in italics below, the paper\'s.</p>'
        f'<div class="wide"><table><thead><tr><th></th><th>n</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f'<h2>How each row was made</h2><div class="wide"><table><thead><tr><th></th>{fact_head}</tr></thead>'
        f"<tbody>{made}</tbody></table></div><h2>Notes</h2><ul>{notes}</ul></body></html>\n"
    )


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


def _html_pair(row: SheetRow, column: Column) -> str:
    ours = escape(_number(row.ours.get(column.key), column) + _interval(row, column))
    paper = row.paper.get(column.key)
    return ours if paper is None else f"{ours}<br><i>{escape(_number(paper, column))}</i>"


def _fact_names(sheet: Sheet) -> list[str]:
    return list(dict.fromkeys(name for row in sheet.rows for name in row.facts))
