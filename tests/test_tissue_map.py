"""Tissue maps: where it is empty, dense and fibrous, whatever the stain; cut and turned with their layout."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import sian
from sian.data.stains import restain
from sian.errors import BadInput
from sian.layout.tissue_map import CELL, FULL, tissue_layers
from sian.layout.tissue_of_image import tissue_map, tissue_map_in_parts

STRIPES = 6  # px from one fibre to the next


def blobs(height: int, width: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    mask = np.zeros((height, width), np.int32)
    for number in range(1, 1 + height * width // 3000):
        cy, cx = random.uniform(0, height), random.uniform(0, width)
        mask[(y - cy) ** 2 + (x - cx) ** 2 < 64] = number
    return mask


def tissue(height: int = 208, width: int = 240, angle: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Stroma with fibres at an angle on the left, paler in the middle, empty on the right; nuclei everywhere."""
    y, x = np.mgrid[:height, :width]
    mask = blobs(height, width)
    fibres = 1 + 0.3 * np.sin(2 * np.pi * (y * np.cos(angle) - x * np.sin(angle)) / STRIPES)
    amount = np.where(x < width // 3, 0.9 * fibres, np.where(x < 2 * width // 3, 0.62, 0.0))
    density = amount[..., None] * np.array([0.3, 1.0, 0.5])
    density = np.where(mask[..., None] > 0, np.array([1.4, 1.5, 0.8]), density)
    noise = np.random.default_rng(1).normal(0, 0.01, density.shape)
    return np.round(255 * np.exp(-np.clip(density + noise, 0, None))).astype(np.uint8), mask


def recoloured(image: np.ndarray, seed: int) -> np.ndarray:
    """The training's own stain jitter, at its largest."""
    random = torch.Generator().manual_seed(seed)
    more, shift, hue = (
        size * (torch.rand(shape, generator=random) * 2 - 1)
        for size, shape in ((0.4, (1, 3)), (0.4, (1, 3)), (0.1, (1, 3, 3)))
    )
    pictures = restain(torch.from_numpy(image).permute(2, 0, 1)[None] / 255, more, shift, hue)
    return (255 * pictures[0].permute(1, 2, 0)).round().byte().numpy()


def test_what_is_empty_dense_and_fibrous_is_found():
    image, mask = tissue()
    found = tissue_map(image, mask)
    left, middle, right = (found[2:-2, columns].mean((0, 1)) for columns in (slice(1, 4), slice(6, 9), slice(11, 15)))
    assert found.shape == (13, 15, 4)
    assert found.dtype == np.float32
    assert right[0] > 0.95
    assert max(left[0], middle[0]) < 0.05
    assert left[1] > 0.4 > 0 > middle[1]
    assert left[2] > 0.6  # fibres along x: twice the angle is 0
    assert abs(left[3]) < 0.1
    assert abs(middle[2]) < 0.2


@pytest.mark.parametrize(("angle", "expected"), [(0, (1, 0)), (45, (0, 1)), (90, (-1, 0)), (135, (0, -1))])
def test_angles_count_from_x_to_y(angle, expected):
    image, mask = tissue(angle=np.deg2rad(angle))
    along, across = tissue_map(image, mask)[2:-2, 1:4, 2:].mean((0, 1))
    assert np.dot((along, across), expected) > 0.6
    assert abs(along * expected[1] - across * expected[0]) < 0.15


@pytest.mark.parametrize("seed", range(4))
def test_the_map_of_a_recoloured_twin_is_the_same(seed):
    image, mask = tissue()
    twin = recoloured(image, seed)
    assert np.abs(image.astype(float) - twin).mean() > 4  # it is of another colour
    off = np.abs(tissue_map(image, mask) - tissue_map(twin, mask))
    assert off.mean((0, 1)).max() < 0.1


def test_a_stain_matched_to_another_picture_leaves_the_map_alone():
    """After Reinhard et al. 2001: mean and deviation of each channel in L*a*b*, of a picture that has white, too."""
    from skimage.color import lab2rgb, rgb2lab

    image, mask = tissue()
    source, target = rgb2lab(image), rgb2lab(recoloured(np.roll(image, 60, 1), 9))
    matched = (source - source.mean((0, 1))) / source.std((0, 1)) * target.std((0, 1)) + target.mean((0, 1))
    twin = np.round(255 * np.clip(lab2rgb(matched), 0, 1)).astype(np.uint8)
    assert np.abs(image.astype(float) - twin).mean() > 4
    assert np.abs(tissue_map(image, mask) - tissue_map(twin, mask)).mean((0, 1)).max() < 0.06


def test_nuclei_do_not_show():
    image, mask = tissue()
    pale = image.copy()
    pale[mask > 0] = np.round(0.5 * pale[mask > 0] + 60)
    assert np.abs(tissue_map(image, mask)[..., 1:] - tissue_map(pale, mask)[..., 1:]).max() < 0.05


def test_windows_are_parts_of_the_whole_map_and_turn_with_their_image():
    image, mask = tissue(angle=0.5)
    whole = sian.describe(mask, tissue=image)
    assert whole.tissue is not None
    assert whole.tissue.shape == (*mask.shape, 5)
    window = whole.window(37, 51, 96, 80)
    assert np.array_equal(window.tissue, whole.tissue[37:133, 51:131])
    square = whole.window(0, 0, 208, 208)
    for turns, flip in [(1, False), (2, False), (3, True), (0, True)]:
        turned = square.turned(turns, flip)
        picture, ids = (sian.layout.turn_image(part[:208, :208], turns, flip) for part in (image, mask))
        anew = sian.describe(ids, tissue=picture)
        apart = np.abs(turned.tissue.astype(int) - anew.tissue)
        inner = apart[32:-32, 32:-32]  # the window's medians are not the whole's, and neither are its borders
        assert inner.mean((0, 1)).max() < 0.12 * FULL


@pytest.mark.parametrize("shape", [(208, 240), (331, 517), (16, 700)])
def test_parts_give_the_same_map(shape):
    """Whatever the parts, and what no part tells alone: quantiles, and the far surroundings of an empty middle."""
    image, mask = tissue(*shape, angle=0.4)
    image[:, shape[1] // 3 : shape[1] // 3 + 60] = 255
    asked = []

    def read(box):
        asked.append(box)
        return image[box[0] : box[2], box[1] : box[3]], mask[box[0] : box[2], box[1] : box[3]]

    whole = tissue_map(image, mask)
    for side in (96, 160, 256):
        np.testing.assert_array_equal(tissue_map_in_parts(read, shape, side), whole)
    assert max(box[3] - box[1] for box in asked) <= min(256 + 2 * 144, shape[1])
    everywhere = np.ones(shape, int)  # nuclei all over are left in, also by parts
    whole = tissue_map(image, everywhere)
    parts = tissue_map_in_parts(lambda box: (read(box)[0], everywhere[box[0] : box[2], box[1] : box[3]]), shape, 96)
    np.testing.assert_array_equal(parts, whole)


def test_layers_of_a_part_are_those_of_the_whole():
    values = np.random.default_rng(0).uniform(0, 1, (7, 9, 4)).astype(np.float32)
    values[2:4, 3:5] = np.nan
    shape = (7 * CELL - 3, 9 * CELL - 9)
    whole = tissue_layers(values, shape)
    for top, left, height, width in [
        (0, 0, *shape),
        (5, 40, 30, 60),
        (100, 130, 9, 5),
        (23, 24, 1, 1),
        (31, 8, 33, 16),
    ]:
        part = tissue_layers(values, shape, (top, left, height, width))
        np.testing.assert_array_equal(part, whole[top : top + height, left : left + width])


def test_a_map_drawn_by_hand_reaches_the_pixels():
    values = np.zeros((4, 3, 4), np.float32)
    values[..., 0] = np.linspace(0, 1, 3)[None]
    values[:2, 0] = np.nan
    layers = tissue_layers(values, (4 * CELL, 3 * CELL - 5))
    middle = layers[50, CELL // 2 :: CELL, 1]
    assert middle.tolist() == pytest.approx([0, 64, 127], abs=3)
    assert (layers[:8, :8] == 0).all()  # nothing said
    assert (layers[-8:, :, 0] == FULL).all()
    a_pixel = np.zeros((64, 43, 4))
    assert tissue_layers(a_pixel, (64, 43)).shape == (64, 43, 5)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((4, 4, 4)), r"expected \(4, 3, 4\) floating-point numbers, one for 16 px of 64 x 43 px"),
        (np.zeros((4, 3, 4), int), "found .* int64"),
        (np.full((4, 3, 4), -0.5), "from 0 for what is empty"),
        (np.full((4, 3, 4), 2.0), "expected values from -1 to 1"),
    ],
)
def test_maps_that_are_none_are_refused(values, said):
    with pytest.raises(BadInput, match=said):
        tissue_layers(values, (64, 43))


def test_an_image_of_another_size_is_refused():
    with pytest.raises(BadInput, match="give the image that the mask was drawn on"):
        sian.describe(np.zeros((40, 48), int), tissue=np.zeros((40, 47, 3), np.uint8))


@pytest.mark.parametrize("shape", [(1, 1), (17, 40), (64, 31)])
def test_any_size_and_any_content(shape):
    mask = np.zeros(shape, int)
    for image in (np.zeros((*shape, 3), np.uint8), np.full((*shape, 3), 255, np.uint8)):
        for ids in (mask, mask + 1):
            layers = sian.describe(ids, tissue=image).tissue
            assert layers.shape == (*shape, 5)
            assert (layers[..., 0] == FULL).all()
