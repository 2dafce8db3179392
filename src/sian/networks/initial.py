"""Initial weights that differ from torch's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor


def draw(how: Callable[..., Tensor], weight: Tensor, *options: Any, **more: Any) -> None:
    """Draw a weight in place, e.g. ``draw(nn.init.normal_, weight, std=0.02)``; a weight without values is left.

    The network of a model file is built on the meta device, where weights have no values. Drawing there would import
    torch's compiler, which takes longer than all else that loading does.
    """
    if not weight.is_meta:
        how(weight, *options, **more)
