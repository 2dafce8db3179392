"""Nuclear classes for a model that was trained with some: every mask has to come with them, in the model's order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sian.errors import BadInput, warn
from sian.layout import Layout
from sian.layout.classes import as_numbered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def with_classes(mask: NDArray[np.int32] | Layout, names: Sequence[str]) -> NDArray[np.int32] | Layout:
    """A mask as a model with these classes takes it.

    Args:
        mask: ids, or a layout.
        names: the model's classes; for none the mask is as it was.

    Raises:
        BadInput: the model has classes and the mask has none, or one that the model does not know.

    Warns:
        SianWarning: some nuclei have no class.
    """
    if not names:
        return mask
    if not isinstance(mask, Layout) or mask.classes is None:
        if not (mask.semantic if isinstance(mask, Layout) else mask).any():
            return mask  # background needs no classes
        raise BadInput(
            f"this model was trained with nuclear classes ({', '.join(names)}), found a mask without; give them by "
            "sian.describe(mask, classes={id: name}), on the command line as NAME.classes.json beside the mask "
            '({"NAME": [ids], ...}), or take a mask of a data set that has classes'
        )
    numbered = as_numbered(mask.classes, mask.class_names, names)
    if bool((mask.semantic & (numbered == 0)).any()):
        warn("some nuclei have no class; the model paints them as it likes")
    return replace(mask, classes=numbered, class_names=tuple(names))
