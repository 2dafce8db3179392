"""Write an evaluation down: JSON, CSV and one HTML page that needs no network.

REPORT/evaluation.json   the object of format "sian.evaluation/1"
REPORT/images.csv        one line an image: its own SSIM and mask metrics
REPORT/report.html       table with floors, organs, samples, worst and best images, what was measured
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from sian.errors import BadInput
from sian.evaluation.page import page
from sian.files import write_json, write_text

if TYPE_CHECKING:
    from sian.evaluation.evaluate import Evaluation

JSON, CSV, HTML = "evaluation.json", "images.csv", "report.html"


def write_report(evaluation: Evaluation, folder: Path | str) -> Path:
    """Write the three files of a report and return the page's path.

    Everything is made before the first file is written; each file is written whole or not at all.

    Args:
        evaluation: what `evaluate` returned.
        folder: made if it does not exist; files of an earlier report in it are replaced.

    Raises:
        BadInput: `folder` cannot be a folder.
    """
    folder = check_target(folder)
    table, html = image_table(evaluation), page(evaluation)
    write_json(folder / JSON, evaluation.result)
    write_text(folder / CSV, table)
    write_text(folder / HTML, html)
    return folder / HTML


def check_target(folder: Path | str) -> Path:
    """The folder a report goes to, refused early when it is a file.

    Raises:
        BadInput: there is a file of that name.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder}: found a file, expected the name of a folder for the report; choose another name.")
    return folder


def image_table(evaluation: Evaluation) -> str:
    """One CSV line an image, sorted by name; empty where something was not measured."""
    columns = list(dict.fromkeys(key for line in evaluation.images for key in line))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for line in evaluation.images:
        writer.writerow({key: _cell(value) for key, value in line.items()})
    return stream.getvalue()


def _cell(value: object) -> object:
    """What a spreadsheet shows: nothing for None, and no name is taken for a formula."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6f}"
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@" else value
