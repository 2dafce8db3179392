"""Invented nuclei: instance masks that no one had to draw, like those of real organs."""

from sian.nuclei.fit import Fit, Organ, Tissue, default_fit, read_fit, write_fit
from sian.nuclei.fitting import fit, fit_dataset
from sian.nuclei.generation import generate
from sian.nuclei.glands import glands
from sian.nuclei.invented_tissue import invent_tissue
from sian.nuclei.likeness import Comparison, compare
from sian.nuclei.resampling import RealNuclei
from sian.nuclei.scattering import scatter
from sian.nuclei.statistics import Nuclei, measure

__all__ = [
    "Comparison",
    "Fit",
    "Nuclei",
    "Organ",
    "RealNuclei",
    "Tissue",
    "compare",
    "default_fit",
    "fit",
    "fit_dataset",
    "generate",
    "glands",
    "invent_tissue",
    "measure",
    "read_fit",
    "scatter",
    "write_fit",
]
