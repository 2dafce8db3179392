"""The names of folders that mean something: splits, pictures, annotations."""

from __future__ import annotations

IMAGE_FOLDERS = ("tissue images", "tissue_images", "images", "image", "imgs", "img")
MASK_FOLDERS = ("annotations", "masks", "mask", "labels", "label", "mat", "json", "geojson", "xml")
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "val",
    "valid": "val",
    "validation": "val",
}
