"""Masks that a segmenter from elsewhere found, as a second judge: checked whole before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sian.errors import BadInput
from sian.evaluation.collection import Collection, open_masks

NAMED = 3  # names of a kind that an error lists


def open_segmented(folder: Path | str, sizes: Mapping[str, tuple[int, int]], what: str = "image") -> Collection:
    """The masks that another segmenter found, one for each image, by the images' names.

    Args:
        folder: of instance masks, as `sian.read_mask` reads them.
        sizes: height and width of every image that was segmented, by its name.
        what: what errors call an image.

    Raises:
        BadInput: a mask is missing, one too many, of another size than its image, or no instance mask. All are named
            in one sentence.
    """
    found = open_masks(folder)
    missing = [name for name in sizes if name not in found]
    extra = [name for name in found.names if name not in sizes]
    wrong = [trouble for name in found.names if name in sizes for trouble in _trouble(found, name, sizes[name])]
    problems = [
        f"no mask of {_listed(missing)}" if missing else "",
        f"masks without an {what}: {_listed(extra)}" if extra else "",
        _listed(wrong, "; ") if wrong else "",
    ]
    if any(problems):
        raise BadInput(
            f"{folder}: expected one instance mask for each of {len(sizes)} {what}s, of its name and size, found "
            f"{'; '.join(filter(None, problems))}; segment the {what}s again, or export the masks as 16-bit grey PNG"
        )
    return found


def _trouble(found: Collection, name: str, size: tuple[int, int]) -> list[str]:
    try:
        shape = found.read(name).shape
    except BadInput as error:
        return [str(error)]
    return [] if shape == size else [f"{name} of {shape[0]} x {shape[1]} px where {size[0]} x {size[1]} are expected"]


def _listed(names: list[str], between: str = ", ") -> str:
    more = len(names) - NAMED
    return between.join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
