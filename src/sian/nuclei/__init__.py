"""Invented nuclei: instance masks that no one had to draw."""

from sian.nuclei.scattering import scatter

__all__ = ["scatter"]
