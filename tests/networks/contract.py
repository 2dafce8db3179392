"""What every network keeps: a test class inherits `NetworkContract` and says how to build and to feed its network."""

from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm

from sian.training.average import estimate_batch_norm

Inputs = tuple[Tensor, ...]


def outputs_of(result: object) -> list[Tensor]:
    """All tensors of a network's output, whatever its nesting."""
    if isinstance(result, Tensor):
        return [result]
    values = result.values() if isinstance(result, dict) else result
    return [tensor for value in values for tensor in outputs_of(value)]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def values_per_channel(network: nn.Module, inputs: Inputs) -> dict[nn.BatchNorm2d, int]:
    """How many values each batch norm averages over."""
    counts: dict[nn.BatchNorm2d, int] = {}
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    hooks = [
        norm.register_forward_hook(lambda part, given, _: counts.update({part: given[0][:, 0].numel()}))
        for norm in norms
    ]
    network(*inputs)
    for hook in hooks:
        hook.remove()
    return counts


class NetworkContract:
    """Sizes, batch of one, half precision, save and load, gradients, eval against train."""

    sizes: tuple[tuple[int, int], ...] = ((64, 64), (64, 96), (128, 64))

    def network(self) -> nn.Module:
        raise NotImplementedError

    def inputs(self, n: int, height: int, width: int) -> Inputs:
        raise NotImplementedError

    def check_shapes(self, outputs: list[Tensor], size: tuple[int, int, int]) -> None:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _seeded(self):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            yield

    def test_sizes(self):
        network = self.network()
        for height, width in self.sizes:
            outputs = outputs_of(network(*self.inputs(2, height, width)))
            self.check_shapes(outputs, (2, height, width))
            assert all(bool(tensor.isfinite().all()) for tensor in outputs)

    @torch.no_grad()
    def test_batch_of_one_in_eval_equals_the_batch(self):
        network = self.network().eval()
        inputs = self.inputs(3, *self.sizes[0])
        alone = outputs_of(network(*(tensor[1:2] for tensor in inputs)))
        together = outputs_of(network(*inputs))
        for one, all_ in zip(alone, together, strict=True):
            torch.testing.assert_close(one, all_[1:2], atol=1e-5, rtol=1e-5)

    @torch.no_grad()
    def test_half_precision(self):
        network = self.network().eval()
        inputs = self.inputs(2, *self.sizes[0])
        half = copy.deepcopy(network).bfloat16()
        with torch.autocast("cpu", torch.bfloat16):
            mixed = outputs_of(network(*inputs))
        halved = outputs_of(half(*(tensor.bfloat16() for tensor in inputs)))
        for full, *others in zip(outputs_of(network(*inputs)), mixed, halved, strict=True):
            for other in others:
                scale = float(full.abs().max()) + 1e-3
                assert float((other.float() - full).abs().mean()) < 0.05 * scale

    @torch.no_grad()
    def test_saved_and_loaded_it_is_the_same(self):
        network, fresh = self.network(), self.network()
        for parameter in fresh.parameters():
            parameter.add_(0.1)
        state = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
        fresh.load_state_dict(load(save(state)))
        inputs = self.inputs(2, *self.sizes[0])
        for a, b in zip(outputs_of(network.eval()(*inputs)), outputs_of(fresh.eval()(*inputs)), strict=True):
            assert torch.equal(a, b)

    def test_gradients_reach_every_parameter(self):
        network = self.network().train()
        outputs = outputs_of(network(*self.inputs(2, *self.sizes[0])))
        torch.stack([(tensor * random(*tensor.shape, seed=9)).sum() for tensor in outputs]).sum().backward()
        without = [
            name
            for name, parameter in network.named_parameters()
            if parameter.requires_grad and (parameter.grad is None or not bool(parameter.grad.any()))
        ]
        assert without == []

    @torch.no_grad()
    def test_eval_equals_train_statistics(self):
        network = self.network()
        inputs = self.inputs(4, *self.sizes[-1])

        def run() -> object:
            for part in network.modules():
                if isinstance(part, _SpectralNorm):
                    part.training = False  # no power iteration, the weights stay
            return network(*inputs)

        network.train()
        trained, counts = outputs_of(run()), values_per_channel(network, inputs)
        estimate_batch_norm(network, [run])
        for norm, n in counts.items():
            norm.running_var *= (n - 1) / n  # kept of the population; while training, the sample's is used
        for a, b in zip(trained, outputs_of(network.eval()(*inputs)), strict=True):
            torch.testing.assert_close(a, b, atol=2e-3, rtol=1e-3)
