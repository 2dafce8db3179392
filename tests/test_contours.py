"""Outlines on pixel corners: valid rings that fill to the same pixels again."""

import numpy as np
import pytest
from scipy.ndimage import label

from sian.masks.contours import fill_polygons, trace_nuclei, trace_region


def filled(polygons, height, width):
    top, left, inside = fill_polygons(polygons, height, width)
    whole = np.zeros((height, width), bool)
    whole[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return whole


def twice_the_area(ring):
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True))


def test_one_pixel_by_hand():
    assert list(trace_nuclei(np.array([[0, 0], [0, 9]], np.int32))) == [(9, [[[(2, 1), (2, 2), (1, 2), (1, 1)]]])]


def test_hole_by_hand():
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    ((outer, hole),) = trace_region(ring, top=10, left=20)
    assert set(outer) == {(20, 10), (23, 10), (23, 13), (20, 13)}
    assert set(hole) == {(21, 11), (22, 11), (22, 12), (21, 12)}
    assert twice_the_area(outer) == 18
    assert twice_the_area(hole) == -2


def test_pieces_that_touch_at_a_corner_are_two_polygons():
    polygons = trace_region(np.eye(2, dtype=bool))
    assert [len(polygon) for polygon in polygons] == [1, 1]


def test_hole_that_opens_at_a_corner_is_still_a_hole():
    region = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], bool)
    ((outer, hole),) = trace_region(region)
    assert len(set(outer)) == len(outer)
    assert set(hole) == {(1, 1), (2, 1), (2, 2), (1, 2)}


@pytest.mark.parametrize("density", [0.2, 0.5, 0.6, 0.8, 0.95, 1.0])
def test_random_regions(density):
    random = np.random.default_rng(int(density * 100))
    for _ in range(100):
        height, width = random.integers(1, 14, 2)
        region = random.random((height, width)) < density
        if not region.any():
            continue
        polygons = trace_region(region)
        np.testing.assert_array_equal(filled(polygons, height, width), region)
        assert len(polygons) == label(region)[1]
        for outer, *holes in polygons:
            assert twice_the_area(outer) > 0
            assert all(twice_the_area(hole) < 0 for hole in holes)
            for ring in (outer, *holes):
                assert len(set(ring)) == len(ring)  # touches itself nowhere
                corners = zip(ring, ring[1:] + ring[:1], ring[2:] + ring[:2], strict=True)
                assert all((a[0] == b[0]) != (b[0] == c[0]) for a, b, c in corners)  # every vertex is a corner


def test_huge_ids():
    mask = np.array([[2**31 - 1, 0, 70_000]], np.int32)
    assert [number for number, _ in trace_nuclei(mask)] == [70_000, 2**31 - 1]
    assert list(trace_nuclei(np.zeros((3, 4), np.int32))) == []
