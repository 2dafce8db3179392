"""SIAN: paint nucleus masks as H&E images in any organ's style, and measure whether they are real enough.

This file only holds the doors: every name below is imported from its module when it is first used, so that
``import sian`` stays quick and torch is loaded by those who need it. A new public name is one line in
`_DOORS` (or in `_MODULES` for a whole submodule) and its twin under ``TYPE_CHECKING``, which type checkers
and editors read.

    >>> import sian
    >>> "describe" in dir(sian)
    True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sian.errors import BadInput, Interrupted, MissingResource, SianError, SianWarning

if TYPE_CHECKING:
    from sian import evaluation, nuclei, production, segmentation
    from sian.adaptation import adapt
    from sian.data import open_dataset
    from sian.files import read_image
    from sian.layout import Layout, describe, tissue_map
    from sian.masks import read_mask, write_mask
    from sian.production.fit_style import fit_style
    from sian.production.restyle import restyle
    from sian.production.train_and_export import train
    from sian.studio_app.serving import studio
    from sian.synthesis import Model, load
    from sian.torchdata import torch_dataset

    __version__: str

# public name -> the module it comes from
_DOORS: dict[str, str] = {
    "Layout": "sian.layout",
    "Model": "sian.synthesis",
    "adapt": "sian.adaptation",
    "describe": "sian.layout",
    "fit_style": "sian.production.fit_style",
    "load": "sian.synthesis",
    "open_dataset": "sian.data",
    "read_image": "sian.files",
    "read_mask": "sian.masks",
    "restyle": "sian.production.restyle",
    "studio": "sian.studio_app.serving",
    "tissue_map": "sian.layout",
    "torch_dataset": "sian.torchdata",
    "train": "sian.production.train_and_export",
    "write_mask": "sian.masks",
}

# submodules that are doors themselves: sian.evaluation.fid(...)
_MODULES: tuple[str, ...] = ("evaluation", "nuclei", "production", "segmentation")

__all__ = [
    "BadInput",
    "Interrupted",
    "Layout",
    "MissingResource",
    "Model",
    "SianError",
    "SianWarning",
    "__version__",
    "adapt",
    "describe",
    "evaluation",
    "fit_style",
    "load",
    "nuclei",
    "open_dataset",
    "production",
    "read_image",
    "read_mask",
    "restyle",
    "segmentation",
    "studio",
    "tissue_map",
    "torch_dataset",
    "train",
    "write_mask",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"sian.{name}")
    if name in _DOORS:
        value = getattr(import_module(_DOORS[name]), name)
    elif name == "__version__":
        value = _version()
    else:
        raise AttributeError(f"module 'sian' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)  # what completion offers: the public names and nothing else


def _version() -> str:
    """The installed version; ``"unknown"`` when the source is used without being installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("sian")
    except PackageNotFoundError:
        return "unknown"
