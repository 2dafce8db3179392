"""Instance masks of any size, read in parts: tiled TIFF, OME-Zarr labels, `.npy`, GeoJSON; small ones whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sian.errors import BadInput, MissingResource
from sian.files.images import DECODE_ERRORS, MAX_PIXELS, ZARR_SUFFIXES, png_pixel_size
from sian.files.numpy_files import map_npy
from sian.files.regular import check_filled
from sian.masks import nucleus_ids, read_mask
from sian.masks.checking import MAX_ID, whole_numbers
from sian.masks.files import MASK_SUFFIXES
from sian.slides.levels import Area, Levels, WholePicture, check_area
from sian.slides.outline_levels import OutlineLevels
from sian.slides.slide import believable
from sian.slides.tiff_levels import TiffLevels
from sian.slides.zarr_levels import ZarrLevels

OUTLINE_SUFFIXES = (".geojson", ".geojson.gz")
KNOWN = (*MASK_SUFFIXES, *ZARR_SUFFIXES, OUTLINE_SUFFIXES[0])


class MaskSource:
    """A mask of which parts are read.

    Attributes:
        path: the file.
        shape: height and width.
        mpp: micrometres a pixel; None if the file does not say.
        classes: class name by id, where the file says some (GeoJSON does), while it is open; else None.
    """

    def __init__(self, path: Path, levels: Levels, classes: Mapping[int, str] | None = None) -> None:
        self.path, self._levels, self.classes = path, levels, classes
        self.shape = levels.sizes[0]
        self.mpp = believable(path, levels.mpp)

    def read(self, area: Area) -> NDArray[np.int32]:
        """The ids of a part, (h, w) int32.

        Raises:
            BadInput: beyond the mask, broken, or not ids.
        """
        check_area(self.path, self.shape, area)
        return _ids(self.path, self._levels.read(0, area))

    def close(self) -> None:
        """Close the file."""
        self._levels.close()


class ScaledMask:
    """A mask at another size, each pixel the id of the nearest one; read in parts like `MaskSource`.

    Args:
        source: the mask.
        shape: height and width that it is to have.
        mpp: micrometres a pixel at that size.
    """

    def __init__(self, source: MaskSource, shape: tuple[int, int], mpp: float | None) -> None:
        self.path, self.shape, self.mpp, self._source = source.path, shape, mpp, source

    def read(self, area: Area) -> NDArray[np.int32]:
        """The ids of a part, (h, w) int32; the same as of `rescale_mask` of the whole."""
        rows, columns = (
            ((np.arange(first, last) + 0.5) * old / new).astype(np.intp)
            for first, last, old, new in (
                (area.top, area.bottom, self._source.shape[0], self.shape[0]),
                (area.left, area.right, self._source.shape[1], self.shape[1]),
            )
        )
        cut = Area(int(rows[0]), int(columns[0]), int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1)
        return np.ascontiguousarray(self._source.read(cut)[(rows - cut.top)[:, None], (columns - cut.left)[None]])

    def close(self) -> None:
        """Close the file."""
        self._source.close()


def open_mask(path: str | Path, shape: tuple[int, int] | None = None) -> MaskSource:
    """Open an instance mask; only what is asked for is read of a tiled TIFF, an OME-Zarr store, a `.npy` and GeoJSON.

    Args:
        path: .png, .tif, .npy, .geojson, .geojson.gz, or a folder that ends in .zarr: labels, or an image with labels.
        shape: height and width, of GeoJSON, which does not say them; as far as its outlines reach if None.

    Raises:
        BadInput: no such file, another suffix, broken, or no mask; a shape for what has its own.
        MissingResource: zarr or ijson is not installed.
    """
    path = Path(path)
    if path.name.lower().endswith(OUTLINE_SUFFIXES):
        check_filled(path, "a mask")
        outlines = OutlineLevels(path, shape)
        return MaskSource(path, outlines, outlines.classes())
    if shape is not None:
        raise BadInput(f"{path}: has a size of its own, found another one given; leave --size out, it is for GeoJSON")
    suffix = path.suffix.lower()
    if suffix in ZARR_SUFFIXES:
        return MaskSource(path, ZarrLevels(path, labels=True))
    if suffix not in MASK_SUFFIXES:
        raise BadInput(f"{path}: found {suffix or 'no suffix'}, expected a mask as {', '.join(KNOWN)}")
    check_filled(path, "a mask")
    if suffix == ".npy":
        return MaskSource(path, _Mapped(path))
    if suffix == ".png":
        return MaskSource(path, WholePicture(read_mask(path), png_pixel_size(path)))
    levels = TiffLevels(path)
    height, width = levels.sizes[0]
    if height * width <= MAX_PIXELS and len(levels.sizes) == 1:
        levels.close()
        return MaskSource(path, WholePicture(read_mask(path), levels.mpp))
    return MaskSource(path, levels)


def read_whole(path: str | Path, shape: tuple[int, int] | None = None) -> NDArray[np.int32]:
    """All of a mask that `open_mask` takes, (H, W) int32; `shape` as there, and errors as of `read_classed`."""
    return read_classed(path, shape)[0]


def read_classed(
    path: str | Path, shape: tuple[int, int] | None = None
) -> tuple[NDArray[np.int32], dict[int, str] | None]:
    """`read_whole`, and the class names by id that the file says; None if it says none.

    Raises:
        BadInput: too large to be read at once, broken, or no mask.
    """
    source = open_mask(path, shape)
    try:
        mask = source.read(Area(0, 0, *source.shape))
        return mask, None if source.classes is None else classes_in(mask, source.classes)
    finally:
        source.close()


def classes_in(ids: NDArray[np.int32], classes: Mapping[int, str]) -> dict[int, str]:
    """The classes of those nuclei that ids hold."""
    named = ((nucleus, classes.get(nucleus)) for nucleus in nucleus_ids(ids).tolist())
    return {nucleus: name for nucleus, name in named if name is not None}


def mask_shape(path: Path) -> tuple[int, int]:
    """Height and width of a mask, without reading it where its format says them; (0, 0) where they are not known yet.

    What is broken or no mask is left for its reader to say.
    """
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            levels = TiffLevels(path)
            levels.close()
            return levels.sizes[0]
        source = open_mask(path)
        source.close()
    except (BadInput, MissingResource, *DECODE_ERRORS):
        return 0, 0
    return source.shape


class _Mapped:
    """A `.npy` file that is mapped into memory; see `Levels`."""

    mpp: float | None = None

    def __init__(self, path: Path) -> None:
        self._array = map_npy(path, "an array of integers")
        if self._array.ndim != 2 or not self._array.size:
            raise BadInput(f"{path}: expected an instance mask (H, W), found shape {self._array.shape}")
        self.sizes = [(int(self._array.shape[0]), int(self._array.shape[1]))]

    def read(self, level: int, area: Area) -> NDArray[Any]:
        """See `Levels.read`."""
        del level
        return np.array(self._array[area.top : area.bottom, area.left : area.right])

    def close(self) -> None:
        """The map goes with the object."""


def _ids(path: Path, found: NDArray[Any]) -> NDArray[np.int32]:
    if found.ndim != 2:
        raise BadInput(
            f"{path}: expected one id a nucleus in a single channel, found {found.shape[-1]} numbers a pixel; export "
            "the instance mask as grey"
        )
    whole = whole_numbers(found, str(path))
    low, high = int(whole.min(initial=0)), int(whole.max(initial=0))
    if low < 0 or high > MAX_ID:
        raise BadInput(f"{path}: found ids from {low} to {high}, expected 0 for background and ids up to {MAX_ID}")
    return whole.astype(np.int32, copy=False)
