"""Are these a trained network's weights? What no training makes, but a damaged or forged file holds."""

from __future__ import annotations

import torch
from torch import Tensor

# The largest weights of trained networks here are about 30; half precision ends at 65,504, where damage shows.
LARGEST_WEIGHT = 10_000.0
UNUSUAL = (torch.complex32, torch.complex64, torch.complex128, torch.uint16, torch.uint32, torch.uint64)
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of features, which may be large


def weight_problem(name: str, tensor: Tensor) -> str:
    """What is wrong with a tensor of a state dict, as a part of a sentence; "" for nothing.

    Args:
        name: in the state dict; batch norm's statistics are told by it.
        tensor: of any shape and dtype.

    >>> weight_problem("norm.running_var", torch.tensor([1.0, -0.5]))
    'a negative variance (-0.5)'
    """
    if not tensor.numel():
        return ""
    if tensor.dtype in UNUSUAL:  # of which torch cannot tell the largest
        return f"numbers of type {str(tensor.dtype).removeprefix('torch.')}"
    low, high = (float(value) for value in torch.aminmax(tensor))
    if not (abs(low) < float("inf") and abs(high) < float("inf")):  # nan as well
        return "values that are not finite"
    if name.endswith("running_var") and low < 0:
        return f"a negative variance ({low:g})"
    if not name.endswith(STATISTICS) and max(-low, high) > LARGEST_WEIGHT:
        return f"a weight of {max(low, high, key=abs):g}, expected at most {LARGEST_WEIGHT:,.0f} either side of 0"
    return ""
