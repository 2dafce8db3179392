"""Tissue that is drawn where no map says anything: its distribution, its place, and how it gets into a painting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.synthesis import toys

import sian
from sian.errors import BadInput
from sian.layout import describe
from sian.layout.tissue_map import tissue_layers
from sian.networks.drawn_tissue import SHARES, DrawnTissue, tissue_law
from sian.synthesis.painting import Noise, paint, paint_core, with_drawn


def layers_of(seed, shape=(512, 512)):
    random = np.random.default_rng(seed)
    cells = (shape[0] // 16, shape[1] // 16)
    values = np.dstack([random.beta(0.3, 1.2, cells), random.normal(0, 0.2, cells).clip(-1, 1), np.zeros((*cells, 2))])
    values[..., 2] = 0.3
    return tissue_layers(values.astype(np.float32), shape)


def law_of(*seeds):
    return tissue_law([layers_of(seed) for seed in seeds])


def drawn(law=None):
    return DrawnTissue({"kidney/ffpe": law_of(1, 2) if law is None else law}, {"kidney/ffpe": np.zeros(4, np.float32)})


STYLE = torch.zeros(1, 4)


def test_a_law_holds_the_quantiles_of_the_cells():
    layers = layers_of(3)
    cells = layers[8::16, 8::16, 1:].reshape(-1, 4) / 127
    law = tissue_law([layers])
    np.testing.assert_allclose(law[0], np.quantile(cells[:, 0], SHARES), atol=1e-6)
    np.testing.assert_allclose(law[1], np.quantile(cells[:, 1], SHARES), atol=1e-6)
    np.testing.assert_allclose(law[2], 0.3, atol=0.005)  # int8


def test_what_is_drawn_has_the_distribution_of_the_law():
    law = law_of(1, 2)
    found = drawn(law)(STYLE, 5, (0, 0, 4096, 4096))
    assert (found[..., 0] == 127).all()
    middles = found[8::16, 8::16, 1:] / 127
    for kind, values in zip(
        law, (middles[..., 0], middles[..., 1], np.hypot(middles[..., 2], middles[..., 3])), strict=True
    ):
        np.testing.assert_allclose(np.quantile(values, SHARES[4:-4]), kind[4:-4], atol=0.06)


def test_neighbours_are_alike_and_places_far_apart_are_not():
    empty = drawn()(STYLE, 0, (0, 0, 8192, 8192))[8::16, 8::16, 2].astype(float)
    empty -= empty.mean()
    along = [(empty[:, :-lag] * empty[:, lag:]).mean() / (empty**2).mean() for lag in (1, 2, 30)]
    assert 0.6 < along[0] < 0.85
    assert 0.2 < along[1] < 0.5
    assert abs(along[2]) < 0.05


@pytest.mark.parametrize("part", [(32, 96, 64, 128), (0, 0, 8, 8), (200, 40, 104, 56)])
def test_a_part_is_drawn_as_in_the_whole(part):
    top, left, height, width = part
    whole = drawn()(STYLE, 7, (0, 0, 320, 256))
    np.testing.assert_array_equal(drawn()(STYLE, 7, part), whole[top : top + height, left : left + width])


def test_another_seed_gives_other_tissue():
    first, second = (drawn()(STYLE, seed, (0, 0, 1024, 1024))[8::16, 8::16, 2].ravel() for seed in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1


def test_the_nearest_style_says_what_is_drawn():
    white, dense = np.zeros((3, 33), np.float32), np.zeros((3, 33), np.float32)
    white[0] = 1
    both = DrawnTissue(
        {"a/ffpe": white, "b/ffpe": dense}, {"a/ffpe": np.ones(4, np.float32), "b/ffpe": -np.ones(4, np.float32)}
    )
    assert (both(STYLE + 0.3, 0, (0, 0, 32, 32))[..., 1] == 127).all()
    assert (both(STYLE - 0.3, 0, (0, 0, 32, 32))[..., 1] == 0).all()


def test_another_style_has_its_gaps_elsewhere():
    """One mask in several styles does not repeat what is odd in one of them at the same place."""
    law = law_of(1, 2)
    both = DrawnTissue({"a": law, "b": law}, {"a": np.ones(4, np.float32), "b": -np.ones(4, np.float32)})
    first, second = (both(STYLE + way, 0, (0, 0, 1024, 1024))[8::16, 8::16, 2].ravel() for way in (0.3, -0.3))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1


def test_a_map_goes_before_what_is_drawn():
    mask = np.zeros((32, 64), int)
    values = np.full((2, 4, 4), np.nan, np.float32)
    values[:, :2] = (1, 0, 0, 0)
    layout = describe(mask, tissue=values)
    both = with_drawn(layout, np.full((32, 64, 5), 50, np.int8))
    np.testing.assert_array_equal(both.tissue[:, :24], layout.tissue[:, :24])
    assert (both.tissue[:, 40:] == 50).all()


@pytest.mark.parametrize("broken", ["nan", "falling", "shape", "range"])
def test_laws_that_are_none_are_refused(broken):
    law = law_of(1)
    if broken == "nan":
        law[0, 3] = np.nan
    elif broken == "falling":
        law[0] = law[0, ::-1]
    elif broken == "shape":
        law = law[:2]
    else:
        law[1, -1] = 2
    with pytest.raises(BadInput, match="expected rising quantiles"):
        drawn(law)


def test_windows_and_parts_are_painted_with_the_tissue_of_the_whole(tmp_path):
    """The tissue of a part lies where the image's lies, at any origin."""
    model = sian.load(toys.write_told(tmp_path / "told.safetensors"))
    generator, layout = model.painter.generator, describe(toys.grid_mask(224, 288))
    vector = torch.from_numpy(model.styles["kidney"].vector)
    whole = paint(generator, layout, vector, Noise(3)).astype(int)
    windows = paint(generator, layout, vector, Noise(3), window=64)
    assert np.abs(whole - windows).max() <= 1
    inner = paint_core(generator, layout, vector, Noise(3), (64, 96, 160, 192))
    assert np.abs(whole[64:160, 96:192] - inner).max() <= 1
    moved = paint(generator, layout, vector, Noise(3, origin=(64, 0)))
    assert (moved != whole).any()
    generator.between = None
    assert np.abs(whole - paint(generator, layout, vector, Noise(3))).mean() > 0.1
