"""Recipes: the bundled ones, what is refused, and single values changed."""

from __future__ import annotations

import pytest
import yaml
from tests.training import toys

from sian.errors import BadInput
from sian.training import Recipe, bundled_recipes


def refusal(tmp_path, changes=None, **content) -> str:
    """What loading the toy recipe with these keys, or these --set changes, says."""
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({**toys.TOY, **content}), encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        Recipe.load(path, changes)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("name", bundled_recipes())
def test_bundled_recipes_load_and_come_back_from_their_dump(name):
    recipe = Recipe.load(name)
    assert recipe.name == name
    assert Recipe.parse(yaml.safe_load(recipe.dump()), name) == recipe


def test_the_papers_recipe_is_the_papers():
    recipe = Recipe.load("monuseg")
    assert recipe.generator.channels == (1024, 1024, 1024, 512, 256, 128, 64)
    assert (recipe.losses.feature_matching, recipe.losses.perceptual) == (10, 10)
    assert (recipe.losses.kld, recipe.losses.regularisation) == (0.05, 0.5)
    assert (recipe.losses.lecam, recipe.losses.colour, recipe.augment.cutout) == (0, 0, 0)
    assert (recipe.optimiser.generator_rate, recipe.optimiser.discriminator_rate) == (1e-4, 4e-4)
    assert recipe.optimiser.betas == (0.0, 0.999)
    assert (recipe.initialisation, recipe.losses.regularisation_reduction) == ("xavier", "mean")  # recipe-choices.md
    assert [(stage.epochs, stage.size, stage.batch) for stage in recipe.stages] == [(50, 256, 8)]
    assert recipe.discriminator.condition == "layout"
    assert recipe.generator.noise_blocks == ()


def test_noise_blocks_are_a_set_and_heads_limit_the_perceptual_layers():
    noisy = Recipe.parse({"name": "r", "generator": {"noise_blocks": [6, 4, 4]}}, "r")
    assert noisy.generator.noise_blocks == (4, 6)
    with pytest.raises(BadInput, match=r"beside discriminator\.features only relu1_1, relu2_1 and relu3_1"):
        Recipe.parse({"name": "r", "discriminator": {"features": 4}}, "r")


def test_recipes_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Recipe.load("small").seed = 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"genrator": {}}, "unknown key 'genrator'; did you mean 'generator'?"),
        ({"generator": {"chanels": [1]}}, "unknown key 'generator.chanels'; did you mean 'channels'?"),
        ({"stages": [{"images": 8, "sise": 64}]}, "did you mean 'size'?"),
        ({"stages": [{"images": 8, "epochs": 2}]}, "either images or epochs"),
        ({"stages": [{"size": 64}]}, "either images or epochs"),
        ({"stages": [{"images": 8, "frozen": ["generator", "encoder", "discriminator"]}]}, "something has to learn"),
        ({"stages": [{"images": 8, "frozen": ["discriminator"]}]}, "ask a discriminator that never learns"),
        ({"losses": {"gan_weight": 0, "feature_matching": 0}}, "expected [discriminator], or one of them above 0"),
        (
            {
                "losses": {"gan_weight": 0, "feature_matching": 0, "perceptual_every": 2},
                "stages": [{"images": 8, "frozen": ["discriminator"]}],
            },
            "none is left that every step",
        ),
        ({"stages": [{"images": 8, "size": 70}]}, "stages.0.size"),
        ({"stages": [{"images": 8, "batch": 1}]}, "stages.0.batch"),
        ({"stages": []}, "stages"),
        ({"seed": -1}, "seed"),
        ({"name": None}, "name"),
        ({"optimiser": {"generator_rate": 0}}, "optimiser.generator_rate"),
        ({"optimiser": {"generator_rate": float("inf")}}, "optimiser.generator_rate"),
        ({"optimiser": {"betas": [0, 1]}}, "optimiser.betas.1"),
        ({"losses": {"kld": float("nan")}}, "losses.kld"),
        ({"losses": {"perceptual_layers": ["relu9_1"]}}, "losses.perceptual_layers.0"),
        ({"losses": {"perceptual_layers": []}}, "losses.perceptual_layers"),
        ({"losses": {"kld_reduction": "median"}}, "losses.kld_reduction"),
        ({"generator": {"channels": [8] * 6}}, "generator.channels"),
        ({"generator": {"channels": [8] * 6 + [0]}}, "generator.channels.6"),
        ({"generator": {"noise_blocks": [7]}}, "generator.noise_blocks.0"),
        ({"data": {"sibling": 1.5}}, "data.sibling"),
        ({"augment": {"translation": "far"}}, "augment.translation"),
        ({"every": {"keep": 0}}, "every.keep"),
        ({"encoder": 3}, "encoder"),
    ],
)
def test_refused(tmp_path, content, said):
    sentence = refusal(tmp_path, **content)
    assert said in sentence
    assert str(tmp_path / "recipe.yaml") in sentence


def test_what_only_follows_from_a_bad_item_is_not_said(tmp_path):
    assert refusal(tmp_path, stages=[{"images": 0}]).endswith(
        "stages.0.images: input should be greater than or equal to 1, found 0"
    )


def test_of_a_network_without_styles_the_encoder_cannot_learn():
    stages = [{"images": 8, "size": 256, "frozen": ["generator", "discriminator"]}]
    with pytest.raises(BadInput, match="something has to learn"):
        Recipe.parse({"name": "r", "network": "pix2pix", "stages": stages}, "r")


def test_every_problem_is_named_at_once(tmp_path):
    sentence = refusal(tmp_path, seed=-1, data={"sibling": 2}, colour=1)
    assert all(word in sentence for word in ("seed", "data.sibling", "'colour'"))


@pytest.mark.parametrize(
    ("content", "said"),
    [("seed: [", "YAML"), ("- 1\n- 2\n", "mapping"), ("", "mapping"), ("description: x\n", "name: found no value")],
)
def test_files_that_are_no_recipes(tmp_path, content, said):
    path = tmp_path / "odd.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match=said):
        Recipe.load(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match=r"odd\.yaml"):
        Recipe.load(path)
    with pytest.raises(BadInput, match=r"gone\.yaml"):
        Recipe.load(tmp_path / "gone.yaml")


def test_unknown_name_gets_the_nearest():
    with pytest.raises(BadInput, match="did you mean 'small'"):
        Recipe.load("smal")


def test_yaml_runs_no_code(tmp_path):
    path = tmp_path / "evil.yaml"
    path.write_text("name: !!python/object/apply:os.system ['touch " + str(tmp_path / "hit") + "']", encoding="utf-8")
    with pytest.raises(BadInput):
        Recipe.load(path)
    assert not (tmp_path / "hit").exists()


def test_set_changes_single_values():
    recipe = Recipe.load(
        "small",
        {"seed": "7", "stages.0.images": "2000", "losses.kld_reduction": "sum", "generator.noise_blocks": "[6]"},
    )
    assert (recipe.seed, recipe.stages[0].images, recipe.losses.kld_reduction) == (7, 2000, "sum")
    assert recipe.generator.noise_blocks == (6,)
    assert recipe.stages[1] == Recipe.load("small").stages[1]
    assert Recipe.load("monuseg", {"augment.cutout": "0.5"}).augment.cutout == 0.5  # a section that the file lacks


@pytest.mark.parametrize(
    "change",
    [
        {"stages.9.images": "5"},
        {"stages.first.images": "5"},
        {"stages.x": "5"},
        {"seed.more": "5"},
        {"seed": "[5"},
        {"stages.0.images.x": "5"},
        {"lossess.kld": "1"},
        {"": "1"},
        {"losses.": "1"},
    ],
)
def test_set_refuses_what_it_cannot_change(tmp_path, change):
    (key,) = change
    assert key.split(".")[0] in refusal(tmp_path, change)
