"""Boxes around nuclei, and who uses them, with ids of any size."""

from __future__ import annotations

import numpy as np

from sian.masks.boxes import nucleus_boxes
from sian.nuclei import RealNuclei, generate
from sian.segmentation.pasting import donor

HUGE = 2_000_000_000


def test_boxes_against_where_the_pixels_are() -> None:
    mask = np.random.default_rng(0).choice([0, 0, 0, 3, 9, HUGE], (20, 30)).astype(np.int32)
    mask[mask == 3] = 0
    mask[4:6, 7:11] = 3
    boxes = nucleus_boxes(mask)
    assert list(boxes) == [3, 9, HUGE]
    for nucleus, (rows, columns) in boxes.items():
        y, x = np.nonzero(mask == nucleus)
        assert (rows.start, rows.stop, columns.start, columns.stop) == (y.min(), y.max() + 1, x.min(), x.max() + 1)
    assert nucleus_boxes(np.zeros((3, 4), np.int32)) == {}


def test_nuclei_of_huge_ids_are_taken_like_others() -> None:
    mask = generate(256, 256, "kidney", seed=1)
    huge = np.where(mask > 0, mask + (HUGE - 1000), 0).astype(np.int32)
    plain, other = donor(None, mask), donor(None, huge)
    assert len(plain.ids)
    np.testing.assert_array_equal(plain.boxes, other.boxes)
    np.testing.assert_array_equal(plain.ids + (HUGE - 1000), other.ids)
    resampled = [RealNuclei([each]).resample(64, 64, seed=2) for each in (mask, huge)]
    np.testing.assert_array_equal(*resampled)
