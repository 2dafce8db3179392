"""Masks and images of another magnification: to the model's micrometres a pixel and back, only when asked for.

Ids go by nearest neighbour, images by area average when they get smaller and by cubic interpolation when larger.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sian.errors import BadInput, warn
from sian.files import MAX_PIXELS
from sian.files.images import LARGEST_MPP, SMALLEST_MPP, differs


@dataclass(frozen=True)
class Scaling:
    """How something of `mpp` micrometres a pixel becomes something of the model's.

    Attributes:
        mpp: of what was given.
        model_mpp: of the model.
    """

    mpp: float
    model_mpp: float

    @property
    def factor(self) -> float:
        """How many pixels of the model lie along one that was given."""
        return self.mpp / self.model_mpp

    def shape(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Height and width at the model's magnification.

        Raises:
            BadInput: too many pixels.
        """
        height, width = (max(1, round(side * self.factor)) for side in shape[:2])
        if height * width > MAX_PIXELS:
            raise BadInput(
                f"{shape[0]} x {shape[1]} px at {self.mpp:g} um a pixel: would be {height} x {width} px at the model's "
                f"{self.model_mpp:g}, expected at most {MAX_PIXELS:,}; cut it into tiles first"
            )
        return height, width

    def __str__(self) -> str:
        if self.factor == 1:
            return f"{self.mpp:g} um a pixel as the model's; nothing was rescaled"
        up, down = "cubic interpolation", "area average"
        back = down if self.factor > 1 else up
        return (
            f"{self.mpp:g} um a pixel: painted at the model's {self.model_mpp:g} (ids x {self.factor:.3g} by nearest "
            f"neighbour), brought back x {1 / self.factor:.3g} by {back}"
        )


def scaling(mpp: float, model_mpp: float | None) -> Scaling:
    """The way to a model's magnification.

    Args:
        mpp: of what is given, 0.02 to 10 micrometres a pixel.
        model_mpp: the model's, None if it does not know.

    Raises:
        BadInput: an mpp that no microscope has, or a model that does not know its own.
    """
    check_mpp(mpp)
    if model_mpp is None:
        raise BadInput(
            "--mpp: this model does not know its own micrometres a pixel; leave --mpp out and give masks at the "
            "magnification that it was trained at"
        )
    return Scaling(mpp, model_mpp)


def check_mpp(mpp: float) -> float:
    """A pixel size that a light microscope can have.

    Raises:
        BadInput: any other.
    """
    if not (math.isfinite(mpp) and SMALLEST_MPP <= mpp <= LARGEST_MPP):
        raise BadInput(
            f"--mpp {mpp:g}: expected {SMALLEST_MPP:g} to {LARGEST_MPP:g} micrometres a pixel; 40x scans have about "
            "0.25, 20x about 0.5"
        )
    return mpp


def say_difference(name: str, mpp: float | None, model_mpp: float | None) -> None:
    """Warn of a pixel size that is off from the model's by more than 15 %, where both are known.

    Warns:
        SianWarning: as said.
    """
    if mpp is None or model_mpp is None or not differs(mpp, model_mpp):
        return
    warn(
        f"{name}: has {mpp:.4g} micrometres a pixel and the model {model_mpp:.4g}; nothing is rescaled unless "
        "you ask for it (--mpp file)"
    )


def rescale_mask(mask: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """An instance mask (H, W) at another size: each pixel takes the id of the nearest one.

    >>> rescale_mask(np.array([[1, 2]]), (2, 4)).tolist()
    [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp) for new, old in zip(shape, mask.shape, strict=True)
    )
    return np.ascontiguousarray(mask[rows[:, None], columns[None]])


def rescale_image(image: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture (H, W, 3) uint8 at another size: area average when it gets smaller, cubic when larger."""
    if image.shape[:2] == tuple(shape):
        return image
    smaller = shape[0] * shape[1] < image.shape[0] * image.shape[1]
    method = Image.Resampling.BOX if smaller else Image.Resampling.BICUBIC
    return np.array(Image.fromarray(image).resize((shape[1], shape[0]), method))
