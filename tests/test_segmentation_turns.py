"""Test-time augmentation of segmenters: the eight views, and the way back from each."""

from __future__ import annotations

import numpy as np
import pytest
from tests.synthesis.toys import grid_mask

from sian import segmentation
from sian.layout import describe, turn_image
from sian.segmentation.instances import deciding_maps
from sian.segmentation.turns import averaged


def said_by_layout(image):
    """What a perfect U-Net says: the layout of the mask that the picture shows, as logits, and of them what decides."""
    layout = describe(image[..., 0].astype(np.int32))
    inside = np.where(layout.semantic, 9.0, -9.0)[None]
    direction = np.where(np.arange(17)[:, None, None] == layout.direction, 9.0, 0.0)
    return deciding_maps("unet", np.concatenate([inside, direction, layout.distance[None]]).astype(np.float32))


def test_every_view_of_a_perfect_unet_comes_back_to_the_same_layout():
    mask = grid_mask(96, 70).astype(np.uint8)
    layout, found = describe(mask.astype(np.int32)), averaged("unet", said_by_layout, np.dstack([mask] * 3))
    assert found.shape == (3, 96, 70)
    np.testing.assert_array_equal(found[0] > 0, layout.semantic)
    # Skeletons do not commute with flips, so nearly all pixels agree, not all.
    assert np.abs(found[2] - layout.distance)[layout.semantic].mean() < 0.02
    inner = (layout.direction >= 1) & (layout.direction <= 8)
    assert ((found[1] > 0.5) == inner)[layout.semantic].mean() > 0.95


@pytest.mark.parametrize("kind", ["segnet", "unet"])
def test_what_is_said_turns_with_the_image(kind):
    segmenter = segmentation.untrained(kind, 2, seed=3)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    once = segmenter.maps(image)[0]
    segmenter.tta = True
    straight, turned = segmenter.maps(image)[0], segmenter.maps(turn_image(image, 1, True))[0]
    np.testing.assert_allclose(turn_image(straight, 1, True), turned, atol=1e-4)
    assert np.abs(straight - once).max() > 1e-3  # it does change what one view says


def test_a_network_that_is_very_sure_overflows_nothing():
    sure = np.full((3, 32, 32), -200.0, np.float32)  # 1 / (1 + exp(200)) is no float32, and a warning is an error here
    found = averaged("unet", lambda _: sure, np.zeros((32, 32, 3), np.uint8))
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert (found[0] < 0).all()
