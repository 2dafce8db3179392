"""The jury: its numbers by other means, and the same windows for every candidate."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.synthesis import toys

from sian.data.sampling import Tile
from sian.evaluation import jury as jury_module
from sian.evaluation.curve import curve
from sian.evaluation.jury import Jury
from sian.evaluation.kid import discrepancy_parts, kid
from sian.layout import describe
from sian.training.candidates import ADJUSTED, START, TRAINED, Look, Marks


def features(images):
    """Means and deviations of colours, a few of each: enough to tell stains apart."""
    return np.stack([np.concatenate([i.mean((0, 1)), i.std((0, 1))]) / 64 for i in images]).astype(np.float32)


@pytest.fixture(scope="module")
def tile():
    mask = toys.grid_mask(300, 320)
    image = np.where(mask[..., None] > 0, (90, 60, 120), (220, 170, 200))
    image = image + np.random.default_rng(0).normal(0, 9, image.shape) + np.linspace(-30, 10, 320)[None, :, None]
    return Tile("a", "skin", "ffpe", image.clip(0, 255).astype(np.uint8), describe(mask))


@pytest.fixture(scope="module")
def made(tile):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jury_module, "INFLUENCED", 3)
        others = torch.randn(5, toys.STYLE_DIM, generator=torch.Generator().manual_seed(0))
        yield Jury([tile], [tile], [tile], others, features, count=6, seed=0)


def test_the_distance_is_kid_over_the_whole_sample():
    random = np.random.default_rng(0)
    real, fake = random.normal(0, 1, (30, 8)), random.normal(0.3, 1, (30, 8))
    distance, parts = discrepancy_parts(real, fake)
    assert distance == pytest.approx(kid(real, fake, subset_size=30, subsets=1).mean)
    # The parts: leaving a row out changes the distance by what its part says (a jackknife).
    n = len(fake)
    without = [discrepancy_parts(real, np.delete(fake, row, 0))[0] for row in range(n)]
    pseudo = n * distance - (n - 1) * np.array(without)
    assert np.corrcoef(pseudo, parts)[0, 1] > 0.999
    assert np.std(pseudo, ddof=1) == pytest.approx(2 * np.std(parts, ddof=1), rel=0.1)


def test_the_error_of_a_paired_difference_is_what_repeated_draws_show():
    random = np.random.default_rng(1)
    differences, errors = [], []
    real = random.normal(0, 1, (60, 4))
    for _ in range(200):
        base = random.normal(0, 1, (40, 4))
        one, two = (discrepancy_parts(real, base + shift) for shift in (0.5, 0.7))
        differences.append(one[0] - two[0])
        errors.append(2 * np.std(np.subtract(one[1], two[1]), ddof=1) / 40**0.5)
    assert np.mean(errors) == pytest.approx(np.std(differences), rel=0.15)


def test_windows_of_a_model_with_tissue_maps_get_drawn_ones(tile):
    """Neither their own, which would hide what is invented, nor none, which is not how such a model paints."""
    told = replace(tile, layout=describe(toys.grid_mask(300, 320), tissue=tile.image))
    own = Jury([told], [told], [told], torch.zeros(1, toys.STYLE_DIM), features, count=2, seed=0)
    plain = Jury([tile], [tile], [tile], torch.zeros(1, toys.STYLE_DIM), features, count=2, seed=0)
    for one, other in zip(own.windows, plain.windows, strict=True):
        channels = other.layout.shape[1]
        assert torch.equal(one.layout[:, :channels], other.layout)
        assert one.layout.shape[1] == channels + 5
        assert (one.layout[:, channels] == 1).all()
    assert not torch.equal(own.windows[0].layout[:, -5:], own.windows[1].layout[:, -5:])


def test_marks_by_hand(made):
    painter = toys.toy_painter()
    marks = made.measure(painter)
    paintings = [made._paint(painter, number) for number in range(6)]
    assert marks.kid == pytest.approx(kid(made.real, features(paintings), subset_size=6, subsets=1).mean)
    off = [np.abs(p.mean((0, 1)) - w.real.mean((0, 1))).mean() for p, w in zip(paintings, made.windows, strict=True)]
    assert marks.colours == pytest.approx(off[::2])  # every second style is of the window's own tissue
    assert marks.colour == pytest.approx(np.mean(off[::2]))
    changed = [np.abs(made._paint(painter, n, other=True).astype(int) - paintings[n]).mean() for n in (0, 2, 4)]
    assert marks.influence == pytest.approx(np.mean(changed))
    assert made.measure(painter) == marks  # nothing is drawn anew


def test_a_painter_that_ignores_styles_has_no_influence(made):
    painter = toys.toy_painter()
    with torch.no_grad():
        for name, parameter in painter.generator.named_parameters():
            if ".style." in name or "start_style" in name:
                parameter.zero_()
    assert made.measure(painter).influence == 0


def test_adjusting_brings_the_colours_nearer(made):
    start, adjusted = toys.toy_painter(), toys.toy_painter()
    made.adjust(adjusted)
    assert made.measure(adjusted).colour < made.measure(start).colour


def test_the_sheet_shows_what_was_before(made):
    start = toys.toy_painter()
    looks = [Look(START, 0, made.measure(start))]
    first = made.sheet(start, looks, 0, 0)
    later = copy.deepcopy(start)
    made.adjust(later)
    second = made.sheet(later, [*looks, Look(ADJUSTED, 0, looks[0].marks)], 1, 1)
    assert first.shape == second.shape
    left, size, gap = 6, 256, 6
    column = [left + n * (size + gap) for n in range(6)]
    row = slice(28, 28 + size)
    for n in (0, 1, 2, 4):  # mask, real, and both paintings of before
        assert np.array_equal(first[row, column[n] : column[n] + size], second[row, column[n] : column[n] + size])
    assert not np.array_equal(first[row, column[3] : column[3] + size], second[row, column[3] : column[3] + size])


def test_the_curve_marks_the_chosen_look():
    def look(kind, images, value):
        return Look(kind, images, Marks(value, 5.0, 6.0, (), ()))

    looks = [look(START, 0, 0.2), look(ADJUSTED, 0, 0.15), look(TRAINED, 100, 0.4), look(TRAINED, 200, 0.1)]
    red = np.array((200, 62, 40))
    places = [np.nonzero((curve(looks, chosen, 900) == red).all(-1))[1].mean() for chosen in (0, 2, 3)]
    assert places == sorted(places)
    assert curve(looks[:1], 0, 900).shape == (182, 900, 3)
