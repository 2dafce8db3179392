"""What is held out of few tiles: no pixel is learned from and painted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sian.data.sampling import Tile
from sian.layout import describe
from sian.training.quarters import CORNERS, part_tiles
from sian.training.recipe_sections import ComparingSection

SECTION = ComparingSection(tiles=1, least=4)


def tile(name, height=520, width=530, patient=None):
    """Each pixel's place in its colours: rows in red and green, columns in blue and green."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([y % 256, (y // 256) * 16 + x // 256, x % 256], -1).astype(np.uint8)
    mask = np.zeros((height, width), np.int32)
    mask[10:40, 10:40] = 1
    return Tile(name, "skin", "ffpe", image, describe(mask), patient)


def places(parts):
    return {tuple(pixel) for part in parts for pixel in part.image.reshape(-1, 3).tolist()}


@pytest.mark.parametrize("seed", range(8))
def test_a_quarter_is_held_out_of_each_of_few_tiles(seed):
    whole = tile("a")
    parted = part_tiles([whole], SECTION, seed)
    (held,) = parted.held
    assert held.layout.shape in {(260, 265)}
    assert not places([held]) & places(parted.learned)
    assert places([held, *parted.learned]) == places([whole])
    assert sum(part.image.shape[0] * part.image.shape[1] for part in [held, *parted.learned]) == 520 * 530
    assert min(min(part.layout.shape) for part in parted.learned) >= 256
    assert parted.tissue == [whole]
    corner = CORNERS.index(parted.names[0].removeprefix("a (").removesuffix(")"))
    y, x = (corner // 2) * 260, (corner % 2) * 265
    assert np.array_equal(held.image, whole.image[y : y + 260, x : x + 265])
    assert np.array_equal(held.layout.direction, whole.layout.direction[y : y + 260, x : x + 265])


def test_all_corners_are_drawn():
    names = {part_tiles([tile("a")], SECTION, seed).names[0] for seed in range(30)}
    assert len(names) == len(CORNERS)


def test_whole_tiles_where_there_are_enough():
    several = [tile(name) for name in "abcd"]
    parted = part_tiles(several, SECTION, 0)
    assert len(parted.held) == 1
    assert parted.tissue == parted.held
    assert {t.id for t in parted.learned} | {t.id for t in parted.held} == set("abcd")
    one_patient = [replace(t, patient="p") for t in several]
    assert len(part_tiles(one_patient, SECTION, 0).held) == 4  # quarters: another tile of the patient is no test


def test_small_tiles():
    assert part_tiles([tile("a", 300, 300)], SECTION, 0).held == []
    assert [t.id for t in part_tiles([tile("a", 300, 300), tile("b")], SECTION, 0).tissue] == ["b"]
    two = part_tiles([tile("a", 300, 300), tile("b", 300, 300)], SECTION, 0)
    assert len(two.held) == len(two.learned) == 1
