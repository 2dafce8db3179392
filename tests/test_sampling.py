from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch

from sian.data.loading import batches
from sian.data.sampling import Sample, Tile, WindowSampler
from sian.errors import BadInput
from sian.layout import describe, turn_image
from sian.windows import train_offsets

SIZE, SHAPES = 16, [(40, 40), (40, 56), (64, 40)]


def make_tile(number: int, shape: tuple[int, int]) -> Tile:
    """A tile whose image tells where each pixel comes from: row, column, tile."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.stack([y, x, np.full(shape, number)], axis=-1).astype(np.uint8)
    mask = np.random.default_rng(number).integers(0, 9, (shape[0] // 4, shape[1] // 4)).repeat(4, 0).repeat(4, 1)
    return Tile(f"tile-{number}", "kidney", "ffpe", image, describe(mask))


TILES = [make_tile(number, shape) for number, shape in enumerate(SHAPES)]


def make_sampler(**changes) -> WindowSampler:
    return WindowSampler(TILES, **{"size": SIZE, "reference_size": 24, **changes})


def origin(window: np.ndarray) -> tuple[int, int, int]:
    """Tile and corner that a (turned) window was cut from, read off its pixels."""
    return int(window[0, 0, 2]), int(window[..., 0].min()), int(window[..., 1].min())


def assert_same(one: Sample, other: Sample) -> None:
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.reference, other.reference)
    np.testing.assert_array_equal(one.layout.direction, other.layout.direction)
    np.testing.assert_array_equal(one.layout.distance, other.layout.distance)
    assert one.tile == other.tile


def differ(one: WindowSampler, other: WindowSampler) -> bool:
    return any(not np.array_equal(one.sample(i).image, other.sample(i).image) for i in range(4))


# Which windows


def test_an_epoch_shows_every_window_once() -> None:
    sampler = make_sampler()
    expected = {
        (number, y, x)
        for number, (height, width) in enumerate(SHAPES)
        for y in train_offsets(height, SIZE)
        for x in train_offsets(width, SIZE)
    }
    assert sampler.epoch_length == len(expected)
    orders = []
    for epoch in range(2):
        numbers = range(epoch * sampler.epoch_length, (epoch + 1) * sampler.epoch_length)
        order = [origin(sampler.sample(index).image) for index in numbers]
        assert set(order) == expected
        orders.append(order)
    assert orders[0] != orders[1]


def test_tiles_of_1000_px_have_100_windows() -> None:
    blank = np.zeros((1000, 1000), np.int32)
    tile = Tile("a", "liver", "ffpe", np.zeros((1000, 1000, 3), np.uint8), describe(blank))
    assert WindowSampler([tile, tile]).epoch_length == 200


def test_random_positions_are_uniform_over_tiles_and_places() -> None:
    sampler = make_sampler(positions="random")
    origins = [origin(sampler.sample(index).image) for index in range(3000)]
    tiles = Counter(tile for tile, _, _ in origins)
    assert all(abs(tiles[number] - 1000) < 120 for number in range(3))  # four standard deviations and a half
    rows = Counter(y for tile, y, _ in origins if tile == 0)
    assert sorted(rows) == list(range(SHAPES[0][0] - SIZE + 1))


def test_a_sample_depends_on_seed_and_index_alone() -> None:
    for positions in ("grid", "random"):
        one, other = (make_sampler(positions=positions, seed=3, sibling=0.5) for _ in range(2))
        for index in range(6):
            one.sample(index)
        assert_same(one.sample(1), other.sample(1))
        assert differ(one, make_sampler(positions=positions, seed=4, sibling=0.5))


# What is in them


def turn_of(window: np.ndarray) -> tuple[int, bool]:
    """How a window was turned, read off its pixels."""
    number, y, x = origin(window)
    upright = TILES[number].image[y : y + len(window), x : x + len(window)]
    turns = [(k, f) for k in range(4) for f in (False, True)]
    (turn,) = [turn for turn in turns if np.array_equal(turn_image(upright, *turn), window)]
    return turn


def test_image_and_layout_are_cut_and_turned_together() -> None:
    sampler = make_sampler()
    seen = set()
    for index in range(64):
        sample = sampler.sample(index)
        number, y, x = origin(sample.image)
        assert sample.tile == number
        turn = turn_of(sample.image)
        expected = TILES[number].layout.window(y, x, SIZE, SIZE).turned(*turn)
        np.testing.assert_array_equal(sample.layout.direction, expected.direction)
        np.testing.assert_array_equal(sample.layout.distance, expected.distance)
        seen.add(turn)
    assert len(seen) == 8


def test_without_turns_everything_is_upright() -> None:
    sampler = make_sampler(turn=False, sibling=0.5)
    for index in range(8):
        sample = sampler.sample(index)
        for window in (sample.image, sample.reference):
            assert (np.diff(window[..., 0].astype(int), axis=0) == 1).all()
            assert (np.diff(window[..., 1].astype(int), axis=1) == 1).all()


def contains(reference: np.ndarray, image: np.ndarray) -> bool:
    """Whether some cut of the reference is the image, pixel by pixel and turned alike."""
    views = np.lib.stride_tricks.sliding_window_view(reference, image.shape)[:, :, 0]
    return bool((views == image).all((2, 3, 4)).any())


def test_the_reference_contains_the_crop() -> None:
    for sampler in (make_sampler(), make_sampler(positions="random"), make_sampler(reference_size=SIZE)):
        for index in range(40):
            sample = sampler.sample(index)
            assert sample.reference.shape == (sampler.reference_size, sampler.reference_size, 3)
            assert contains(sample.reference, sample.image)


def test_a_small_reference_lies_in_the_middle_of_the_window() -> None:
    sample = make_sampler(reference_size=8, turn=False).sample(0)
    np.testing.assert_array_equal(sample.reference, sample.image[4:12, 4:12])


def test_siblings_are_other_windows_of_the_same_tile() -> None:
    sampler = make_sampler(sibling=1.0)
    samples = [sampler.sample(index) for index in range(200)]
    assert all(origin(sample.reference)[0] == sample.tile for sample in samples)
    assert sum(contains(sample.reference, sample.image) for sample in samples) < 20
    corners = {origin(sample.reference)[1:] for sample in samples if sample.tile == 0}
    assert len(corners) > 20


def test_siblings_have_a_turn_of_their_own() -> None:
    sampler = make_sampler(sibling=1.0)
    turns = [(turn_of(sample.image), turn_of(sample.reference)) for sample in map(sampler.sample, range(200))]
    assert len({of_reference for _, of_reference in turns}) == 8
    alike = sum(of_image == of_reference for of_image, of_reference in turns)
    assert 5 < alike < 48  # an eighth by chance: 25, with a standard deviation of 4.7


def test_half_of_the_references_are_siblings() -> None:
    sampler, never = make_sampler(sibling=0.5), make_sampler()
    same = 0
    for index in range(200):
        one, other = sampler.sample(index), never.sample(index)
        np.testing.assert_array_equal(one.image, other.image)  # the switch moves nothing else
        same += np.array_equal(one.reference, other.reference)
    assert 65 < same < 135


# Batches


def take(number: int, **arguments) -> list[dict[str, torch.Tensor]]:
    return list(islice(batches(make_sampler(sibling=0.5), 5, **arguments), number))


def test_a_batch_holds_its_samples() -> None:
    sampler = make_sampler(sibling=0.5)
    for k, batch in enumerate(take(2, start_batch=3), start=3):
        samples = [sampler.sample(index) for index in range(k * 5, k * 5 + 5)]
        assert {name: (value.dtype, tuple(value.shape)) for name, value in batch.items()} == {
            "image": (torch.uint8, (5, 3, SIZE, SIZE)),
            "direction": (torch.uint8, (5, SIZE, SIZE)),
            "distance": (torch.float32, (5, SIZE, SIZE)),
            "reference": (torch.uint8, (5, 3, 24, 24)),
            "tile": (torch.int64, (5,)),
            "place": (torch.int64, (5, 2)),
        }
        for i, sample in enumerate(samples):
            np.testing.assert_array_equal(batch["image"][i].permute(1, 2, 0), sample.image)
            np.testing.assert_array_equal(batch["reference"][i].permute(1, 2, 0), sample.reference)
            np.testing.assert_array_equal(batch["direction"][i], sample.layout.direction)
            np.testing.assert_array_equal(batch["distance"][i], sample.layout.distance)
            assert batch["tile"][i] == sample.tile
            assert tuple(batch["place"][i].tolist()) == sample.place


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers: int) -> None:
    for one, other in zip(take(6), take(6, workers=workers), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_batches_can_be_entered_anywhere() -> None:
    for one, other in zip(take(5)[3:], take(2, start_batch=3), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def numpy_state() -> list[int]:
    """NumPy's global random state."""
    return np.random.get_state()[1].tolist()  # noqa: NPY002  (what must stay untouched)


def test_batches_leave_global_random_numbers_alone() -> None:
    torch.manual_seed(7)
    before, numpy_before = torch.get_rng_state(), numpy_state()
    first = take(2)
    assert torch.equal(torch.get_rng_state(), before)
    assert numpy_state() == numpy_before
    torch.manual_seed(8)
    assert all(torch.equal(one["image"], other["image"]) for one, other in zip(first, take(2), strict=True))


# What is refused


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"size": 48}, "tile-0: expected a tile of at least 48 x 48 px, found 40 x 40"),
        ({"reference_size": 48}, "tile-0: expected a tile of at least 48 x 48 px"),
        ({"positions": "gird"}, "did you mean 'grid'"),
        ({"sibling": 1.5}, "expected a probability"),
    ],
)
def test_arguments_that_cannot_be_served_are_refused(changes, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        make_sampler(**changes)


def test_no_tiles_are_refused() -> None:
    with pytest.raises(BadInput, match="at least one tile"):
        WindowSampler([])


def test_an_image_of_another_size_than_its_mask_is_refused() -> None:
    with pytest.raises(BadInput, match="tile-9: expected an RGB image"):
        Tile("tile-9", "lung", "ffpe", np.zeros((4, 5, 3), np.uint8), describe(np.zeros((4, 4), np.int32)))


# Where a sample lies in its reference


def _grey_tile(side: int) -> Tile:
    """A tile whose red and green are its rows and columns, halved: no two pixels 2 px apart are alike."""
    y, x = np.mgrid[:side, :side]
    image = np.stack([y // 2, x // 2, np.zeros_like(y)], axis=-1).astype(np.uint8)
    return Tile("a", "kidney", "ffpe", image, describe(np.zeros((side, side), np.int32)))


@pytest.mark.parametrize("placing", ["centre", "anywhere"])
def test_a_sample_lies_at_its_place_in_its_reference(placing) -> None:
    sampler = WindowSampler([_grey_tile(420)], 128, 256, "random", placing=placing)
    places = Counter()
    for index in range(200):
        sample = sampler.sample(index)
        y, x = sample.place
        np.testing.assert_array_equal(sample.reference[y : y + 128, x : x + 128], sample.image)
        places[sample.place] += 1
    assert max(places, key=places.get) == (64, 64) if placing == "centre" else len(places) >= 25


def test_anywhere_reaches_every_step_alike_and_stays_inside() -> None:
    sampler = WindowSampler([_grey_tile(500)], 128, 256, "random", turn=False, placing="anywhere")
    at = Counter(sampler.sample(index).place for index in range(600))
    assert {v for place in at for v in place} == {0, 32, 64, 96, 128}
    assert min(at.values()) > 5  # of 24 on average; those at the tile's border lean outwards
    whole = WindowSampler([_grey_tile(300)], 256, 256, placing="anywhere")
    assert {whole.sample(index).place for index in range(8)} == {(0, 0)}


def test_placing_has_two_names() -> None:
    with pytest.raises(BadInput, match="did you mean 'anywhere'"):
        make_sampler(placing="anywere")
