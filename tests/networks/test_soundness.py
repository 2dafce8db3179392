"""Weights that no training makes."""

import pytest
import torch

from sian.networks.soundness import weight_problem


def test_weights_of_types_that_torch_cannot_judge():
    for kind in (torch.complex64, torch.uint16, torch.uint32, torch.uint64):
        assert str(kind).removeprefix("torch.") in weight_problem("a", torch.zeros(3).to(kind))


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("a.weight", [0.0, 30.0], ""),
        ("a.weight", [], ""),
        ("a.weight", [1.0, float("nan")], "not finite"),
        ("a.weight", [1.0, -float("inf")], "not finite"),
        ("a.weight", [1.0, -60_000.0], "a weight of -60000"),
        ("norm.running_var", [0.0, 1e6], ""),
        ("norm.running_var", [1.0, -1e-9], "a negative variance"),
        ("norm.running_mean", [-1e6], ""),
        ("norm.num_batches_tracked", [100_000], ""),
    ],
)
def test_weights(name, values, found):
    problem = weight_problem(name, torch.tensor(values))
    assert problem.startswith(found) or found in problem
    assert bool(problem) == bool(found)
