"""`sian train` with a recipe that compares: what is said, what is exported, what is refused; the network is a toy."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import yaml
from tests.synthesis import toys

import sian
from sian.cli.main import main
from sian.data import DatasetInfo, DatasetWriter
from sian.errors import BadInput, MissingResource
from sian.evaluation import jury as jury_module
from sian.files.images import read_image
from sian.production import comparison
from sian.synthesis import adjusting
from sian.synthesis.modelfile import read_model
from sian.training import candidates as candidates_module
from sian.training.candidates import looks_of

COMPARE = {
    "name": "tune",
    "start": "model",
    "data": {"positions": "random"},
    "discriminator": {"width": 2, "scales": 1, "layers": 2},
    "losses": {"perceptual": 0.0, "kld_reduction": "mean"},
    "stages": [
        {"images": 2, "size": 64, "batch": 2, "frozen": ["generator", "encoder"]},
        {"images": 2, "size": 64, "batch": 2, "moves": ["modulation", "biases"]},
    ],
    "comparing": {"tiles": 1, "windows": 4, "every": 2},
}


class Colours:
    """In place of Inception: means and deviations of the colours."""

    @classmethod
    def load(cls, *_, **__):
        return cls()

    def __call__(self, images):
        return np.stack([np.concatenate([i.mean((0, 1)), i.std((0, 1))]) / 64 for i in images]).astype(np.float32)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(comparison, "InceptionFeatures", Colours)
    monkeypatch.setattr(comparison, "find_weights", lambda *_: None)
    monkeypatch.setattr(adjusting, "NORM_BATCH", 2)
    monkeypatch.setattr(adjusting, "COLOUR_BATCHES", 1)
    monkeypatch.setattr(jury_module, "NORM_BATCHES", 1)


def write_tiles(folder, count=1, side=512):
    writer = DatasetWriter(folder, DatasetInfo(name="mine", licence="CC BY 4.0", mpp=0.25))
    for number in range(count):
        mask = toys.grid_mask(side, side)
        noise = np.random.default_rng(number).integers(-20, 20, (side, side, 3))
        image = np.where(mask[..., None] > 0, (90, 60, 120), (210, 170, 190)) + noise
        writer.add(f"tile-{number}", image.astype(np.uint8), mask, organ="skin", patient=f"p{number}")
    return folder


@pytest.fixture
def model_file(tmp_path):
    return toys.write_toy(tmp_path / "toy.safetensors")


@pytest.fixture
def tune(tmp_path, model_file, capfd):
    def call(data, *words, **changes):
        path = tmp_path / "tune.yaml"
        path.write_text(yaml.safe_dump({**COMPARE, **changes}))
        given = [path, "--init", model_file, "-d", data, "-o", tmp_path / "run", "--device", "cpu", *words]
        return main(["train", *map(str, given)]), capfd.readouterr().err

    return call


def weights(path):
    return read_model(path).weights


def test_one_tile_and_the_better_one_is_the_model(tune, tmp_path, monkeypatch):
    monkeypatch.setattr(candidates_module, "better", lambda *_: True)  # what toys paint is no measure
    code, err = tune(write_tiles(tmp_path / "data"))
    assert code == 0, err
    lines = [line for line in err.splitlines() if "KID" in line]
    assert "held out, to compare with the start: tile-0 (" in err
    assert lines[0].startswith("start: KID")
    assert lines[1].startswith("colours adjusted, nothing trained: KID")
    assert lines[2].startswith("after 4 windows: KID")
    run = tmp_path / "run"
    looks = looks_of(run)
    assert [look.images for look in looks] == [0, 0, 4]
    assert lines[-1].startswith("better by training")
    made = sian.load(run / "model.safetensors")
    assert list(made.styles) == ["skin"]
    assert made.info.training.held_out
    # What is exported is what was measured, to half precision.
    from safetensors.torch import load_file

    kept = load_file(run / "best.safetensors")
    for name, tensor in weights(run / "model.safetensors").items():
        torch.testing.assert_close(tensor.float(), kept[name].float(), rtol=2e-3, atol=1e-4)
    # The sheet: labelled, six columns, three rows, the curve below.
    assert read_image(run / "sheet.png").shape[1] > 6 * 256
    assert len(list((run / "looks").glob("*.png"))) == 3


def test_where_nothing_is_better_the_start_gets_a_new_bank(tune, tmp_path, model_file, monkeypatch):
    monkeypatch.setattr(candidates_module, "better", lambda *_: False)
    code, err = tune(write_tiles(tmp_path / "data"))
    assert code == 0
    assert "no better: nothing beat the starting model, so the model is the starting model with a new style bank" in err
    after, before = weights(tmp_path / "run" / "model.safetensors"), weights(model_file)
    assert all(torch.equal(after[name].float(), tensor.float()) for name, tensor in before.items())
    assert read_model(tmp_path / "run" / "model.safetensors").info.training.images == 0


def test_without_stages_it_is_adjusted_in_seconds(tune, tmp_path, monkeypatch):
    monkeypatch.setattr(candidates_module, "better", lambda *_: True)
    code, err = tune(write_tiles(tmp_path / "data"), stages=[])
    assert code == 0, err
    assert "by adjusting colours alone" in err
    assert [look.kind for look in looks_of(tmp_path / "run")] == ["start", "adjusted"]


def test_ctrl_c_gives_a_model(tmp_path, model_file):
    from sian.data import open_dataset
    from sian.errors import Interrupted
    from sian.training import Recipe

    recipe = Recipe.parse(COMPARE, "tune")
    data = open_dataset(write_tiles(tmp_path / "data"))
    with pytest.raises(Interrupted, match="the model of what there is"):
        sian.train(recipe, data, tmp_path / "run", init=model_file, stop=lambda: True)
    assert list(sian.load(tmp_path / "run" / "model.safetensors").styles) == ["skin"]


def test_a_resumed_run_needs_its_start(tune, tmp_path, capfd):
    data = write_tiles(tmp_path / "data")
    assert tune(data)[0] == 0
    assert tune(data, "--resume")[0] == 0
    assert main(["train", "--resume", "-d", str(data), "-o", str(tmp_path / "run"), "--device", "cpu"]) == 3
    assert "give it again with --init MODEL" in capfd.readouterr().err


def test_a_small_tile_is_refused_with_advice(tune, tmp_path):
    code, err = tune(write_tiles(tmp_path / "data", side=300))
    assert code == 3
    assert "nothing can be held out" in err.splitlines()[-1]
    assert "--set comparing.tiles=0" in err.splitlines()[-1]
    assert tune(tmp_path / "data", "--set", "comparing.tiles=0")[0] == 0


def test_missing_features_are_one_sentence(tmp_path, model_file, monkeypatch, capfd):
    def missing(name, *_):
        raise MissingResource(f"{name}.safetensors: not found; get it with `sian weights get {name}`")

    monkeypatch.setattr(comparison, "find_weights", missing)
    recipe = tmp_path / "tune.yaml"
    recipe.write_text(yaml.safe_dump(COMPARE))
    words = [recipe, "--init", model_file, "-d", write_tiles(tmp_path / "data"), "-o", tmp_path / "run"]
    assert main(["train", *map(str, words), "--device", "cpu"]) == 4
    (line,) = capfd.readouterr().err.splitlines()
    assert "sian weights get inception_fid" in line
    assert not (tmp_path / "run").exists()


def test_the_second_style_is_of_the_starting_models_bank(model_file):
    from sian.synthesis.finetuning import start_from
    from sian.training import Recipe

    start = start_from(Recipe.parse(COMPARE, "tune"), model_file)[1]
    bank = sian.load(model_file).styles
    assert start.styles is not None
    assert sorted(start.styles[:, 0].tolist()) == sorted(
        float(t[0]) for part in bank.parts.values() for t in part.tiles
    )
    with pytest.raises(BadInput, match="comparing"):
        Recipe.parse({**COMPARE, "stages": [], "start": "scratch"}, "tune")


def test_the_record_can_be_read_by_people(tune, tmp_path):
    assert tune(write_tiles(tmp_path / "data"))[0] == 0
    record = json.loads((tmp_path / "run" / "stopping.json").read_text())
    assert {"measure", "held_out", "looks", "best", "kind", "ended"} <= set(record)


def test_slides_alone(tmp_path, model_file, capfd):
    """No annotated tile at all: the bundled segmenter outlines, a quarter of each window is painted."""
    data = write_tiles(tmp_path / "data")
    recipe = tmp_path / "tune.yaml"
    recipe.write_text(yaml.safe_dump(COMPARE))
    words = [recipe, "--init", model_file, "--slides", data / "images", "-o", tmp_path / "run", "--device", "cpu"]
    code, err = main(["train", *map(str, words)]), capfd.readouterr().err
    assert code == 0, err
    assert "1 windows of 1 slide, outlined by the bundled segmenter" in err
    assert list(sian.load(tmp_path / "run" / "model.safetensors").styles) == ["own"]
    assert main(["train", str(recipe), "--init", str(model_file), "-o", str(tmp_path / "none")]) == 3
    assert "found neither" in capfd.readouterr().err


def test_slides_beside_annotated_tiles(tune, tmp_path, monkeypatch):
    from sian.production import train_and_export

    seen = []
    train = train_and_export.run_training
    monkeypatch.setattr(train_and_export, "run_training", lambda r, t, *a, **k: seen.append(t) or train(r, t, *a, **k))
    other = write_tiles(tmp_path / "other")
    code, err = tune(write_tiles(tmp_path / "data"), "--slides", other / "images" / "tile-0.png")
    assert code == 0, err
    (learned,) = seen
    assert [tile.ignored is not None for tile in learned] == [False, False, True]
    share = learned[2].weight / sum(tile.weight for tile in learned)
    assert share == pytest.approx(1 / 3, abs=0.05)
    assert list(sian.load(tmp_path / "run" / "model.safetensors").styles) == ["skin"]
