"""EMA of the weights, kept with spectral norm folded in, and batch norm estimated anew for it.

The average is a network of its own without spectral norm: what is averaged is the weight that was used (divided by
sigma), so u and v never enter an average and a model file needs no parametrisation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

if TYPE_CHECKING:
    from collections.abc import Callable


def folded(module: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers of a network by their names without spectral norm, sigma divided in (no power iteration)."""
    state: dict[str, Tensor] = {}
    for prefix, part in module.named_modules():
        if "parametrizations" in prefix:
            continue
        dot = f"{prefix}." if prefix else ""
        for name, tensor in [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]:
            state[dot + name] = tensor.detach()
        if isinstance(part, nn.Module) and parametrize.is_parametrized(part):
            for name, chain in part.parametrizations.items():  # type: ignore[union-attr, operator]
                was_training = chain.training
                chain.eval()
                state[dot + name] = getattr(part, name).detach()
                chain.train(was_training)
    return state


def decay(images: int, batch: int, half_life: float, ramp: float) -> float:
    """The factor that keeps half of the old average after `half_life` images, or `ramp` of the images seen so far."""
    return float(0.5 ** (batch / max(1e-8, min(half_life, ramp * images))))


@torch.no_grad()
def update(average: nn.Module, source: nn.Module, factor: float) -> None:
    """Set average = factor * average + (1 - factor) * source; buffers (batch norm's statistics) are copied."""
    state = folded(source)
    for name, parameter in average.named_parameters():
        parameter.lerp_(state[name].to(parameter.dtype), 1 - factor)
    for name, buffer in average.named_buffers():
        buffer.copy_(state[name])


@torch.no_grad()
def estimate_batch_norm(network: nn.Module, batches: Iterable[Callable[[], object]]) -> None:
    """Set batch norm's statistics to their mean over the batches; each item runs the network once.

    Every other setting of the network is left as it was.
    """
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    if not norms:
        return
    momenta, modes = [norm.momentum for norm in norms], [(part, part.training) for part in network.modules()]
    network.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative mean
    try:
        for run in batches:
            run()
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for part, mode in modes:
            part.training = mode
