"""Each tool against the plain definition of what it does."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from sian.errors import BadInput
from sian.studio_app import editing
from sian.studio_app.inventing import fill

SHAPE = (40, 50)


def changed(mask: np.ndarray, change: editing.Change) -> np.ndarray:
    top, left, bottom, right = change.box
    after = mask.copy()
    after[top:bottom, left:right] = change.after
    return after


def whole(region: tuple[int, int, np.ndarray], shape: tuple[int, int] = SHAPE) -> np.ndarray:
    top, left, inside = region
    found = np.zeros(shape, bool)
    found[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return found


@pytest.fixture
def mask() -> np.ndarray:
    found = np.zeros(SHAPE, np.int32)
    found[5:15, 5:20] = 3
    found[5:15, 20:30] = 8
    found[25:35, 10:22] = 9
    return found


def distance_by_steps(way: list[tuple[float, float]]) -> np.ndarray:
    """From each pixel's centre to a way that is walked in steps of 0.005 px."""
    steps = np.concatenate(
        [np.linspace(a, b, 2 + int(np.hypot(*np.subtract(b, a)) / 0.005)) for a, b in pairwise(way)] or [np.array(way)]
    )
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    nearest = np.full(SHAPE, np.inf)
    for px, py in steps[::7]:
        nearest = np.minimum(nearest, np.hypot(x - px, y - py))
    return nearest


@pytest.mark.parametrize(
    "way", [[(10.0, 12.0)], [(3, 4), (20.5, 9)], [(3, 4), (20.5, 9), (22, 30)], [(-8, 3), (60, 60)]]
)
def test_a_brush_covers_what_is_within_its_radius(way):
    found, distance = whole(editing.brushed(way, 4.3, *SHAPE)), distance_by_steps(way)
    sure = np.abs(distance - 4.3) > 0.03
    assert np.array_equal(found[sure], (distance <= 4.3)[sure])
    assert sure.mean() > 0.95


def test_the_first_drawn_keeps_the_pixel(mask):
    after = changed(mask, editing.draw(mask, 0, 0, np.ones(SHAPE, bool), 77))
    assert np.array_equal(after, np.where(mask > 0, mask, 77))


def test_nothing_free_is_said(mask):
    with pytest.raises(BadInput, match="drawn first"):
        editing.draw(mask, 6, 6, np.ones((3, 3), bool), 77)


def test_an_outline_is_filled_by_the_rule_of_the_house():
    found = whole(editing.outlined([(2, 2), (6, 2), (6, 5), (2, 5)], *SHAPE))
    assert found.sum() == 12
    assert found[2:5, 2:6].all()


def test_a_nucleus_drawn_as_a_ring_has_no_hole():
    ring = editing.brushed([(5, 5), (15, 5), (15, 14), (5, 14), (5, 5)], 2, *SHAPE)[2]
    assert not ring[ring.shape[0] // 2, ring.shape[1] // 2]
    filled = editing.without_holes(ring)
    assert filled[ring.shape[0] // 2, ring.shape[1] // 2]
    assert ndimage.label(~filled)[1] == ndimage.label(~ring)[1] - 1
    assert not editing.without_holes(ring[:0]).any()


@pytest.mark.parametrize("seed", range(3))
def test_the_edge_of_a_filled_area_cuts_no_nucleus(seed):
    older = np.zeros((160, 200), np.int32)
    older[60:100, 20:60] = 7
    change, answer = fill(older, [(40, 40), (160, 40), (160, 120), (40, 120)], "kidney", 1.5, seed)
    after = changed(older, change)
    assert (after[older > 0] == 7).all()
    ids = np.setdiff1d(after, [0, 7])
    assert len(ids) == answer["added"]
    middles = np.array(ndimage.center_of_mass(after > 0, after, ids))
    assert (middles > (32, 32)).all()
    assert (middles < (128, 168)).all()
    beyond = after.copy()
    beyond[40:120, 40:160] = 0
    assert np.isin(ids, beyond).any()  # nuclei at the edge are whole


def test_erasing_leaves_the_rest(mask):
    region = editing.brushed([(20, 10)], 3, *SHAPE)
    after = changed(mask, editing.erase(mask, *region))
    assert np.array_equal(after, np.where(whole(region), 0, mask))


def test_deleting_takes_whole_nuclei(mask):
    assert np.array_equal(changed(mask, editing.delete(mask, [3, 9])), np.where(mask == 8, 8, 0))


def test_merging_keeps_the_first_id(mask):
    ids = editing.ids_along(mask, [(7, 10), (25, 10)])
    assert ids == [3, 8]
    assert np.array_equal(changed(mask, editing.merge(mask, ids)), np.where(mask == 8, 3, mask))


def test_a_cut_makes_two_of_one_and_loses_no_pixel(mask):
    after = changed(mask, editing.split(mask, [(10, 2), (10, 18)], 100))
    assert np.array_equal(after > 0, mask > 0)
    assert set(np.unique(after)) == {0, 3, 8, 9, 100}
    assert (after == 3).sum() > (after == 100).sum() > 30
    for nucleus in (3, 100):
        assert ndimage.label(after == nucleus)[1] == 1


def test_a_cut_that_ends_inside_is_refused(mask):
    with pytest.raises(BadInput, match="in one part"):
        editing.split(mask, [(10, 2), (10, 10)], 100)


def test_moving_by_whole_pixels_is_rolling(mask):
    after = changed(mask, editing.transform(mask, 9, -2, 5))
    expected = np.where(mask == 9, 0, mask)
    expected[np.roll(mask == 9, (-2, 5), (0, 1))] = 9
    assert np.array_equal(after, expected)


def test_a_quarter_turn_is_rot90():
    mask = np.zeros((21, 21), np.int32)
    mask[8:13, 6:15] = 4
    mask[8, 6] = 0
    turned = changed(mask, editing.transform(mask, 4, 0, 0, np.pi / 2))
    centre = np.argwhere(mask == 4).mean(0)
    offset = np.argwhere(turned == 4).mean(0) - centre
    assert np.abs(offset).max() < 0.5
    assert (turned == 4).sum() == (mask == 4).sum()
    assert np.ptp(np.argwhere(turned == 4), axis=0).tolist() == [8, 4]


def test_what_is_moved_onto_another_leaves_that_one_its_pixels(mask):
    after = changed(mask, editing.transform(mask, 3, 0, 8))
    assert (after == 8).sum() == (mask == 8).sum()
    assert (after == 3).sum() < (mask == 3).sum()


def test_a_move_out_of_the_picture_is_refused(mask):
    with pytest.raises(BadInput, match="outside of the picture"):
        editing.transform(mask, 3, -100, 0)


@pytest.mark.parametrize("points", [[(float("nan"), 1.0)], [(1e9, 0)], []])
def test_gestures_that_cannot_be_are_refused(points):
    with pytest.raises(BadInput):
        editing.brushed(points, 3, *SHAPE)
