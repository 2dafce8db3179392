"""Colours adjusted without training: paintings get the tiles' stain, and the last convolution alone changes."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from sian.data.sampling import Tile
from sian.layout import describe
from sian.layout.tissue_map import FULL, TISSUE_LAYERS
from sian.networks.encoder import stain_statistics
from sian.synthesis import adjusting
from sian.synthesis.adjusting import colour_map, estimate_norms, match_colours

from . import toys


@pytest.fixture(scope="module")
def tiles():
    """A stain that the toy does not paint: dark green."""
    mask = toys.grid_mask(256, 256)
    random = np.random.default_rng(0).normal(0, 12, (256, 256, 1))
    image = np.where(mask[..., None] > 0, (40, 90, 60), (120, 190, 140)) + random
    return [Tile("a", "skin", "ffpe", image.clip(0, 255).astype(np.uint8), describe(mask))]


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    monkeypatch.setattr(adjusting, "COLOUR_BATCHES", 1)
    monkeypatch.setattr(adjusting, "NORM_BATCH", 2)


def test_a_known_map_is_found():
    random = torch.Generator().manual_seed(0)
    values = torch.randn(4, 3, 40, 40, generator=random) * torch.tensor([0.3, 0.4, 0.5])[:, None, None] + 0.5
    turn, shift = torch.diag(torch.tensor([0.7, 0.9, 0.8])), torch.tensor([-0.2, 0.1, 0.05])
    wanted = stain_statistics(torch.tanh(torch.einsum("ij,njhw->nihw", turn, values) + shift[:, None, None]))
    found, offset = colour_map(values, wanted)
    reached = stain_statistics(torch.tanh(torch.einsum("ij,njhw->nihw", found, values) + offset[:, None, None]))
    before = stain_statistics(torch.tanh(values))
    assert (reached - wanted)[:, :6].abs().max() < 0.03 * (before - wanted)[:, :6].abs().max()


def test_colours_that_fit_stay():
    values = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    turn, shift = colour_map(values, stain_statistics(torch.tanh(values)))
    torch.testing.assert_close(turn, torch.eye(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(shift, torch.zeros(3), atol=1e-3, rtol=0)


def paintings(painter, tile):
    image = torch.from_numpy(tile.image).permute(2, 0, 1)[None].float() / 127.5 - 1
    from sian.networks import stack_layouts

    with torch.no_grad():
        noise = painter.generator.noise_of(0, 256, 256)
        return painter.generator(stack_layouts([tile.layout], 0), painter.encoder(image)[0], noise), image


def test_paintings_get_the_tiles_stain(tiles):
    before = toys.toy_painter()
    after = copy.deepcopy(before)
    match_colours(after, tiles, seed=0)
    off = {}
    for name, painter in (("before", before), ("after", after)):
        painted, real = paintings(painter, tiles[0])
        off[name] = float((stain_statistics(painted) - stain_statistics(real))[:, :3].abs().mean())
    assert off["after"] < 0.3 * off["before"]
    changed = {name for name, t in after.state_dict().items() if not torch.equal(t, before.state_dict()[name])}
    assert changed == {"generator.to_rgb.weight", "generator.to_rgb.bias"}


def test_the_map_acts_before_tanh(tiles, monkeypatch):
    """What the changed convolution gives is the map of what the old one gave."""
    before = toys.toy_painter()
    with torch.no_grad():
        before.generator.to_rgb.bias.copy_(torch.tensor([0.3, -0.2, 0.5]))
    after = copy.deepcopy(before)
    turn, shift = torch.tensor([[0.7, 0.1, 0.0], [0.0, 0.9, -0.2], [0.1, 0.0, 0.8]]), torch.tensor([0.2, -0.1, 0.4])
    monkeypatch.setattr(adjusting, "colour_map", lambda *_: (turn, shift))
    match_colours(after, tiles, seed=0)
    x = torch.randn(1, before.generator.to_rgb.in_channels, 8, 8, generator=torch.Generator().manual_seed(0))
    old, new = before.generator.to_rgb(x)[0].flatten(1), after.generator.to_rgb(x)[0].flatten(1)
    torch.testing.assert_close(new, turn @ old + shift[:, None], atol=1e-5, rtol=1e-5)


def test_only_batch_norm_is_estimated(tiles):
    painter = toys.toy_painter()
    before = {name: t.clone() for name, t in painter.state_dict().items()}
    estimate_norms(painter, tiles, seed=0, count=1)
    changed = {name for name, t in painter.state_dict().items() if not torch.equal(t, before[name])}
    assert changed
    assert all("norm_" in name for name in changed)


def test_every_other_window_is_painted_with_drawn_tissue(tiles):
    """What is fitted serves paintings with a map and without; these get a drawn one."""
    (tile,) = tiles
    layout = describe(
        toys.grid_mask(256, 256), tissue=np.random.default_rng(1).uniform(0, 0.6, (16, 16, 4)).astype(np.float32)
    )
    told = Tile(tile.id, tile.organ, tile.preparation, tile.image, layout)
    painter, seen = toys.toy_painter(tissue=True), []
    painter.generator.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0][:, -TISSUE_LAYERS:]))
    estimate_norms(painter, [told], seed=0, count=2)
    maps = torch.cat(seen)  # (4, 5, 256, 256)
    assert (maps[:, 0] == 1).all()  # each says something
    real = torch.from_numpy(layout.tissue[..., 1:3]).permute(2, 0, 1) / FULL  # what does not turn with the window
    turned = [torch.rot90(real.flip(2) if flip else real, turns, (1, 2)) for flip in (0, 1) for turns in range(4)]
    of_tile = [any(torch.allclose(window, one, atol=0.01) for one in turned) for window in maps[:, 1:3]]
    assert of_tile == [False, True, False, True]
    assert not torch.equal(maps[0], maps[2])
