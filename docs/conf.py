"""Sphinx: the Markdown pages of this folder, and the API from the docstrings."""

from __future__ import annotations

import sian

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
suppress_warnings = ["myst.xref_missing"]  # links to files of the checkout that are no pages
