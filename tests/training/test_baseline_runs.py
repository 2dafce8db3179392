"""Baselines through the same doors as SIAN: recipes, losses by hand, resume, export, painting, the command line."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tests.training import toys

import sian
from sian.cli.main import main
from sian.errors import BadInput, SianWarning
from sian.layout import Layout, describe
from sian.networks import build_discriminator, build_painter
from sian.synthesis import Style, adjusting
from sian.training import Hardware, Recipe, losses, train
from sian.training.augmentation import draw
from sian.training.loop import _set_rates
from sian.training.step import Batch, generator_loss, judge

CPU = Hardware("cpu")
COMMON = {
    "data": {"positions": "random"},
    "discriminator": {"width": 2, "scales": 1, "layers": 2},
    "average": {"half_life": 2.0},
    "every": {"journal": 2, "samples": 1000, "checkpoint": 1000},
}
NETWORKS = {
    "spade": {"generator": {"width": 1, "hidden": 2, "style_dim": 3}, "encoder": {"width": 2}},
    "pix2pix": {"generator": {"width": 2, "depth": 6}},
    "pix2pixhd": {"generator": {"width": 2, "halvings": 2, "blocks": 1}},
    "sharpgan": {"generator": {"width": 2, "depth": 6}},
}
STYLELESS = ("pix2pix", "pix2pixhd", "sharpgan")


def recipe(network: str, images: int = 4, **changes) -> Recipe:
    batch = 1 if network in STYLELESS else 2
    values = {**COMMON, **NETWORKS[network], "name": network, "network": network, "losses": {"perceptual": 0}}
    return Recipe.parse({**values, "stages": [{"images": images, "size": 64, "batch": batch}], **changes}, network)


def only_style(model: sian.Model) -> Style:
    """The first organ's style; no question that is warned about."""
    organ = next(iter(model.styles))
    return Style(model.styles[organ].vector, organ)


@pytest.fixture(scope="module")
def tiles():
    return toys.tiles()


@pytest.mark.parametrize("network", NETWORKS)
def test_resumed_baseline_equals_a_straight_one(tiles, tmp_path, network):
    straight = train(recipe(network), tiles, tmp_path / "straight", hardware=CPU)
    train(recipe(network, 2), tiles, tmp_path / "run", hardware=CPU)
    last = train(recipe(network), tiles, tmp_path / "run", resume=True, hardware=CPU)
    assert last.name == straight.name == "000000004"
    assert toys.differing(last, straight) == []
    before = build_painter(*_sections(network), network=network, seed=0).state_dict()
    found = toys.tensors(last)
    moved = [name for name, tensor in before.items() if not torch.equal(found[f"networks/painter.{name}"], tensor)]
    assert len(moved) > len(before) / 2  # it learned


def _sections(network: str) -> tuple[dict, dict]:
    chosen = recipe(network)
    return chosen.generator.model_dump(), chosen.encoder.model_dump()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The toy tiles as a data set."""
    source = toys.write_folder(tmp_path_factory.mktemp("source") / "tiles")
    target = tmp_path_factory.mktemp("data") / "toys"
    assert main(["data", "import", str(source), "-o", str(target)]) == 0
    return target


@pytest.mark.parametrize("network", NETWORKS)
def test_the_command_line_trains_paints_and_evaluates(folder, tmp_path, monkeypatch, capfd, network):
    monkeypatch.setattr(adjusting, "NORM_BATCHES", 1)
    monkeypatch.setattr(adjusting, "NORM_BATCH", 2)
    path, run = tmp_path / "recipe.yaml", tmp_path / "run"
    path.write_text(recipe(network, 2).dump(), encoding="utf-8")
    split = sian.open_dataset(folder).splits
    words = ["train", path, "-d", folder, "-o", run, "--device", "cpu", "--split", next(iter(split))]
    assert main([str(word) for word in words]) == 0
    model = sian.load(run / "model.safetensors")
    assert model.info.recipe["network"] == network
    assert model.has_style == (network not in STYLELESS)
    card = (run / "model.md").read_text()
    assert f"Network {network}" in card
    assert ("no style" in card) == (network in STYLELESS)
    mask = sian.write_mask(tmp_path / "mask.png", toys.ellipses(5, 150)[:, :77])
    organ = next(iter(model.styles))
    capfd.readouterr()
    words = ["synthesize", mask, "--model", run / "model.safetensors", "--style", organ, "-o", tmp_path / "out"]
    assert main([str(word) for word in words]) == 0
    assert ("has no style" in capfd.readouterr().err) == (network in STYLELESS)
    picture = tmp_path / "out" / f"mask_{organ}.png"
    painted = sian.read_image(picture)
    assert painted.shape == (150, 77, 3)
    assert np.array_equal(painted, model.synthesize(sian.read_mask(mask), only_style(model)))
    assert (b"this model has no style" in picture.read_bytes()) == (network in STYLELESS)


@pytest.fixture(scope="module")
def sharp(folder, tmp_path_factory) -> sian.Model:
    """A Sharp-GAN that has seen four windows."""
    data = sian.open_dataset(folder)
    path = sian.train(recipe("sharpgan"), data, tmp_path_factory.mktemp("sharp") / "run")
    return sian.load(path)


def test_a_model_without_styles_says_so_and_paints(sharp):
    mask = toys.ellipses(1, 100)
    organ = next(iter(sharp.styles))
    image = np.full((64, 64, 3), 200, np.uint8)
    with pytest.warns(SianWarning, match="has no style"):
        one = sharp.synthesize(mask, organ)
    with pytest.warns(SianWarning, match="has no style"):
        assert np.array_equal(one, sharp.synthesize(mask, image))
    assert only_style(sharp).vector.shape == (0,)
    drawn = sharp.styles[organ].sample(seed=3)
    assert np.array_equal(one, sharp.synthesize(mask, drawn))
    with pytest.warns(SianWarning, match="no style"), pytest.raises(BadInput, match="knows no style"):
        sharp.synthesize(mask, "kidny")


def test_dropout_is_the_seeds_and_off_without_noise(sharp):
    mask, style = toys.ellipses(1, 100), only_style(sharp)
    one, same, other = (sharp.synthesize(mask, style, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    silent = [sharp.synthesize(mask, style, noise=0, seed=seed) for seed in (1, 2)]
    assert np.array_equal(*silent)
    assert not np.array_equal(silent[0], one)


def test_a_layout_without_depth_is_refused(sharp):
    whole = describe(toys.ellipses(1, 64))
    style = only_style(sharp)
    bare = Layout(whole.semantic, whole.direction, whole.distance)
    with pytest.raises(BadInput, match="needs a layout's boundary and depth"):
        sharp.synthesize(bare, style)
    assert sharp.synthesize(whole.window(3, 5, 40, 50), style).shape == (40, 50, 3)


def scores(*values: float) -> list[list[torch.Tensor]]:
    """A discriminator's outputs on one scale: no features, these scores."""
    return [[torch.tensor(values)]]


def test_gan_losses_by_hand():
    two = [*scores(0.5, 2.0), *scores(-1.0)]
    assert float(losses.generator_gan(two, "lsgan")) == pytest.approx(((0.25 + 1) / 2 + 4) / 2)
    bce = (math.log(1 + math.exp(-0.5)) + math.log(1 + math.exp(-2))) / 2
    assert float(losses.generator_gan(two, "bce")) == pytest.approx((bce + math.log(1 + math.e)) / 2)
    assert float(losses.generator_gan(two, "hinge")) == pytest.approx((-1.25 + 1) / 2)
    real, fake = scores(0.5), scores(-1.0)
    assert float(losses.discriminator_gan(real, fake, "lsgan")) == pytest.approx((0.25 + 1) / 2)
    expected = (math.log(1 + math.exp(-0.5)) + math.log(1 + math.exp(-1))) / 2
    assert float(losses.discriminator_gan(real, fake, "bce")) == pytest.approx(expected)
    assert float(losses.discriminator_gan(real, fake, "hinge")) == pytest.approx(0.5 + 0)


def contour_layout() -> torch.Tensor:
    """A nucleus of one row of pixels, which are all contour: (1, 21, 9, 9)."""
    layout = torch.zeros(1, 21, 9, 9)
    layout[:, (0, 19), 4] = 1
    return layout


@pytest.mark.parametrize(("inside", "outside", "expected"), [(0.0, 0.0, 1.0), (-0.5, 0.5, 0.0), (-0.1, 0.1, 0.6)])
def test_sharpness_by_hand(inside, outside, expected):
    """Grey values of contour and surroundings; lack of contrast is 1 - |difference| / 0.5, at least 0."""
    image = torch.full((1, 3, 9, 9), outside)
    image[:, :, 4] = inside
    assert float(losses.sharpness(image, contour_layout())) == pytest.approx(expected, abs=1e-5)
    assert float(losses.sharpness(image, torch.zeros(1, 21, 9, 9))) == 0.0


def test_pix2pixs_total_by_hand():
    random = torch.Generator().manual_seed(0)
    image, layout = torch.rand(2, 3, 64, 64, generator=random), torch.rand(2, 21, 64, 64, generator=random)
    batch = Batch(image, layout, image, image, [], draw(2, 64, 0, 0, random))
    weights = recipe("pix2pix", losses={"perceptual": 0, "sharpness": 2, "gan_weight": 3}).losses
    bare = build_discriminator(recipe("pix2pix").discriminator.model_dump(), network="pix2pix").requires_grad_(False)
    fake, none = image.flip(0), (torch.zeros(2, 0), torch.zeros(2, 0))
    found = generator_loss(batch, fake, none, judge(batch, fake, bare, bare), None, weights, 0)
    outputs = bare(torch.cat([fake, layout[:, :1]], 1))
    expected = {
        "gan": 3 * losses.generator_gan(outputs, "bce"),
        "feature_matching": torch.tensor(0.0),
        "l1": 100 * (fake - image).abs().mean(),
        "sharpness": 2 * losses.sharpness(fake, layout),
    }
    assert {k: float(v) for k, v in found.terms.items()} == pytest.approx({k: float(v) for k, v in expected.items()})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"network": "pix2pixh"}, "did you mean 'pix2pixhd'"),
        ({"network": "pix2pix", "generator": {"channels": [8] * 7}}, "unknown key 'generator.channels'"),
        ({"network": "pix2pix", "encoder": {"width": 4}}, "unknown key 'encoder.width'"),
        ({"network": "pix2pix", "losses": {"kld": 0.05}}, "losses.kld"),
        ({"network": "pix2pix", "stages": [{"images": 4, "size": 128}]}, "stages.0.size has to be a multiple of 256"),
        ({"network": "pix2pixhd", "generator": {"width": 5}}, "generator.width"),
        ({"network": "spade", "generator": {"conditon": "layout"}}, "did you mean 'condition'"),
        ({"network": "spade", "stages": [{"images": 4, "batch": 1}]}, "stages.0.batch"),
        ({"losses": {"gan": "wgan"}}, "losses.gan"),
        ({"discriminator": {"condition": "everything"}}, "discriminator.condition"),
    ],
)
def test_baselines_recipes_are_typed(tmp_path, capfd, values, said):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"name": "toy", **values}), encoding="utf-8")
    assert main(["train", str(path), "-d", str(tmp_path), "-o", str(tmp_path / "run")]) == 3
    assert said in capfd.readouterr().err


def test_every_network_has_recipes_as_published():
    pix2pix, hd, sharp, spade = (Recipe.load(name) for name in ("pix2pix", "pix2pixhd", "sharpgan", "spade"))
    assert (pix2pix.losses.gan, pix2pix.losses.l1, pix2pix.stages[0].batch) == ("bce", 100, 1)
    assert (hd.losses.gan, hd.losses.gan_weight, hd.losses.feature_matching, hd.losses.perceptual) == (
        "lsgan",
        2,
        10,
        10,
    )
    assert (hd.discriminator.scales, hd.discriminator.layers, hd.discriminator.condition) == (2, 4, "boundary")
    assert (sharp.generator.condition, sharp.losses.sharpness, sharp.losses.l1) == ("depth", 10, 100)
    assert (spade.losses.kld, spade.losses.regularisation, spade.generator.style_dim) == (0.05, 0, 256)
    for chosen in (pix2pix, hd, sharp):
        optimiser = chosen.optimiser
        assert (optimiser.generator_rate, optimiser.betas, optimiser.decay_from) == (2e-4, (0.5, 0.999), 0.5)


@pytest.mark.parametrize("name", ["monuseg", "spade-layout", "pix2pix", "pix2pixhd", "sharpgan"])
def test_a_scaled_recipe_is_a_quarter_as_wide(name):
    whole = Recipe.load(name)
    quarter = whole.scaled(16)
    assert type(quarter) is type(whole)
    assert Recipe.parse(yaml.safe_load(quarter.dump()), name) == quarter
    assert quarter.generator.base_width * 4 == whole.generator.base_width == 64
    assert quarter.discriminator.width * 4 == whole.discriminator.width
    assert quarter.losses == whole.losses
    assert quarter.scaled(64) == whole


@pytest.mark.parametrize("setting", ["paired", "prior"])
@pytest.mark.filterwarnings("ignore:.*this model has no style")
def test_the_protocol_paints_with_a_model_without_styles(sharp, folder, setting):
    from sian.evaluation.reconstruction import model_painter, reconstruct

    data = sian.open_dataset(folder)
    made = reconstruct(model_painter(sharp), data, split=data.splits[0], style=setting, bank=sharp.styles)
    painted = [made.fake.read(name) for name in made.fake.names]
    assert len(painted) == 8  # two tiles of 272 px, four windows each
    assert {image.shape for image in painted} == {(256, 256, 3)}


@pytest.mark.parametrize(("network", "last"), [("pix2pix", 0.0), ("pix2pixhd", 0.0), ("sharpgan", 0.0), ("spade", 1.0)])
def test_rates_fall_to_what_the_original_lets_them_fall_to(network, last):
    chosen = recipe(network)
    adam = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    seen = []
    for done in (0.0, 0.5, 0.75, 1.0):
        _set_rates(chosen, done, adam, adam)
        seen.append(adam.param_groups[0]["lr"] / chosen.optimiser.discriminator_rate)
    assert seen == pytest.approx([1.0, 1.0, (1 + last) / 2, last])


def test_rates_rise_before_they_fall():
    chosen = recipe("spade", optimiser={"rise_until": 0.4, "decay_from": 0.6, "last_rate": 0.0})
    adam = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    seen = []
    for done in (0.0, 0.1, 0.4, 0.6, 0.8, 1.0):
        _set_rates(chosen, done, adam, adam)
        seen.append(adam.param_groups[0]["lr"] / chosen.optimiser.discriminator_rate)
    assert seen == pytest.approx([0.0, 0.25, 1.0, 1.0, 0.5, 0.0])


def test_spade_on_crops_is_refused_where_its_map_would_not_learn():
    assert recipe("spade").data.placing == "anywhere"
    with pytest.raises(BadInput, match=r"data.placing: SPADE's style has places.*expected anywhere"):
        recipe("spade", data={"placing": "centre"})
    whole = [{"images": 4, "size": 256, "batch": 2}]
    assert recipe("spade", data={"placing": "centre"}, stages=whole).data.placing == "centre"


def test_every_cell_of_spades_style_map_moves_in_training(tiles, tmp_path):
    """By the loop itself, with its sampler: after a few steps no cell of the map is where it began."""
    stages = [{"images": 60, "size": 128, "batch": 10}]
    chosen = recipe("spade", stages=stages, optimiser={"generator_rate": 1e-3})
    last = train(chosen, tiles, tmp_path / "run", hardware=CPU)
    name = "generator.start_style.weight"
    moved = toys.tensors(last)[f"networks/painter.{name}"]
    before = build_painter(*_sections("spade"), network="spade", seed=0, initialisation=chosen.initialisation)
    change = (moved - before.state_dict()[name]).abs().sum(1).reshape(-1, 8, 8).sum(0)
    assert bool((change > 0).all())
