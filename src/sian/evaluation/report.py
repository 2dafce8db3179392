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
from sian.files.atomic import json_text, write_together
from sian.files.locks import check_writable

if TYPE_CHECKING:
    from sian.evaluation.evaluate import Evaluation

JSON, CSV, HTML = "evaluation.json", "images.csv", "report.html"


def write_report(evaluation: Evaluation, folder: Path | str) -> Path:
    """Write the three files of a report and return the page's path.

    Everything is made before the first file is written, and on the disk before the first one has its name: a full disk
    leaves no part of a report.

    Args:
        evaluation: what `evaluate` returned.
        folder: made if it does not exist; files of an earlier report in it are replaced.

    Raises:
        BadInput: `folder` cannot be a folder.
    """
    folder = check_target(folder)
    table, html = image_table(evaluation), page(evaluation)
    write_together({folder / JSON: json_text(evaluation.result), folder / CSV: table, folder / HTML: html})
    return folder / HTML


def check_target(folder: Path | str) -> Path:
    """The folder a report goes to, refused early when it is a file or cannot be written to.

    Raises:
        BadInput: either.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder}: found a file, expected the name of a folder for the report; choose another name")
    check_writable(folder)
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
