"""Slides without annotation: windows of tissue, doubtful nuclei ignored, drawn less often, no loss where ignored."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from tests.synthesis import toys
from tests.training import toys as training_toys

from sian.cli.main import main
from sian.data.loading import batches
from sian.data.sampling import Tile, WindowSampler
from sian.errors import BadInput
from sian.files import read_image, write_png
from sian.layout import describe
from sian.production import slide_tiles as module
from sian.production.slide_tiles import SHARE, slide_tiles, weighted
from sian.segmentation.doubt import doubtful
from sian.synthesis.magnification import rescale_image
from sian.training.augmentation import Augmentation
from sian.training.step import Batch


def test_doubt_by_hand():
    mask = np.zeros((40, 60), np.int32)
    mask[10:20, 10:20], mask[10:20, 40:50] = 1, 2
    nuclear = np.full(mask.shape, 0.3, np.float32)
    nuclear[mask == 1], nuclear[mask == 2] = 0.9, 0.7  # 0.6 and 0.4 above their rings
    found = doubtful(mask, nuclear)
    assert found[mask == 2].all()
    assert not found[mask == 1].any()
    assert found[15, 52]
    assert not found[15, 54]  # 3 px around it
    assert found.sum() < 2.5 * 100


def test_neighbours_are_no_ring():
    """Of a nucleus among others only what no nucleus owns is compared with it."""
    mask = np.zeros((30, 30), np.int32)
    mask[10:20, 5:15], mask[10:20, 15:25] = 1, 2
    nuclear = np.where(mask > 0, 0.95, 0.05).astype(np.float32)
    assert not doubtful(mask, nuclear).any()


@pytest.fixture
def slide(tmp_path, monkeypatch):
    """A picture of 1024 x 1100 px of pink tissue with squares as nuclei; what is right of column 600 is doubted."""
    mask = toys.grid_mask(1024, 1100)
    image = np.where(mask[..., None] > 0, (90, 60, 120), (210, 150, 190)).astype(np.uint8)
    path = tmp_path / "slide.png"
    write_png(path, image)

    def see(_, window):
        nuclei = (window[..., 0] == 90).astype(np.int32)
        from scipy import ndimage

        found = ndimage.label(nuclei)[0].astype(np.int32)
        doubt = np.zeros(found.shape, bool)
        doubt[:40] = True
        return found, doubt

    monkeypatch.setattr(module, "segment_with_doubt", see)
    return path


def test_a_slide_becomes_a_data_set(slide, tmp_path, monkeypatch):
    data, tiles = slide_tiles([slide], tmp_path / "run", None, mpp=0.25, organ="breast")
    assert len(data) == len(tiles) == 4
    assert {tile.image.shape for tile in tiles} == {(512, 512, 3)}
    assert {tile.organ for tile in tiles} == {"breast"}
    assert len({tile.patient for tile in tiles}) == 1
    for tile in tiles:
        assert tile.ignored[:40].all()
        assert not tile.ignored[40:].any()
        assert (tile.layout.semantic == (tile.image[..., 0] == 90)).all()
    whole = read_image(slide)
    cuts = [whole[y : y + 512, x : x + 512] for y in (0, 512) for x in (0, 512)]
    assert all(any(np.array_equal(cut, tile.image) for cut in cuts) for tile in tiles)
    # Again: nothing is segmented anew.
    monkeypatch.setattr(module, "segment_with_doubt", None)
    again = slide_tiles([slide], tmp_path / "run", None, mpp=0.25)[1]
    assert [tile.id for tile in again] == [tile.id for tile in tiles]


def test_pictures_that_do_not_say_their_pixel_size(slide, tmp_path, capsys):
    """Windows of a 20x picture are brought to the model's 40x when they are said to be of that."""
    _, tiles = slide_tiles([slide], tmp_path / "run", None, mpp=0.25, given=0.5)
    whole = read_image(slide)
    places = product(range(0, 1024, 256), range(0, 1024, 256))
    cuts = [rescale_image(whole[y : y + 256, x : x + 256], (512, 512)) for y, x in places]
    assert len(tiles) == 8
    assert all(any(np.array_equal(cut, tile.image) for cut in cuts) for tile in tiles)
    words = ["train", "finetune", "--init", "bundled", "-o", str(tmp_path / "new"), "--mpp"]
    assert main([*words, "0.5"]) == 3
    assert "--mpp says the pixel size of --slides, found none" in capsys.readouterr().err
    assert main([*words, "1000", "--slides", str(slide)]) == 3
    assert "--mpp 1000: expected 0.02 to 10 micrometres a pixel" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_pictures_without_sure_nuclei_are_refused(slide, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LEAST_NUCLEI", 10**6)
    with pytest.raises(BadInput, match="found no window with"):
        slide_tiles([slide], tmp_path / "run", None)
    write_png(tmp_path / "small.png", read_image(slide)[:200])
    with pytest.raises(BadInput, match="200 x 1100 px, expected at least 256 x 256"):
        slide_tiles([tmp_path / "small.png"], tmp_path / "run2", None)


def some_tiles(count, ignored=False):
    tiles = training_toys.tiles(count)
    left_out = np.zeros(tiles[0].layout.shape, bool)
    left_out[:, :100] = True
    return [replace(tile, ignored=left_out) for tile in tiles] if ignored else tiles


def test_slides_are_drawn_a_third_of_the_time():
    annotated, slides = some_tiles(2), weighted(some_tiles(3), some_tiles(2))
    sampler = WindowSampler([*annotated, *slides], 64, 256, "random", 0)
    drawn = np.array([sampler.place(index).tile for index in range(3000)])
    assert (drawn >= 2).mean() == pytest.approx(SHARE, abs=0.03)
    assert np.bincount(drawn, minlength=5)[2:].min() > 250


def test_equal_weights_draw_what_they_always_drew():
    tiles = some_tiles(3)
    plain, heavy = (WindowSampler(t, 64, 256, "random", 5) for t in (tiles, [replace(t, weight=7.0) for t in tiles]))
    assert [plain.place(n) for n in range(50)] == [heavy.place(n) for n in range(50)]


def test_what_is_ignored_turns_with_its_window():
    tile = some_tiles(1, ignored=True)[0]
    marked = tile.image.copy()
    marked[:, :100] = 0  # black where it is ignored
    marked[:, 100:] = np.maximum(marked[:, 100:], 1)
    sampler = WindowSampler([replace(tile, image=marked)], 128, 256, "random", 0)
    raw = next(batches(sampler, 16))
    assert raw["ignored"].any()
    assert torch.equal(raw["ignored"], (raw["image"] == 0).all(1))
    plain = next(batches(WindowSampler(some_tiles(1), 128, 256, "random", 0), 2))
    assert "ignored" not in plain


def test_no_loss_sees_what_is_ignored():
    ignored = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    ignored[..., :4] = True
    image, fake = torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8, requires_grad=True)
    given = (image, torch.empty(0), torch.empty(0), torch.empty(0), [], Augmentation(None, None, 0))
    compared = Batch(*given, ignored=ignored).compared(fake)
    assert torch.equal(compared[..., :4], image[..., :4])
    compared.sum().backward()
    assert torch.equal(fake.grad, (~ignored).float().expand_as(fake))
    assert Batch(*given).compared(fake) is fake


def test_a_quarter_takes_its_part_of_what_is_ignored():
    from sian.training.quarters import part_tiles
    from sian.training.recipe_sections import ComparingSection

    image = np.zeros((512, 512, 3), np.uint8)
    ignored = np.zeros((512, 512), bool)
    ignored[:256, :256] = image[:256, :256, 0] = 1
    tile = Tile("a", "skin", "ffpe", image, describe(np.zeros((512, 512), np.int32)), ignored=ignored)
    parted = part_tiles([tile], ComparingSection(tiles=1), 0)
    for part in [*parted.held, *parted.learned]:
        assert np.array_equal(part.ignored, part.image[..., 0] == 1)
    assert sorted(part.weight for part in parted.learned) == [0.25, 0.5]
