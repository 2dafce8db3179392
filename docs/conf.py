"""Sphinx: the Markdown pages of this folder, and the API from the docstrings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import sian

sys.path.insert(0, str(Path(__file__).parent))

from from_code import filled

project = "SIAN"
author = "The SIAN authors"
copyright = "The SIAN authors; code Apache-2.0, pictures CC BY-NC-SA 4.0"  # noqa: A001 - Sphinx' own name
version = release = sian.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "results/reports"]

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes of a docstring are no second description of a property

html_theme = "furo"
html_title = "SIAN"
smartquotes = False  # it would make one dash of the two of an option
suppress_warnings = ["myst.xref_missing"]  # links to files of the checkout that are no pages


def _from_code(app: Any, name: str, source: list[str]) -> None:
    """Fill in what a page takes from the code."""
    del app, name
    source[0] = filled(source[0])


def setup(app: Any) -> None:
    """Sphinx calls this."""
    app.connect("source-read", _from_code)
