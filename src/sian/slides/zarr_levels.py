"""Read OME-Zarr in parts: the levels of an image, or of its labels (``pip install 'sian[formats]'``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sian.data.formats.omezarr import EXPECTED, LAYOUT, all_levels, axes_of, check_channels, label_name, pixel_size
from sian.data.formats.zarrfiles import LazyArray, attributes
from sian.errors import BadInput
from sian.slides.levels import Area, check_sizes

COLOURS = 3


class ZarrLevels:
    """An OME-Zarr image, or its labels, as a pyramid; see `sian.slides.levels.Levels`.

    Args:
        store: the folder.
        labels: whether the labels are wanted; a store that is labels itself is taken as it is.

    Raises:
        BadInput: no image or labels, broken metadata, axes other than one plane's.
        MissingResource: zarr is not installed.
    """

    def __init__(self, store: Path, *, labels: bool = False) -> None:
        if not store.is_dir():
            raise BadInput(f"{store}: no such folder, expected an OME-Zarr store; check the path")
        group = store / "0" if LAYOUT in attributes(store) else store
        self.path, self._wanted = store, "yx" if labels else "cyx"
        if labels and (group / "labels").is_dir():
            group = group / "labels" / label_name(group)
        multiscale, places = all_levels(store, group)
        if not labels:
            check_channels(group)
        self._arrays = [LazyArray(store, place, whole=not labels) for place in places]
        self._axes = axes_of(multiscale, places[0])
        for place, array in zip(places, self._arrays, strict=True):
            self._check(place, array)
        self.sizes: Sequence[tuple[int, int]] = [self._size(array) for array in self._arrays]
        check_sizes(store, self.sizes)
        self.mpp = pixel_size(group, multiscale)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the stored numbers."""
        return np.dtype(self._arrays[0].dtype)

    def read(self, level: int, area: Area) -> NDArray[Any]:
        """See `Levels.read`."""
        array = self._arrays[level]
        cuts = {"y": slice(area.top, area.bottom), "x": slice(area.left, area.right), "c": slice(0, COLOURS)}
        part = tuple(cuts[axis] if axis in self._wanted else slice(0, 1) for axis in self._axes)
        found = array.read(part)
        for place in reversed(range(len(self._axes))):
            if self._axes[place] not in self._wanted:
                found = found.take(0, axis=place)
        kept = [axis for axis in self._axes if axis in self._wanted]
        order = ("y", "x", "c") if "c" in self._wanted else ("y", "x")
        return np.ascontiguousarray(found.transpose([kept.index(axis) for axis in order]))

    def close(self) -> None:
        """Nothing stays open."""

    def _check(self, place: Path, array: LazyArray) -> None:
        if len(self._axes) != len(array.shape) or not set(self._wanted) <= set(self._axes):
            raise BadInput(f"{place}: found axes {self._axes} for shape {array.shape}, {EXPECTED}; export it again")
        sides = dict(zip(self._axes, array.shape, strict=True))
        if "c" in self._wanted and sides["c"] != COLOURS:
            raise BadInput(f"{place}: found {sides['c']} channels, expected red, green and blue; export it as RGB")
        many = [axis for axis in self._axes if axis not in self._wanted and sides[axis] != 1]
        if many:
            raise BadInput(f"{place}: found {sides[many[0]]} planes along {many[0]}, expected one; export one alone")

    def _size(self, array: LazyArray) -> tuple[int, int]:
        return array.shape[self._axes.index("y")], array.shape[self._axes.index("x")]
