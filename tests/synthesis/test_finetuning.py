"""A run that starts from a model file: the same painter, its facts, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import yaml

import sian
from sian.cli.main import main
from sian.data import DatasetInfo, DatasetWriter, open_dataset
from sian.errors import BadInput
from sian.networks import build_painter
from sian.synthesis import adjusting
from sian.synthesis.card import model_card
from sian.synthesis.finetuning import start_from
from sian.synthesis.load_model import bundled_model
from sian.synthesis.modelfile import read_model
from sian.training import Recipe, checkpoint
from sian.training.perceptual import vgg_layers

from . import toys

FINETUNE = {
    "name": "tune",
    "start": "model",
    "data": {"positions": "random"},
    "discriminator": {"width": 2, "scales": 1, "layers": 2},
    "losses": {"perceptual": 0.0, "kld_reduction": "mean"},
    "stages": [
        {"images": 2, "size": 64, "batch": 2, "frozen": ["generator", "encoder"]},
        {"images": 2, "size": 64, "batch": 2},
    ],
    "stopping": {"tiles": 1, "least": 2, "windows": 1, "every": 2},
}


@pytest.fixture(scope="module", autouse=True)
def few_batches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adjusting, "NORM_BATCHES", 1)
        patch.setattr(adjusting, "NORM_BATCH", 2)
        yield


def write_tiles(folder, count, side=256, nuclei=True, mpp=0.25):
    writer = DatasetWriter(folder, DatasetInfo(name="mine", licence="CC BY 4.0", mpp=mpp))
    for number in range(count):
        mask = toys.grid_mask(side, side) if nuclei else np.zeros((side, side), np.int32)
        random = np.random.default_rng(number)
        image = np.where(mask[..., None] > 0, 90, 210) + random.integers(-20, 20, (side, side, 3))
        writer.add(f"tile-{number}", image.astype(np.uint8), mask, organ="skin")
    return folder


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    return write_tiles(tmp_path_factory.mktemp("tiles") / "mine", 2)


@pytest.fixture
def tune(tmp_path, toy_file, capfd):
    """Run `sian train --init`; gives exit code and stderr."""

    def call(data, *words, init=toy_file, **changes):
        path = tmp_path / "tune.yaml"
        path.write_text(yaml.safe_dump({**FINETUNE, **changes}))
        given = ["--init", str(init)] if init else []
        words = [str(path), *given, "-d", str(data), "-o", str(tmp_path / "run"), "--device", "cpu", *map(str, words)]
        code = main(["train", *words])
        return code, capfd.readouterr().err

    return call


def test_parts_of_a_discriminator_that_starts_anew_may_be_asked_for():
    """The others are the model's; and what comes from two places is checked as a whole."""
    recipe, _ = start_from(Recipe.parse({**FINETUNE, "discriminator": {"features": 0}}, "tune"), "bundled")
    trained = read_model(bundled_model()).info.recipe["discriminator"]
    assert trained["features"] > 0
    assert recipe.discriminator.model_dump() == {**trained, "features": 0}
    plain = {key: value for key, value in FINETUNE.items() if key != "discriminator"}
    with pytest.raises(BadInput, match=r"beside discriminator\.features"):
        start_from(
            Recipe.parse({**plain, "losses": {"perceptual": 1, "perceptual_layers": ["relu4_1"]}}, "tune"), "bundled"
        )


def test_more_noise_begins_silent(toy_file):
    """Blocks that the model has no noise for may be given some: the painting stays what it was until they learn."""
    content = read_model(toy_file)
    had = content.info.recipe["generator"]["noise_blocks"]
    more = sorted({2, 3, *had})
    recipe, start = start_from(Recipe.parse({**FINETUNE, "generator": {"noise_blocks": more}}, "tune"), toy_file)
    assert sorted(recipe.generator.noise_blocks) == more
    painters = [
        build_painter(
            {**recipe.generator.model_dump(), "noise_blocks": blocks}, recipe.encoder.model_dump(), spectral=False
        )
        for blocks in (had, more)
    ]
    painters[0].load_state_dict(content.weights)
    painters[1].load_state_dict(start.painter)
    random = torch.Generator().manual_seed(0)
    layout, style = (
        torch.rand(1, 19, 64, 64, generator=random),
        torch.rand(1, recipe.generator.style_dim, generator=random),
    )
    pictures = [p.eval().generator(layout, style, p.generator.noise_of(0, 64, 64)) for p in painters]
    torch.testing.assert_close(*pictures)
    with pytest.raises(BadInput, match="noise_blocks"):  # fewer is another network
        start_from(Recipe.parse({**FINETUNE, "generator": {"noise_blocks": []}}, "tune"), toy_file)


def test_another_way_of_doubling_features_is_taken_on(toy_file):
    as_it_was, had = start_from(Recipe.parse(FINETUNE, "tune"), toy_file)
    whole, start = start_from(Recipe.parse({**FINETUNE, "generator": {"upsampling": "bilinear"}}, "tune"), toy_file)
    assert (as_it_was.generator.upsampling, whole.generator.upsampling) == ("nearest", "bilinear")
    assert whole.generator.model_copy(update={"upsampling": "nearest"}) == as_it_was.generator
    assert start.painter.keys() == had.painter.keys()


def test_the_bundled_recipe_takes_its_networks_from_the_model(toy_file):
    recipe, start = start_from(Recipe.load("finetune"), toy_file)
    assert list(recipe.generator.channels) == list(toys.GENERATOR["channels"])
    assert recipe.encoder.width == toys.ENCODER["width"]
    assert recipe.start == "model"
    assert start.facts["sha256"] == sian.load(toy_file).sha256
    assert not start.discriminator


def test_fine_tuning_on_two_tiles(tune, tiles, tmp_path, toy_file):
    code, err = tune(tiles)
    assert code == 0, err
    assert "held out, to see when to stop: tile-" in err
    assert "the best is the model" in err
    run = tmp_path / "run"
    model = sian.load(run / "model.safetensors")
    facts, base = model.info.training, read_model(toy_file)
    assert facts.base.sha256 == base.sha256
    assert facts.base.training == base.info.training
    assert len(facts.held_out) == 1
    assert facts.images in (0, 4)
    assert model.info.licence == "CC BY-NC-SA 4.0 (base model) and CC BY 4.0 (tiles)"
    assert list(model.styles) == ["skin"]
    assert "Fine-tuned from the model toy" in model_card(model)
    assert model.synthesize(toys.grid_mask(64, 64), "skin").shape == (64, 64, 3)
    # What the discriminator learned alone left the painter where the file had it.
    looks = json.loads((run / "stopping.json").read_text())["looks"]
    assert [look["images"] for look in looks] == [0, 4]
    # Resumed without the file, and with another one.
    assert tune(tiles, "--resume", init=None)[0] == 3  # the recipe file has no networks of its own
    assert main(["train", "--resume", "-d", str(tiles), "-o", str(run), "--device", "cpu"]) == 0
    other = toys.write_toy(tmp_path / "other.safetensors", name="other")
    code, err = tune(tiles, "--resume", init=other)
    assert code == 3
    assert "the run began with the model" in err


def test_a_discriminator_in_the_file_is_gone_on_with(tune, tiles, tmp_path):
    assert tune(tiles)[0] == 0
    run, target = tmp_path / "run", tmp_path / "with.safetensors"
    assert main(["export", str(run), "-d", str(tiles), "-o", str(target), "--discriminator", "whole"]) == 0
    content = read_model(target)
    assert content.discriminator
    recipe, start = start_from(Recipe.parse(FINETUNE, "tune"), target)
    assert set(start.discriminator) == set(content.discriminator)
    assert recipe.discriminator.width == 2
    saved = checkpoint.found(run / "checkpoints")[-1]
    raw = checkpoint.read_tensors(saved / "networks.safetensors")
    assert torch.allclose(
        content.discriminator["scales.0.score.weight"], raw["discriminator.scales.0.score.weight"], atol=1e-3
    )
    assert main(["export", str(target), "--metrics", str(_empty(tmp_path))]) == 0
    assert set(read_model(target).discriminator) == set(content.discriminator)


def test_a_fine_tuned_model_keeps_its_discriminator_for_the_next_time(tune, tiles, tmp_path, toy_file):
    """Without it a second fine-tuning would begin a new one, unasked and unsaid; a model from scratch stays small."""
    assert tune(tiles)[0] == 0
    first = tmp_path / "run" / "model.safetensors"
    assert read_model(first).discriminator
    assert not read_model(toy_file).discriminator
    _, start = start_from(Recipe.parse(FINETUNE, "tune"), first)
    assert start.discriminator
    assert start.facts["discriminator"]


def _empty(folder):
    path = folder / "metrics.json"
    path.write_text("{}")
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"generator": {"style_dim": 5}}, "its generator.style_dim is"),
        ({"generator": {"channels": [8] * 7}}, "its generator.channels is"),
        ({"encoder": {"width": 77}}, "its encoder.width is"),
    ],
)
def test_other_networks_than_the_models_are_refused(tune, tiles, changes, said):
    code, err = tune(tiles, **changes)
    assert code == 3
    assert said in err
    assert len(err.splitlines()) == 1


def test_what_else_is_refused(tune, tiles, tmp_path, toy_file):
    assert tune(tiles, init=tmp_path / "none.safetensors")[0] == 3
    code, err = tune(tiles, init=None)
    assert code == 3
    assert "--init MODEL" in err
    code, err = tune(write_tiles(tmp_path / "bare", 1, nuclei=False))
    assert code == 3
    assert "found no nucleus in any mask" in err
    code, err = tune(write_tiles(tmp_path / "small", 1, side=200))
    assert code == 3
    assert "at least 256 x 256 px" in err
    content = toy_file.read_bytes().replace(b"sian.model/1", b"sian.model/9")
    (tmp_path / "future.safetensors").write_bytes(content)
    code, err = tune(tiles, init=tmp_path / "future.safetensors")
    assert code == 3
    assert "sian.model/9" in err
    assert not (tmp_path / "run").exists()


def test_one_tile_alone(tune, tmp_path):
    code, err = tune(write_tiles(tmp_path / "one", 1, mpp=0.5))
    assert code == 0
    assert "1 tile, fewer than 2: nothing is held out" in err
    assert "0.5 um a pixel, the model's had 0.25" in err
    assert not (tmp_path / "run" / "stopping.json").exists()


def test_without_a_first_frozen_stage_it_warns(tune, tiles):
    code, err = tune(tiles, stages=[{"images": 2, "size": 64, "batch": 2}])
    assert code == 0
    assert "holds no discriminator" in err


def test_the_encoder_alone_learns_without_judge_or_weights(tiles, tmp_path, toy_file, capfd, monkeypatch):
    """The bundled recipe `encoder`: no word on discriminators, no VGG19, the generator's weights stay."""
    monkeypatch.setenv("SIAN_WEIGHTS", str(tmp_path / "nowhere"))
    run = tmp_path / "run"
    words = ["-d", str(tiles), "-o", str(run), "--device", "cpu", "--init", str(toy_file)]
    changes = {"images": 4, "batch": 2, "size": 64}
    words += [word for key, value in changes.items() for word in ("--set", f"stages.0.{key}={value}")]
    assert main(["train", "encoder", *words]) == 0
    assert "discriminator" not in capfd.readouterr().err
    before, after = (sian.load(path).painter for path in (toy_file, run / "model.safetensors"))
    same = {  # half precision is rounded once more after spectral norm's factors: within a step of it
        name: torch.allclose(tensor, after.state_dict()[name], rtol=2**-10, atol=1e-6)
        for name, tensor in before.state_dict().items()
        if "running" not in name and "tracked" not in name  # batch norm's are estimated anew
    }
    assert {name.split(".")[0] for name, kept in same.items() if not kept} == {"encoder"}
    terms = json.loads((run / "stats.jsonl").read_text().splitlines()[-1])
    assert {"stain", "regions"} <= set(terms)
    assert not {"gan", "discriminator"} & set(terms)


def test_a_judge_that_never_learned_is_not_asked_nor_exported(tune, tiles, tmp_path):
    frozen = [{"images": 2, "size": 64, "batch": 2, "frozen": ["generator", "discriminator"]}]
    code, err = tune(tiles, stages=frozen)
    assert (code, err.count("\n")) == (3, 1)
    assert "asks one that never learns" in err
    losses = {"gan_weight": 0, "feature_matching": 0, "perceptual": 0, "regions": 1}
    assert tune(tiles, stages=frozen, losses=losses)[0] == 0
    words = ["export", str(tmp_path / "run"), "-d", str(tiles), "-o", str(tmp_path / "judge.safetensors")]
    assert main([*words, "--discriminator", "whole"]) == 3
    assert not (tmp_path / "judge.safetensors").exists()
    assert main([*words, "--storage", "int8"]) == 0


def test_an_alias_of_no_organ_is_refused_before_training(tune, tiles, tmp_path):
    code, err = tune(tiles, "--alias", "lung=liver")
    assert (code, "found no organ 'liver'" in err) == (3, True)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_recipe_without_judge_needs_no_features_of_vgg19():
    recipe, _ = start_from(Recipe.load("encoder"), "bundled")
    assert recipe.discriminator.features  # the model's
    assert vgg_layers(recipe) == ()
    assert vgg_layers(start_from(Recipe.load("finetune"), "bundled")[0]) != ()


def test_the_python_door(tiles, tmp_path, toy_file):
    recipe = Recipe.parse(FINETUNE, "tune")
    path = sian.train(recipe, open_dataset(tiles), tmp_path / "run", init=toy_file)
    assert sian.load(path).info.training.base.name == "toy"


def test_a_discriminator_of_feature_heads_alone_is_taken_out_of_a_whole_one(tmp_path, toy_file):
    """Of a file's discriminator the parts that the recipe does without are left out; what is left fits."""
    from sian.networks import build_discriminator
    from sian.synthesis.modelfile import write_model
    from sian.training.average import folded
    from sian.training.start import begin

    content = read_model(toy_file)
    whole = {"width": 4, "scales": 2, "layers": 2, "segmenting": 4, "features": 4}
    judge = folded(build_discriminator(whole))
    changes = {"discriminator": whole, "losses": {"perceptual": 0}}
    info = content.info.model_copy(update={"recipe": {**content.info.recipe, **changes}})
    path = tmp_path / "judged.safetensors"
    write_model(path, info, content.weights, content.bank, discriminator=judge)
    heads = {"scales": 0, "segmenting": 0}
    recipe, start = start_from(Recipe.parse({**FINETUNE, "discriminator": heads}, "tune"), path)
    assert (recipe.discriminator.scales, recipe.discriminator.segmenting, recipe.discriminator.features) == (0, 0, 4)
    assert start.discriminator
    assert {name.split(".")[0] for name in start.discriminator} == {"heads"}
    network = build_discriminator(recipe.discriminator.model_dump())
    painter = build_painter(recipe.generator.model_dump(), recipe.encoder.model_dump())
    begin(recipe, start, painter, network)
    with pytest.raises(BadInput, match="no feature heads"):
        start_from(Recipe.parse({**FINETUNE, "discriminator": heads}, "tune"), toy_file)
    with pytest.raises(BadInput, match="scales"):
        Recipe.parse({**FINETUNE, "start": "scratch", "discriminator": {"scales": 0}}, "tune")

    # A file of heads alone serves recipes of heads alone; for others the discriminator starts anew.
    assert main(["export", str(path), "-o", str(tmp_path / "heads.safetensors"), "--discriminator", "heads"]) == 0
    kept = read_model(tmp_path / "heads.safetensors")
    assert set(kept.discriminator) == set(start.discriminator)
    assert all(torch.equal(kept.weights[name], content.weights[name]) for name in content.weights)
    _, of_heads = start_from(Recipe.parse({**FINETUNE, "discriminator": heads}, "tune"), tmp_path / "heads.safetensors")
    assert set(of_heads.discriminator) == set(start.discriminator)
    plain = {key: value for key, value in FINETUNE.items() if key != "discriminator"}
    with pytest.warns(sian.SianWarning, match="holds only a part of the discriminator"):
        recipe, anew = start_from(Recipe.parse(plain, "tune"), tmp_path / "heads.safetensors")
    assert not anew.discriminator
    assert recipe.discriminator.scales == 2
    words = ["export", str(tmp_path / "heads.safetensors"), "-o", str(tmp_path / "x.safetensors"), "--discriminator"]
    assert main([*words, "whole"]) == 3
    assert main(["export", str(toy_file), "-o", str(tmp_path / "x.safetensors"), "--discriminator", "heads"]) == 3
    assert not (tmp_path / "x.safetensors").exists()


def test_only_what_is_named_moves(tune, tiles, tmp_path, toy_file):
    stages = [FINETUNE["stages"][0], {"images": 2, "size": 64, "batch": 2, "moves": ["modulation", "noise"]}]
    assert tune(tiles, stages=stages, stopping={})[0] == 0
    saved = checkpoint.found(tmp_path / "run" / "checkpoints")[-1]
    after = checkpoint.read_tensors(saved / "networks.safetensors")
    before = read_model(toy_file).weights
    changed = {
        name
        for name, tensor in before.items()
        if f"painter.{name}" in after
        and not torch.equal(after[f"painter.{name}"], tensor.float())
        and "norm_" not in name
    }
    assert changed
    assert all("modulation" in name or "noise_strength" in name for name in changed)


@pytest.mark.parametrize("name", ["adjust", "finetune"])
def test_the_bundled_recipes_fit_the_bundled_model(name):
    recipe, start = start_from(Recipe.load(name), "bundled")
    assert recipe.comparing.tiles == 1
    assert start.styles.shape[1] == recipe.generator.style_dim
    assert bool(vgg_layers(recipe)) == (name == "finetune")
