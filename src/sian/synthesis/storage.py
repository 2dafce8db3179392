"""How a model file stores weights: as they are, in half precision, or the generator's as 8-bit integers.

Of 8 bits only large convolutions of the generator are: each output channel has a scale of its own, so that its largest
weight is 127. The encoder stays in half precision, since its maps join numbers of very different sizes, and batch
norm's statistics stay in full precision. Measured on the bundled
model's weights, moved off the 8-bit steps by 2 %, in all its styles: six grey levels at most (one mask of 128 px).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from sian.errors import BadInput

Storage = Literal["float32", "float16", "int8"]
Kept = Literal["none", "heads", "whole"]  # of a discriminator
SCALE = ".scale"  # ends the name of an 8-bit tensor's scales, (outputs,) bf16
LEVELS = 127  # either side of 0
WORTH_IT = 16_384  # numbers; smaller tensors stay in half precision


def narrowed(name: str, tensor: Tensor, storage: Storage) -> dict[str, Tensor]:
    """What is written for a tensor of the networks, by name.

    Args:
        name: in the painter's or the discriminator's state dict, with that prefix.
        tensor: as it is computed with.
        storage: what floating-point weights become.

    Raises:
        BadInput: weights that are not finite have no scale.
    """
    if storage == "float32" or not tensor.is_floating_point() or "running_" in name:
        return {name: tensor.contiguous()}
    if storage == "int8" and name.startswith("painter.generator.") and tensor.ndim == 4 and tensor.numel() >= WORTH_IT:
        if not bool(tensor.isfinite().all()):
            raise BadInput(f"{name}: holds values that are not finite; expected weights that can be stored in 8 bits")
        # Scales of 8 bits: 127 times one is exact, so that what is read is written again to the bit.
        scales = (tensor.float().abs().amax((1, 2, 3)) / LEVELS).bfloat16().clamp(min=torch.finfo(torch.bfloat16).tiny)
        levels = (tensor.float() / scales.float()[:, None, None, None]).round().clamp(-LEVELS, LEVELS)
        return {name: levels.to(torch.int8).contiguous(), name + SCALE: scales}
    return {name: tensor.half().contiguous()}


def storage_of(tensors: Mapping[str, Tensor]) -> Storage:
    """How a file's networks are stored."""
    dtypes = {t.dtype for name, t in tensors.items() if name.startswith(("painter.", "discriminator."))}
    return "int8" if torch.int8 in dtypes else "float16" if torch.float16 in dtypes else "float32"


def widened(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All tensors of a file as they are computed with: fp32, or integers.

    Raises:
        BadInput: 8-bit weights that do not belong to a convolution, or without a positive scale for each output.
    """
    wide: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.dtype == torch.int8:
            wide[name] = tensor.float() * _scales(name, tensors)[:, None, None, None]
        elif tensor.is_floating_point() and not _is_scale(name, tensors):
            wide[name] = tensor.float()
        elif not tensor.is_floating_point():
            wide[name] = tensor
    return wide


def _scales(name: str, tensors: Mapping[str, Tensor]) -> Tensor:
    """The scales (outputs,) of an 8-bit tensor, in fp32."""
    weight, scales = tensors[name], tensors.get(name + SCALE)
    if weight.ndim != 4:
        raise BadInput(f"8-bit tensor {name!r} has {weight.ndim} axes, expected a convolution's 4")
    if scales is None or scales.shape != weight.shape[:1] or not scales.is_floating_point():
        found = "none" if scales is None else f"{tuple(scales.shape)} {scales.dtype}"
        raise BadInput(f"8-bit tensor {name!r} of {tuple(weight.shape)} needs a scale an output, found {found}")
    if not bool((scales.isfinite() & (scales > 0)).all()):
        raise BadInput(f"8-bit tensor {name!r} has scales that are not positive numbers")
    return scales.float()


def _is_scale(name: str, tensors: Mapping[str, Tensor]) -> bool:
    whose = tensors.get(name.removesuffix(SCALE)) if name.endswith(SCALE) else None
    return whose is not None and whose.dtype == torch.int8
