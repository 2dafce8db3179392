"""Per-pixel noise: standard normal, and a function of seed, level and absolute position."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sian.networks import noise_at, training_noise


def test_moments_are_those_of_a_standard_normal():
    values = noise_at(1, 0, 0, 0, 1024, 1024).numpy().ravel()
    moments = [values.mean(), values.var(), (values**3).mean(), (values**4).mean()]
    np.testing.assert_allclose(moments, [0, 1, 0, 3], atol=0.02)
    quantiles = np.quantile(values, [0.001, 0.1587, 0.5, 0.8413, 0.999])
    np.testing.assert_allclose(quantiles, [-3.0902, -1, 0, 1, 3.0902], atol=0.03)


@pytest.mark.parametrize("step", [(0, 1), (1, 0), (1, 1), (7, 3)])
def test_neighbours_are_not_correlated(step):
    values = noise_at(5, 2, 0, 0, 512, 512)[0, 0].numpy()
    moved = values[step[0] :, step[1] :]
    assert abs(np.mean(values[: moved.shape[0], : moved.shape[1]] * moved)) < 0.01


@pytest.mark.parametrize(("y", "x"), [(0, 0), (-20, 7), (-64, -64), (100000, 250000), (2**31 - 20, -(2**31))])
def test_overlapping_windows_agree(y, x):
    large = noise_at(3, 1, y, x, 40, 50)
    assert large.shape == (1, 1, 40, 50)
    assert large.dtype == torch.float32
    assert torch.equal(noise_at(3, 1, y + 5, x + 9, 20, 30), large[..., 5:25, 9:39])


def test_negative_positions_are_not_mirrored():
    assert not torch.equal(noise_at(3, 1, -8, 0, 8, 8), noise_at(3, 1, 0, 0, 8, 8).flip(2))
    assert torch.equal(noise_at(3, 1, -8, 0, 16, 8)[..., 8:, :], noise_at(3, 1, 0, 0, 8, 8))


def test_differs_by_seed_and_level():
    fields = [noise_at(seed, level, 0, 0, 64, 64).numpy().ravel() for seed in (0, 1, 2**60) for level in range(6)]
    correlation = np.corrcoef(fields) - np.eye(len(fields))
    assert np.abs(correlation).max() < 0.08


def test_training_noise_is_for_the_blocks_that_take_it():
    maps = training_noise((4, 6), 3, 64, 96, torch.Generator().manual_seed(0))
    assert [None if field is None else tuple(field.shape) for field in maps] == [
        *[None] * 4,
        (3, 1, 16, 24),
        None,
        (3, 1, 64, 96),
    ]
    again = training_noise((4, 6), 3, 64, 96, torch.Generator().manual_seed(0))
    assert torch.equal(maps[6], again[6])
