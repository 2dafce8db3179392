"""What lies between the nuclei of a slide, read in parts: a map, or the picture that one is made of, also in parts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput
from sian.files import sha256_file
from sian.files.atomic import atomic_file
from sian.files.numpy_files import map_npy
from sian.layout.tissue_map import check_map, known_values, tissue_layers
from sian.layout.tissue_of_image import PART, tissue_map_in_parts
from sian.memory import give_back
from sian.slides.levels import Area
from sian.slides.scaled_slide import ScaledSlide
from sian.slides.slide import open_slide

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sian.slides.nucleus_index import ReadsIds

MAP_SUFFIX = ".npy"
MADE = "tissue.npy"  # the map of a picture, in the folder of the work that needs it
VALUES_AT_ONCE = 1 << 22  # of a map that is looked through


@dataclass(frozen=True)
class OnPicture:
    """The picture that a mask was drawn on: its file, the level, and px of the mask along one of that level."""

    path: Path
    level: int = 0
    factor: float = 1.0


class BetweenNuclei:
    """A tissue map that need not fit into memory.

    Args:
        shape: height and width of the mask that it belongs to.
        digest: another one has another digest.
        values: gives the map, given a folder to keep it in; a file that is mapped into memory is opened anew each time.
    """

    def __init__(self, shape: tuple[int, int], digest: str, values: Callable[[Path], NDArray[Any]]) -> None:
        self.shape, self.digest, self._values = shape, digest, values

    def layers(self, folder: Path, shape: tuple[int, int], cut: Area) -> NDArray[np.int8]:
        """The layers of a part of the mask, (h, w, 5), see `sian.layout.tissue_map.tissue_layers`.

        Args:
            folder: of the work.
            shape: of the mask by now: it may have been rescaled since the map was made.
            cut: the part, in px of that.
        """
        rows, columns = (
            ((np.arange(first, last) + 0.5) * old / new).astype(np.intp)
            for first, last, old, new in (
                (cut.top, cut.bottom, self.shape[0], shape[0]),
                (cut.left, cut.right, self.shape[1], shape[1]),
            )
        )
        top, left = int(rows[0]), int(columns[0])
        part = (top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1)
        whole = tissue_layers(self._values(folder), self.shape, part)
        found: NDArray[np.int8] = whole[(rows - top)[:, None], columns - left]
        return found


def between_nuclei(
    given: NDArray[Any] | str | Path | OnPicture, shape: tuple[int, int], ids: ReadsIds, factor: float = 1.0
) -> BetweenNuclei:
    """What a map or a picture says of a mask.

    Args:
        given: a map, (ceil(H / 16), ceil(W / 16), 4) or (H, W, 4), or its file (.npy); or the picture that the mask was
            drawn on, or the file of one that has the mask's size.
        shape: H and W, of the mask as it was given.
        ids: the mask as it is painted.
        factor: px of that along one of the mask as it was given.

    Raises:
        BadInput: it cannot be read, is of another size, or holds what no map does.
    """
    if isinstance(given, OnPicture):
        return _of_picture(given, ids)
    if isinstance(given, np.ndarray):
        return _of_map(lambda: given, shape, "")
    path = Path(given)
    if path.suffix.lower() == MAP_SUFFIX:
        return _of_map(lambda: map_npy(path, "a tissue map"), shape, f"{path}: ")
    with open_slide(path) as slide:
        if slide.shape != shape:
            raise BadInput(
                f"{path}: found {slide.shape[0]} x {slide.shape[1]} px, expected {shape[0]} x {shape[1]} px as its "
                "mask; give the image that the mask was drawn on"
            )
        slide.part(Area(0, 0, 1, 1))  # which refuses what is not a picture
    return _of_picture(OnPicture(path, 0, factor), ids)


def _of_map(read: Callable[[], NDArray[Any]], shape: tuple[int, int], name: str) -> BetweenNuclei:
    """A map that is there, looked through from its first row to its last."""
    found = hashlib.sha256()
    try:
        values = check_map(read(), shape)
        rows = max(1, VALUES_AT_ONCE // max(1, values[0].size))
        for first in range(0, len(values), rows):
            part = read()[first : first + rows]
            known_values(part)
            found.update(np.ascontiguousarray(part).tobytes())
    except BadInput as error:
        raise BadInput(f"{name}{error}") from None
    return BetweenNuclei(shape, found.hexdigest(), lambda _: read())


def _of_picture(given: OnPicture, ids: ReadsIds) -> BetweenNuclei:
    """The map of a picture, which is made when it is needed first, and kept with the work."""
    file = sha256_file(given.path) if given.path.is_file() else str(given.path.resolve())
    digest = hashlib.sha256(f"{file} {given.level} {given.factor}".encode()).hexdigest()

    def values(folder: Path) -> NDArray[Any]:
        made = folder / MADE
        if not made.is_file():
            _write_map(made, given, ids)
        return map_npy(made, "a tissue map")

    return BetweenNuclei(ids.shape, digest, values)


def _write_map(target: Path, given: OnPicture, ids: ReadsIds) -> None:
    with open_slide(given.path) as slide:
        picture = ScaledSlide(slide, given.level, given.factor)

        def read(box: tuple[int, int, int, int]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
            give_back()  # what the last part took
            area = Area(box[0], box[1], box[2] - box[0], box[3] - box[1])
            return picture.part(area), ids.read(area)

        found = tissue_map_in_parts(read, ids.shape, PART)
    with atomic_file(target) as temporary, temporary.open("wb") as stream:
        header = np.lib.format.header_data_from_array_1_0(found)
        np.lib.format.write_array_header_1_0(stream, header)
        stream.write(found.tobytes())  # not by NumPy, whose error does not say that the disk is full
