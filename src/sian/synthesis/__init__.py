"""Synthesis: model files, styles, painting. `load` gives a `Model`; `export_run` makes a model file of a run."""

from sian.synthesis.load_model import load
from sian.synthesis.model import Model
from sian.synthesis.styles import OrganStyles, Style, Styles

__all__ = ["Model", "OrganStyles", "Style", "Styles", "load"]
