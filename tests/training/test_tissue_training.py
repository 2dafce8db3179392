"""Tissue maps from tiles through a training that begins without them, to a model file and its paintings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.synthesis import toys as models
from tests.training import toys

import sian
from sian.data import DatasetInfo, DatasetWriter
from sian.data.loading import batches
from sian.data.sampling import Tile, WindowSampler
from sian.layout import describe
from sian.networks import Discriminator, build_painter, select, stack, stack_layouts
from sian.synthesis import adjusting, export
from sian.synthesis.finetuning import start_from
from sian.synthesis.modelfile import read_model
from sian.synthesis.painting import Noise, paint
from sian.synthesis.widening import stirred, widened_by_tissue
from sian.training import Recipe, losses
from sian.training.batch_making import drawn_between, make_batch


@pytest.fixture(scope="module")
def tiles() -> list[Tile]:
    made = []
    for number in range(2):
        mask = toys.ellipses(number)
        image = toys.picture(mask, number)
        made.append(Tile(f"tile-{number}", "kidney", "ffpe", image, describe(mask, tissue=image)))
    return made


def test_tissue_lies_before_the_classes():
    direction = torch.zeros(1, 2, 3, dtype=torch.uint8)
    tissue = torch.arange(30, dtype=torch.int8).reshape(1, 2, 3, 5)
    classes = torch.full((1, 2, 3), 2, dtype=torch.uint8)
    maps = stack(direction, torch.zeros(1, 2, 3), classes=classes, class_count=2, tissue=tissue)
    assert maps.shape == (1, 26, 2, 3)
    assert torch.allclose(maps[0, 19:24], tissue[0].permute(2, 0, 1) / 127)
    assert maps[0, 24:].mean((1, 2)).tolist() == [0, 1]
    seen = select(maps, "layout", Discriminator(classes=2).classes)  # a discriminator sees the classes alone
    assert torch.equal(seen[:, 19:], maps[:, 24:])


def test_layouts_without_a_map_say_nothing(tiles):
    told, untold = tiles[0].layout, describe(toys.ellipses(1))
    maps = stack_layouts([told, untold], tissue=True)
    assert maps.shape[1] == 24 + 2  # and boundary and depth
    assert (maps[0, 21] == 1).all()
    assert not maps[1, 21:].any()
    assert stack_layouts([told, untold], extras=False).shape[1] == 19


@pytest.mark.parametrize("names", [[], ["a", "b"]])
def test_a_generator_that_was_widened_paints_what_it_painted(names, tmp_path):
    path = models.write_classed(tmp_path / "toy.safetensors", names)
    content = read_model(path)
    classes = len(content.info.classes)
    sections = content.info.recipe
    before = build_painter(sections["generator"], sections["encoder"], spectral=False, classes=classes).eval()
    before.load_state_dict(content.weights)
    wide = build_painter(
        {**sections["generator"], "tissue": True}, sections["encoder"], spectral=False, classes=classes
    ).eval()
    wide.load_state_dict(content.weights | widened_by_tissue(content.weights, classes))
    mask = toys.ellipses(3, side=160, count=20)
    ids = np.unique(mask[mask > 0]).tolist()
    named = ({number: "ab"[number % 2] for number in ids}, ("a", "b")) if classes else ()
    image = toys.picture(mask, 3)
    style = torch.linspace(-1, 1, before.generator.style_dim)
    painted = paint(before.generator, describe(mask, *named), style, Noise(1))
    assert painted.std() > 5
    for layout in (describe(mask, *named), describe(mask, *named, tissue=image)):
        assert np.array_equal(paint(wide.generator, layout, style, Noise(1)), painted)


def test_a_recipe_adds_maps_and_coarse_noise_to_a_model(toy_model):
    recipe = Recipe.load("tissue")
    whole, start = start_from(recipe, toy_model)
    assert whole.generator.tissue
    assert whole.generator.noise_blocks == (0, 2, 3, 4, 5, 6)
    assert start.painter["generator.start.weight"].shape[1] == 19 + 5
    strengths = {index: start.painter[f"generator.blocks.{index}.noise_strength"] for index in (0, 2, 3, 4)}
    assert all(0.1 < float(strengths[index].std()) < 1.5 for index in (0, 2, 3))
    assert (strengths[4] == 0.4).all()  # as it was
    again = start_from(recipe, toy_model)[1].painter["generator.blocks.2.noise_strength"]
    assert torch.equal(again, strengths[2])
    assert not stirred(start.painter, 0.01, 0)  # stronger noise is left alone


@pytest.fixture
def toy_model(tmp_path) -> Path:
    return models.write_toy(tmp_path / "toy.safetensors", storage="float32")


@pytest.mark.parametrize("name", ["monuseg", "small", "monuseg-plus", "encoder", "finetune", "spade"])
def test_other_recipes_know_nothing_of_it(name):
    recipe = Recipe.load(name)
    assert not getattr(recipe.generator, "tissue", False)
    assert recipe.losses.diversity == 0


def test_half_of_the_windows_are_told(tiles):
    recipe = toys.recipe(generator={"tissue": True}, data={"tissue": 0.5})
    painter = build_painter(recipe.generator.model_dump(), recipe.encoder.model_dump())
    raw = next(batches(WindowSampler(tiles, 64, positions="random"), 64, tissue=True))
    batch = make_batch(raw, painter, recipe, 64, torch.Generator().manual_seed(1), torch.device("cpu"))
    assert batch.layout.shape[1] == 24
    known = batch.layout[:, 19].amax((1, 2)) > 0
    assert torch.equal(known, batch.told)
    assert 16 < int(known.sum()) < 48
    assert torch.equal(known, batch.layout[:, 19].amin((1, 2)) > 0)
    assert not batch.layout[~known, 19:].any()
    all_told = recipe.model_copy(update={"data": recipe.data.model_copy(update={"tissue": 1.0})})
    batch = make_batch(raw, painter, all_told, 64, torch.Generator().manual_seed(1), torch.device("cpu"))
    expected = raw["tissue"].permute(0, 3, 1, 2) / 127
    assert torch.allclose(batch.layout[:, 19:], expected)


def test_windows_that_are_not_told_get_a_drawn_map(tiles):
    """None of the layout is silent; those that are told keep their own map, the others get another one each time."""
    recipe = Recipe.parse({"name": "t", "generator": {"tissue": True}, "data": {}}, "t")
    painter = build_painter({**models.GENERATOR, "tissue": True}, models.ENCODER)
    raw = next(batches(WindowSampler(tiles, 64, 64), 8, tissue=True))
    given = (raw, painter, recipe, 64)
    random = [torch.Generator().manual_seed(seed) for seed in (1, 1, 2)]
    silent = make_batch(*given, random[0], torch.device("cpu"))
    first, second = (make_batch(*given, one, torch.device("cpu"), drawn_between(tiles)) for one in random[1:])
    said = slice(19, 24)
    assert first.told.tolist() == silent.told.tolist()
    assert set(first.told.tolist()) == {False, True}
    assert (first.layout[:, 19] == 1).all()
    assert torch.equal(first.layout[first.told], silent.layout[first.told])
    assert not silent.layout[~silent.told][:, said].any()
    both = ~first.told & ~second.told
    assert both.any()
    assert (first.layout[both][:, said] != second.layout[both][:, said]).any()


def test_maps_turn_with_their_windows(tiles):
    sampler = WindowSampler(tiles, 64, positions="random", seed=3)
    for number, part in enumerate(next(batches(sampler, 12, tissue=True))["tissue"]):
        place = sampler.place(number)
        whole = tiles[place.tile].layout.window(place.y, place.x, 64, 64)
        assert np.array_equal(part, whole.turned(place.turns, place.flip).tissue)


def test_colours_are_compared_place_by_place_where_a_map_tells():
    real, fake = torch.zeros(2, 3, 32, 32), torch.zeros(2, 3, 32, 32)
    fake[:, :, :16] = 0.5
    fake[:, :, 16:] = -0.5  # as a whole it is right
    assert float(losses.colour(real, fake)) == pytest.approx(0.5)
    assert float(losses.colour(real, fake, torch.tensor([True, False]))) == pytest.approx(0.25)
    assert float(losses.colour(real, fake + 0.2, torch.tensor([False, False]))) == pytest.approx(0.2, abs=1e-5)


def test_paintings_are_to_differ_as_much_as_two_places_of_the_tissue_do():
    real = torch.zeros(2, 3, 16, 16)
    real[..., :8] = 1.0  # 1 away from its mirror image everywhere
    fake, wanted = torch.zeros(2, 3, 16, 16), 1 + losses.LEAST_DIFFERENCE
    assert float(losses.diversity(real, fake, fake)) == 1
    assert float(losses.diversity(real, fake, fake + 0.3)) == pytest.approx(1 - 0.3 / wanted)
    assert float(losses.diversity(real, fake, fake + 3)) == 0
    assert float(losses.diversity(real, fake, fake, torch.tensor([True, False]))) == 0.5
    grain = 1 - 2 * ((torch.arange(16)[:, None] + torch.arange(16)) % 2).float()
    assert float(losses.diversity(real, fake, fake + grain)) == pytest.approx(1)  # grain is no variety


def test_a_model_with_maps_is_trained_stored_and_painted_with(tmp_path, toy_model, monkeypatch):
    monkeypatch.setattr(adjusting, "NORM_BATCHES", 2)
    monkeypatch.setattr(adjusting, "NORM_BATCH", 4)
    writer = DatasetWriter(tmp_path / "set", DatasetInfo(name="toy", mpp=0.25))
    for number in range(2):
        mask = toys.ellipses(number)
        writer.add(f"tile-{number}", toys.picture(mask, number), mask, organ="kidney")
    data = sian.open_dataset(writer.folder)
    recipe = tmp_path / "toy.yaml"
    recipe.write_text(
        "{name: told, start: model, coarse_noise: 0.5, generator: {noise_blocks: [0, 2, 3, 4, 5, 6], tissue: true}, "
        "discriminator: {width: 4, scales: 1, layers: 2}, data: {positions: random}, "
        "losses: {perceptual: 0, colour: 50, diversity: 1, kld_reduction: mean}, "
        "optimiser: {generator_rate: 0.01}, stages: [{images: 4, size: 64, batch: 2, frozen: [generator, encoder]}, "
        "{images: 16, size: 64, batch: 2}]}"
    )
    path = sian.train(recipe, data, tmp_path / "run", init=toy_model)
    assert '"diversity"' in (tmp_path / "run" / "stats.jsonl").read_text()
    small = export.rewrite(path, tmp_path / "int8.safetensors", storage="int8")
    item = next(iter(data))
    mask, image = data.mask(item), data.image(item)
    for file in (path, small):
        model = sian.load(file)
        assert model.painter.generator.tissue
        plain = model.synthesize(mask, "kidney")
        told = model.synthesize(sian.describe(mask, tissue=image), "kidney")
        assert (plain != told).any()
        assert np.array_equal(plain, model.synthesize(sian.describe(mask), "kidney"))
        model.painter.generator.between = None
        assert (plain != model.synthesize(mask, "kidney")).any()  # where no map is given, one is drawn
        empty = [sian.tissue_map(data.image(item), data.mask(item))[..., 0].ravel() for item in data]
        law = read_model(file).tissue["kidney/unknown"].numpy()
        np.testing.assert_allclose(law[0], np.quantile(np.concatenate(empty), np.linspace(0, 1, 33)), atol=0.01)
