"""Tissue on made slides: stained blobs are found, glass, shadows and black ink are not."""

from __future__ import annotations

import numpy as np
import pytest

from sian.errors import BadInput
from sian.slides import open_slide
from sian.slides.levels import Area
from sian.slides.tissue import find_tissue, is_sampled, read_reference, tissue_mask, tissue_sample, tissue_windows

from .slide_files import write_pages

PINK, GLASS, INK, SHADOW = (205, 130, 180), (243, 242, 244), (30, 30, 32), (200, 200, 202)


@pytest.fixture
def slide(tmp_path):
    image = np.full((600, 900, 3), GLASS, np.uint8)
    image[100:300, 100:400] = PINK
    image[350:550, 600:800] = PINK
    image[0:90, 0:200], image[400:580, 20:200] = INK, SHADOW
    with open_slide(write_pages(tmp_path / "a.tif", image)) as opened:
        yield opened


def test_stained_pixels_are_tissue(slide):
    found, step = find_tissue(slide)
    assert step == 1
    expected = np.zeros((600, 900), bool)
    expected[100:300, 100:400] = expected[350:550, 600:800] = True
    np.testing.assert_array_equal(found, expected)


def test_a_large_slide_is_looked_at_on_a_small_copy(slide, monkeypatch):
    monkeypatch.setattr("sian.slides.tissue.THUMBNAIL", 100)
    found, step = find_tissue(slide)
    assert found.shape == (75, 113)
    assert step == 8
    assert found[20, 20]
    assert not found[60, 10]


def test_windows_lie_on_tissue_and_are_spread(slide):
    windows = tissue_windows(slide, 50, 4)
    assert len(set(windows)) == 4
    for window in windows:
        assert tissue_mask(slide.read(window).pixels).mean() >= 0.5
    assert any(window.left > 500 for window in windows)
    assert any(window.left < 500 for window in windows)
    inside = tissue_windows(slide, 50, 3, Area(300, 500, 300, 400))
    assert all(window.top >= 300 and window.left >= 500 for window in inside)


def test_a_sample_holds_tissue_alone(slide):
    sample = tissue_sample(slide, side=50)
    assert sample.shape == (100, 100, 3)
    assert tissue_mask(sample).mean() > 0.9
    assert is_sampled(slide)
    assert tissue_mask(read_reference(slide.path)).mean() > 0.2


def test_glass_has_no_tissue(tmp_path):
    with (
        open_slide(write_pages(tmp_path / "a.tif", np.full((200, 200, 3), GLASS, np.uint8))) as slide,
        pytest.raises(BadInput, match="found no tissue"),
    ):
        tissue_windows(slide, 50, 2)
