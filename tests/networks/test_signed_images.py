"""8-bit values to numbers from -1 to 1, and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sian.networks import pixels_of, signed, signed_images


def test_every_value_comes_back() -> None:
    values = np.arange(256 * 3, dtype=np.uint16).astype(np.uint8).reshape(1, 16, 16, 3)
    images = signed_images(values)
    assert images.shape == (1, 3, 16, 16)
    assert (float(images.min()), float(images.max())) == (-1, 1)
    assert float(images[0, 1, 0, 2]) == pytest.approx(values[0, 0, 2, 1] / 255 * 2 - 1)
    np.testing.assert_array_equal(pixels_of(images), values)


def test_what_is_out_of_range_is_cut() -> None:
    images = torch.tensor([-1.5, -1.0, 0.0, 1.0, 7.0]).reshape(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert pixels_of(images)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_bytes_of_any_shape() -> None:
    assert signed(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1, 1]
