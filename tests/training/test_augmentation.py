"""Translation and cutout against a plain loop over pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sian.training.augmentation import Augmentation, draw


def plain(pair: np.ndarray, augmentation: Augmentation) -> np.ndarray:
    """Move each image by its shift, then blank its square; one pixel at a time."""
    result = np.zeros_like(pair)
    n, _, height, width = pair.shape
    for i in range(n):
        dy, dx = (0, 0) if augmentation.shift is None else augmentation.shift[i].tolist()
        for y in range(height):
            for x in range(width):
                if 0 <= y - dy < height and 0 <= x - dx < width:
                    result[i, :, y, x] = pair[i, :, y - dy, x - dx]
                if augmentation.cut_at is not None:
                    top, left = augmentation.cut_at[i].tolist()
                    size = augmentation.cut_size
                    if top <= y < top + size and left <= x < left + size:
                        result[i, :, y, x] = 0
    return result


@pytest.mark.parametrize(("translation", "cutout"), [(0.25, 0.0), (0.0, 0.4), (0.125, 0.3), (0.0, 0.0)])
@pytest.mark.parametrize("seed", [0, 1])
def test_against_a_plain_loop(translation, cutout, seed):
    random = torch.Generator().manual_seed(seed)
    pair = torch.randn(4, 3, 16, 16, generator=random)
    augmentation = draw(4, 16, translation, cutout, random)
    np.testing.assert_array_equal(augmentation(pair).numpy(), plain(pair.numpy(), augmentation))


def test_one_draw_serves_both():
    random = torch.Generator().manual_seed(0)
    augmentation, ones = draw(8, 32, 0.125, 0.3, random), torch.ones(8, 2, 32, 32)
    assert torch.equal(augmentation(ones), augmentation(ones))
    assert torch.equal(augmentation(3 * ones), 3 * augmentation(ones))


def test_draws_reach_their_limits_and_depend_on_the_generator():
    many = draw(4000, 40, 0.125, 0.3, torch.Generator().manual_seed(0))
    assert (int(many.shift.min()), int(many.shift.max())) == (-5, 5)
    assert many.cut_size == 12
    assert (int(many.cut_at.min()), int(many.cut_at.max())) == (-6, 33)  # its middle anywhere in the image
    again = draw(4000, 40, 0.125, 0.3, torch.Generator().manual_seed(0))
    assert torch.equal(many.shift, again.shift)
    assert not torch.equal(many.shift, draw(4000, 40, 0.125, 0.3, torch.Generator().manual_seed(1)).shift)


def test_gradients_flow_to_what_stays():
    pair = torch.ones(2, 1, 16, 16, requires_grad=True)
    augmentation = Augmentation(torch.tensor([[2, -1], [0, 0]]), torch.tensor([[0, 0], [12, 12]]), 6)
    augmentation(pair).sum().backward()
    stays = np.ones((2, 1, 16, 16))
    stays[0, :, 14:] = stays[0, :, :, :1] = 0  # moved out below and to the left
    stays[0, :, :4, :7] = 0  # under the square, which lies at (-2, 1) of the unmoved image
    stays[0, :, :4, 0] = 0
    stays[1, :, 12:, 12:] = 0
    np.testing.assert_array_equal(pair.grad.numpy(), stays)
