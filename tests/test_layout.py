from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import distance_transform_edt

from reference_layout import distances, reference_layout
from sian.errors import BadInput
from sian.layout import DIRECTION_CLASSES, Layout, describe, turn_image
from sian.layout import direction as direction_module
from sian.layout import distance as distance_module
from sian.layout.picture import picture

if TYPE_CHECKING:
    from pathlib import Path

ALL_TURNS = [(turns, flip) for turns in range(4) for flip in (False, True)]

quick = settings(deadline=None, max_examples=80, derandomize=True)


@st.composite
def blobs(draw: st.DrawFn) -> np.ndarray:
    """Discs, rings and boxes painted over each other: they touch, leave the tile, cut each other up."""
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    y, x = np.mgrid[:height, :width]
    mask = np.zeros((height, width), np.int64)
    for _ in range(draw(st.integers(0, 8))):
        cy, cx = draw(st.integers(-3, height + 3)), draw(st.integers(-3, width + 3))
        radius, hole = draw(st.integers(0, 12)), draw(st.integers(-1, 6))
        box = draw(st.booleans())
        r2 = np.maximum(abs(y - cy), abs(x - cx)) ** 2 if box else (y - cy) ** 2 + (x - cx) ** 2
        mask[(r2 <= radius**2) & (r2 > hole * abs(hole))] = draw(st.sampled_from([0, 1, 2, 7, 70_000, 2**40]))
    return mask


def noise() -> st.SearchStrategy[np.ndarray]:
    """Every pixel by itself: many pieces, one-pixel nuclei, touching everywhere."""
    shapes = st.tuples(st.integers(1, 12), st.integers(1, 12))
    return arrays(np.int32, shapes, elements=st.sampled_from([0, 1, 2, 3, 65_535, 65_536]))


def assert_equals_reference(mask: np.ndarray) -> Layout:
    layout = describe(mask)
    semantic, direction, distance = reference_layout(mask)
    np.testing.assert_array_equal(layout.semantic, semantic)
    np.testing.assert_array_equal(layout.direction, direction)
    np.testing.assert_allclose(layout.distance, distance, rtol=0, atol=1e-5)
    return layout


# Worked out by hand


def test_rectangle_by_hand() -> None:
    mask = np.zeros((5, 7), np.uint8)
    mask[1:4, 1:6] = 9
    layout = describe(mask)
    assert layout.direction[1:4, 1:6].tolist() == [
        # R = sqrt(5), so that only the centre and its four neighbours are near
        [10, 10, 3, 12, 12],
        [9, 1, 1, 5, 13],
        [16, 16, 7, 14, 14],
    ]
    # Thinning leaves the first three pixels of the middle row and the fourth of the first; the three in
    # the middle are 2 deep, all others 1.
    root2, root5 = np.sqrt(2), np.sqrt(5)
    np.testing.assert_allclose(
        layout.distance[1:4, 1:6],
        [
            [1 / 2, 1 / 2, 1 / 2, 1, 1 / 2],
            [1, 1, 1, 2 / 3, 1 / (1 + root2)],
            [1 / 2, 1 / 2, 1 / 2, 1 / (1 + root2), 1 / (1 + root5)],
        ],
        atol=1e-6,
    )
    assert not layout.direction[mask == 0].any()
    assert not layout.distance[mask == 0].any()
    assert np.argwhere(layout.centre).tolist() == [[2, 3]]


def test_disc_by_hand() -> None:
    y, x = np.mgrid[-4:5, -4:5]
    layout = describe((y * y + x * x <= 9).astype(np.int32))
    centre = 4
    towards_centroid = {  # (down, right) of the pixel -> P; R = 3, near up to 1.5
        (0, 0): 1,
        (0, -1): 1,
        (0, -3): 9,
        (-1, -1): 2,
        (-2, -2): 10,
        (-1, -2): 10,  # 26.6 degrees: nearer to the diagonal
        (-1, 0): 3,
        (-3, 0): 11,
        (-2, 2): 12,
        (0, 1): 5,
        (0, 3): 13,
        (2, 2): 14,
        (3, 0): 15,
        (2, -2): 16,
    }
    for (down, right), expected in towards_centroid.items():
        assert layout.direction[centre + down, centre + right] == expected, (down, right)
    # Thinning ends a pixel beside the centre, which is sqrt(10) deep.
    assert layout.distance[centre, centre] == pytest.approx(np.sqrt(10) / (np.sqrt(10) + 1))


def test_one_pixel_is_its_own_skeleton() -> None:
    layout = assert_equals_reference(np.array([[0, 0, 0], [0, 4, 0], [0, 0, 0]]))
    assert layout.direction.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert layout.distance.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_outside_the_tile_is_not_the_nucleus() -> None:
    full = np.ones((9, 9), np.int32)
    layout = assert_equals_reference(full)
    assert_same(layout, describe(np.pad(full, 3)).window(3, 3, 9, 9))


def test_background_only() -> None:
    layout = describe(np.zeros((4, 6), np.int32))
    assert layout.shape == (4, 6)
    for mask in (layout.semantic, layout.direction, layout.distance):
        assert not mask.any()


def test_empty_skeleton_falls_back_to_the_deepest_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distance_module, "_skeleton", np.zeros_like)
    mask = np.zeros((7, 9), np.int32)
    mask[1:6, 1:8] = 1
    for limit in (0, 10_000):
        monkeypatch.setattr(distance_module, "_ALONE_FROM_AREA", limit)
        assert np.argwhere(describe(mask).distance == 1).tolist() == [[3, 3], [3, 4], [3, 5]]


# Against the definition


@given(blobs())
@quick
def test_blobs_equal_the_definition(mask: np.ndarray) -> None:
    assert_equals_reference(mask)


@given(noise())
@quick
def test_noise_equals_the_definition(mask: np.ndarray) -> None:
    assert_equals_reference(mask)


@given(blobs())
@settings(quick, max_examples=30)
def test_the_ways_for_large_nuclei_give_the_same(mask: np.ndarray) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distance_module, "_ALONE_FROM_AREA", 0)
        patch.setattr(direction_module, "_EXACT_IN_INT64", 0)
        assert_equals_reference(mask)


def test_large_nucleus_equals_the_definition() -> None:
    y, x = np.mgrid[:220, :260]
    mask = ((y - 100) ** 2 + (x - 90) ** 2 < 95**2).astype(np.int32)
    mask[(y - 150) ** 2 / 40**2 + (x - 190) ** 2 / 60**2 < 1] = 2
    assert_equals_reference(mask)


def test_numbers_beyond_64_bits_are_exact() -> None:
    row = np.zeros((1, 110_000), np.uint8)
    row[0, :100_000] = 1
    direction = describe(row).direction[0]
    # The centroid lies between the pixels 49,999 and 50,000; R is 49,999.5, half of it 24,999.75.
    assert direction[[24_999, 25_000, 49_999, 50_000, 74_999, 75_000]].tolist() == [9, 1, 1, 5, 5, 13]


@given(blobs())
@settings(quick, max_examples=30)
def test_touching_nuclei_never_see_each_other(mask: np.ndarray) -> None:
    together = describe(mask)
    for nucleus in np.unique(mask[mask > 0]):
        own = mask == nucleus
        alone = describe(own.astype(np.int32))
        np.testing.assert_array_equal(together.direction[own], alone.direction[own])
        np.testing.assert_array_equal(together.distance[own], alone.distance[own])


@given(blobs())
@settings(quick, max_examples=30)
def test_maps_stay_in_their_ranges(mask: np.ndarray) -> None:
    layout = describe(mask)
    assert (layout.direction.dtype, layout.distance.dtype) == (np.uint8, np.float32)
    np.testing.assert_array_equal(layout.semantic, mask > 0)
    np.testing.assert_array_equal(layout.direction > 0, mask > 0)
    np.testing.assert_array_equal(layout.distance > 0, mask > 0)
    assert layout.direction.max(initial=0) < DIRECTION_CLASSES
    assert layout.distance.max(initial=0) <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64, np.uint64])
def test_ids_and_their_type_do_not_matter(dtype: type) -> None:
    mask = np.zeros((8, 12), dtype)
    mask[1:6, 1:5] = np.iinfo(dtype).max
    mask[2:7, 5:11] = 3
    small = np.select([mask == 3, mask > 3], [1, 2]).astype(np.int32)
    np.testing.assert_array_equal(describe(mask).direction, describe(small).direction)
    np.testing.assert_array_equal(describe(mask).distance, describe(small).distance)


def test_nucleus_in_two_pieces_has_one_centroid_and_both_skeletons() -> None:
    mask = np.zeros((5, 20), np.int32)
    mask[1:4, 1:6] = mask[1:4, 14:19] = 5
    layout = assert_equals_reference(mask)
    assert set(layout.direction[1:4, 1:6].ravel()) == {9}  # all of it looks right, to the other piece
    assert (layout.distance[2, [3, 16]] == 1).all()


@pytest.mark.shared
@pytest.mark.parametrize("number", [0, 13])
def test_real_tiles_equal_the_definition(shared: Path, number: int) -> None:
    from PIL import Image

    path = sorted((shared / "data/monuseg/train").glob("*_labels.png"))[number]
    assert_equals_reference(np.array(Image.open(path)).astype(np.int32))


def test_the_reference_needs_no_more_than_the_box() -> None:
    rng = np.random.default_rng(0)
    own = np.pad(rng.random((9, 11)) < 0.8, 1)
    np.testing.assert_array_equal(distances(own), distances(np.pad(own, 7)))


@pytest.mark.parametrize(
    "mask", [np.zeros((4, 4)), np.zeros((4, 4), bool), np.zeros((4, 4, 3), np.uint8), np.array([[-1, 0]])]
)
def test_what_is_no_instance_mask_is_refused(mask: np.ndarray) -> None:
    with pytest.raises(BadInput, match="mask: expected"):
        describe(mask)


# Windows


def test_a_window_is_a_cut_of_the_whole() -> None:
    mask = np.random.default_rng(1).integers(0, 4, (30, 40))
    layout = describe(mask)
    window = layout.window(5, 7, 11, 13)
    cut = np.s_[5:16, 7:20]
    assert window.shape == (11, 13)
    for name in ("semantic", "direction", "distance", "centre"):
        np.testing.assert_array_equal(getattr(window, name), getattr(layout, name)[cut])


@pytest.mark.parametrize("window", [(-1, 0, 2, 2), (0, 3, 4, 2), (3, 0, 2, 4), (0, 0, 0, 4)])
def test_a_window_beyond_the_layout_is_refused(window: tuple[int, int, int, int]) -> None:
    with pytest.raises(BadInput, match="inside the layout of 4 x 4 px"):
        describe(np.zeros((4, 4), np.int32)).window(*window)


# Turns and flips


@given(st.one_of(blobs(), noise()), st.sampled_from(ALL_TURNS))
@quick
def test_turned_directions_point_to_the_turned_centroids(mask: np.ndarray, turn: tuple[int, bool]) -> None:
    turned = describe(mask).turned(*turn)
    semantic, direction, _ = reference_layout(turn_image(mask, *turn))
    np.testing.assert_array_equal(turned.semantic, semantic)
    np.testing.assert_array_equal(turned.direction, direction)


@given(st.one_of(blobs(), noise()), st.sampled_from(ALL_TURNS))
@quick
def test_distance_is_carried_along(mask: np.ndarray, turn: tuple[int, bool]) -> None:
    layout = describe(mask)
    np.testing.assert_array_equal(layout.turned(*turn).distance, turn_image(layout.distance, *turn))


def assert_same(one: Layout, other: Layout) -> None:
    for name in ("semantic", "direction", "distance", "centre"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@given(blobs())
@settings(quick, max_examples=20)
def test_composition(mask: np.ndarray) -> None:
    layout = describe(mask)
    assert_same(layout.turned(0), layout)
    assert_same(layout.turned(4), layout)
    assert_same(layout.turned(-1), layout.turned(3))
    assert_same(layout.turned(1).turned(1), layout.turned(2))
    assert_same(layout.turned(0, True).turned(0, True), layout)
    assert_same(layout.turned(0, True).turned(3), layout.turned(3, True))
    assert_same(layout.turned(1).turned(0, True), layout.turned(-1, True))  # a mirror reverses turns


def test_window_and_turn_commute() -> None:
    layout = describe(np.random.default_rng(2).integers(0, 3, (12, 20)))
    # The window's first row and column after a quarter turn: its last column and first row before.
    assert_same(layout.window(2, 3, 5, 9).turned(1), layout.turned(1).window(20 - 3 - 9, 2, 9, 5))


def test_turn_image_flips_before_it_turns() -> None:
    image = np.arange(12).reshape(2, 2, 3)
    np.testing.assert_array_equal(turn_image(image, 1, True), np.rot90(np.fliplr(image)))
    assert turn_image(image, 3, True).flags.c_contiguous


def test_layout_without_centres_can_be_cut_and_turned() -> None:
    whole = describe(np.ones((3, 3), np.int32))
    bare = Layout(whole.semantic, whole.direction, whole.distance)
    turned = bare.window(0, 0, 3, 2).turned(1)
    assert turned.centre is None
    assert turned.shape == (2, 3)


# In colour


def test_picture_has_a_colour_a_class_and_a_black_background() -> None:
    mask = np.zeros((21, 21), np.int32)
    mask[1:20, 1:20] = 1
    layout = describe(mask)
    painted = picture(layout)
    assert list(painted) == ["semantic", "direction", "distance"]
    assert {(image.shape, image.dtype) for image in painted.values()} == {((21, 21, 3), np.dtype(np.uint8))}
    assert all(not image[mask == 0].any() for image in painted.values())
    assert len(np.unique(painted["direction"].reshape(-1, 3), axis=0)) == DIRECTION_CLASSES
    brightness = painted["distance"].sum(-1)
    assert brightness[layout.distance == 1].min() > brightness[mask == 1].mean()


# What only baselines are given


@quick
@given(st.one_of(blobs(), noise()))
def test_boundary_and_depth_against_the_plain_definition(mask: np.ndarray) -> None:
    layout = describe(mask)
    height, width = mask.shape
    boundary, depth = np.zeros(mask.shape, bool), np.zeros(mask.shape)
    for y in range(height):
        for x in range(width):
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            boundary[y, x] = any(0 <= i < height and 0 <= j < width and mask[i, j] != mask[y, x] for i, j in around)
    for value in np.unique(mask[mask > 0]):
        own = np.pad(mask == value, 1)  # what lies outside the tile is not of this nucleus
        to_outline = distance_transform_edt(own)[1:-1, 1:-1]
        depth += to_outline / to_outline.max()
    np.testing.assert_array_equal(layout.boundary, boundary)
    np.testing.assert_allclose(layout.depth, depth, atol=1e-6)


@pytest.mark.parametrize(("turns", "flip"), ALL_TURNS)
def test_boundary_and_depth_are_cut_and_turned_along(turns: int, flip: bool) -> None:
    mask = np.random.default_rng(3).integers(0, 3, (14, 11)).repeat(3, 0).repeat(3, 1)
    whole = describe(mask)
    turned, plain = whole.turned(turns, flip), describe(turn_image(mask, turns, flip))
    assert turned.boundary is not None
    assert turned.depth is not None
    np.testing.assert_array_equal(turned.boundary, plain.boundary)  # unlike skeletons, both commute with turns
    np.testing.assert_allclose(turned.depth, plain.depth, atol=1e-6)
    window = whole.window(4, 5, 20, 9)
    np.testing.assert_array_equal(window.depth, whole.depth[4:24, 5:14])  # type: ignore[index]
    np.testing.assert_array_equal(window.boundary, whole.boundary[4:24, 5:14])  # type: ignore[index]
