"""Annotated tiles: the data set on disk, its import and its inspection."""

from sian.data.dataset import Dataset, DatasetInfo, Item, open_dataset
from sian.data.exporting import ExportReport, export_dataset
from sian.data.importing import ImportReport, import_dataset
from sian.data.inspecting import Inspection, inspect_dataset
from sian.data.writing import DatasetWriter

__all__ = [
    "Dataset",
    "DatasetInfo",
    "DatasetWriter",
    "ExportReport",
    "ImportReport",
    "Inspection",
    "Item",
    "export_dataset",
    "import_dataset",
    "inspect_dataset",
    "open_dataset",
]
