"""``--tissue``: what lies between the nuclei of a mask file, as an image or a map beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sian.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from sian.synthesis import Model

MAP_SUFFIX = ".npy"


def tissue_files(given: Path | None, masks: Sequence[Path], model: Model) -> dict[Path, Path]:
    """Which file says what lies between the nuclei of which mask.

    Args:
        given: an image or a map for one mask, or a folder with one of each mask's name; None for none.
        masks: the mask files.
        model: what paints.

    Raises:
        BadInput: the model takes none, a file for several masks, or a mask without its file in the folder.
    """
    from sian.files.images import PICTURE_SUFFIXES, ZARR_SUFFIXES
    from sian.synthesis.model_tissue import without_tissue

    if given is None:
        return {}
    if not model.takes_tissue:
        raise BadInput(f"--tissue {given}: {without_tissue(model.info.name)}")
    if not given.is_dir() or given.suffix.lower() in ZARR_SUFFIXES:
        if len(masks) != 1:
            raise BadInput(f"--tissue {given}: found {len(masks)} masks, expected one for a file; give a folder")
        return {masks[0]: given}
    found = {}
    for mask in masks:
        several = [given / f"{mask.stem}{suffix}" for suffix in (MAP_SUFFIX, *PICTURE_SUFFIXES)]
        there = [path for path in several if path.exists()]
        if len(there) != 1:
            raise BadInput(
                f"{given}: found {len(there)} files for the mask {mask.name}, expected {mask.stem}{MAP_SUFFIX} or an "
                "image of that name"
            )
        found[mask] = there[0]
    return found


def read_tissue(path: Path, mask: NDArray[np.int32]) -> NDArray[Any]:
    """An image (H, W, 3) uint8 or a map, as `sian.describe` takes them, of the mask's size.

    Raises:
        BadInput: it cannot be read, or is of another size.
    """
    import numpy as np

    from sian.files.numpy_files import map_npy
    from sian.layout.tissue_map import tissue_layers

    if path.suffix.lower() != MAP_SUFFIX:
        from sian.slides import read_picture

        image = read_picture(path).pixels
        if image.shape[:2] != mask.shape:
            raise BadInput(
                f"{path}: found {image.shape[0]} x {image.shape[1]} px, expected {mask.shape[0]} x {mask.shape[1]} px "
                "as its mask; give the image that the mask was drawn on"
            )
        return image
    found = map_npy(path, "a tissue map")
    try:
        tissue_layers(found, (mask.shape[0], mask.shape[1]))
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    return np.array(found)
