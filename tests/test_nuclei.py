"""Properties of invented nuclei."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label, regionprops

from sian.errors import BadInput
from sian.nuclei import scatter


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    seed=st.integers(0, 2**40),
    density=st.floats(0, 5000),
    mean_area=st.floats(12, 2000),
)
def test_every_mask_has_contiguous_ids_and_whole_nuclei(height, width, seed, density, mean_area):
    mask = scatter(height, width, seed, density=density, mean_area=mean_area)
    assert mask.shape == (height, width)
    assert mask.dtype == np.int32
    ids = np.unique(mask[mask > 0])
    assert ids.tolist() == list(range(1, len(ids) + 1))
    assert all(label(mask == number, connectivity=1).max() == 1 for number in ids)


def test_same_seed_same_mask_and_other_seed_another():
    assert np.array_equal(scatter(128, 128, 7), scatter(128, 128, 7))
    assert not np.array_equal(scatter(128, 128, 7), scatter(128, 128, 8))


def test_number_and_area_are_about_what_was_asked():
    masks = [scatter(512, 512, seed, density=600, mean_area=300) for seed in range(4)]
    assert sum(mask.max() for mask in masks) == pytest.approx(4 * 600 * 0.512**2, rel=0.15)
    whole = [region.area for mask in masks for region in regionprops(mask[40:-40, 40:-40])]
    assert np.mean(whole) == pytest.approx(300, rel=0.2)
    assert max(whole) <= 5.5 * 300


def test_nuclei_are_elongated_and_smooth_as_real_ones():
    regions = [region for region in regionprops(scatter(512, 512, 1)) if region.area > 60]
    aspect = np.median([region.axis_major_length / region.axis_minor_length for region in regions])
    assert 1.3 < aspect < 1.9  # MoNuSeg: 1.56
    assert np.median([region.solidity for region in regions]) > 0.93  # MoNuSeg: 0.95


def test_some_nuclei_touch():
    mask = scatter(512, 512, 2)
    right, left = mask[:, 1:], mask[:, :-1]
    touching = np.unique(right[(right != left) & (right > 0) & (left > 0)])
    assert 0.03 < len(touching) / mask.max() < 0.6


@pytest.mark.parametrize("density", [20, 20_000])
def test_empty_and_overfull_masks_are_legal(density):
    mask = scatter(64, 64, 0, density=density, mean_area=500)
    assert mask.max() <= 64 * 64 / 30


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"height": 0, "width": 5}, "0 x 5"),
        ({"height": 5, "width": 5, "density": -1.0}, "-1.0"),
        ({"height": 5, "width": 5, "density": float("nan")}, "nan"),
        ({"height": 5, "width": 5, "mean_area": 3.0}, "3.0"),
    ],
)
def test_bad_arguments_are_refused(arguments, found):
    with pytest.raises(BadInput, match=found):
        scatter(**arguments)
