"""Segmenters from training to prediction, at toy size; and `sian segment`."""

from __future__ import annotations

import json
import os
import signal
from functools import partial

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from sian import segmentation
from sian.cli.main import main
from sian.data import DatasetInfo, DatasetWriter, open_dataset
from sian.errors import BadInput, Interrupted
from sian.files import read_image, write_png
from sian.layout import describe, turn_image
from sian.masks import read_mask
from sian.segmentation import SegmenterRecipe
from sian.segmentation.targets import pixel_classes
from sian.segmentation.tiling import apply, places, run_network
from sian.segmentation.training import train
from sian.segmentation.training_windows import TrainingTiles, read_known
from sian.training import average, checkpoint
from sian.training.journal import read_journal

TINY = {
    "network.width": "2",
    "images": "8",
    "data.size": "32",
    "data.batch": "2",
    "every.journal": "2",
    "every.checkpoint": "4",
}


def tile(seed, side=64):
    """Dark disks on pink, and their mask."""
    random = np.random.default_rng(seed)
    image = np.full((side, side, 3), (230, 180, 210), np.uint8)
    mask = np.zeros((side, side), np.int32)
    rows, columns = np.ogrid[:side, :side]
    for nucleus, (y, x) in enumerate([(12, 14), (12, 46), (44, 20), (48, 50)], 1):
        inside = (rows - y) ** 2 + (columns - x) ** 2 <= random.integers(40, 100)
        mask[inside], image[inside] = nucleus, (90, 50, 130)
    noise = random.integers(-12, 13, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8), mask


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "toy"
    writer = DatasetWriter(folder, DatasetInfo(name="toy", licence="CC0-1.0"))
    for number, (organ, split) in enumerate([("kidney", "train"), ("colon", "train"), ("kidney", "test")]):
        writer.add(f"t{number}", *tile(number), organ=organ, split=split, preparation=("ffpe", "frozen")[number % 2])
    return folder


def recipe_of(kind="segnet", **changes):
    return SegmenterRecipe.load(f"{kind}-small", {**TINY, **changes})


def tiles_of(data, recipe):
    return TrainingTiles(read_known(open_dataset(data).split("train"), recipe.losses.border_px), recipe)


@pytest.mark.parametrize("name", ["segnet", "segnet-small", "unet", "unet-small"])
def test_bundled_recipes_load(name):
    recipe = SegmenterRecipe.load(name)
    assert recipe.name == name
    assert SegmenterRecipe.parse(json.loads(recipe.model_dump_json()), "copy") == recipe


def test_windows_of_images_and_of_targets_are_the_same_places(data):
    recipe = recipe_of(**{"data.batch": "4"})
    tiles = tiles_of(data, recipe)
    assert [known.tile.preparation for known in tiles.real] == ["ffpe", "frozen", "frozen", "frozen"]
    images, targets = next(tiles.batches(recipe))
    assert images.shape == (4, 3, 32, 32)
    nuclear = targets.classes > 0
    assert torch.equal(nuclear, targets.direction > 0)
    assert torch.equal(nuclear, targets.distance > 0)
    green = images[:, 1] * 255  # 180 on tissue, 50 on nuclei
    assert torch.equal(nuclear, green < 115)


def test_turned_windows_are_turned_alike(data):
    mask = tile(0)[1]
    classes = pixel_classes(mask)
    layout = describe(mask)
    for turns in range(4):
        turned = layout.turned(turns, True)
        np.testing.assert_array_equal(turn_image(classes, turns, True) > 0, turned.semantic)


@pytest.mark.parametrize("kind", ["segnet", "unet"])
def test_n_and_n_steps_are_2n_steps(data, tmp_path, kind):
    recipe = recipe_of(kind)
    tiles = tiles_of(data, recipe)
    whole = train(recipe, tiles, tmp_path / "whole")
    assert whole.name == "000000008"

    def stop(done, total):
        if done == 4:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="stopped after 4 of 8 images"):
        train(recipe, tiles, tmp_path / "parts", report=stop)
    parts = train(recipe, tiles, tmp_path / "parts", resume=True)
    for file in ("networks", "average", "optimisers"):
        first, second = (checkpoint.read_tensors(run / f"{file}.safetensors") for run in (whole, parts))
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)
    journals = [read_journal(tmp_path / name / "stats.jsonl") for name in ("whole", "parts")]
    assert [line["images"] for line in journals[0]] == [line["images"] for line in journals[1]] == [2, 4, 6, 8]
    assert [line["loss"] for line in journals[0]] == [line["loss"] for line in journals[1]]


def test_training_lowers_the_loss(data, tmp_path):
    longer = {"images": "200", "network.width": "4", "data.batch": "4", "every.journal": "20"}
    recipe = recipe_of(**longer, **{"augment.stain": "0", "optimiser.rate": "0.01"})
    train(recipe, tiles_of(data, recipe), tmp_path / "run")
    lines = read_journal(tmp_path / "run" / "stats.jsonl")
    assert lines[-1]["loss"] < 0.8 * lines[0]["loss"]


def test_a_run_is_not_overwritten_or_resumed_with_another_recipe(data, tmp_path):
    recipe = recipe_of(images="2")
    tiles = tiles_of(data, recipe)
    train(recipe, tiles, tmp_path / "run")
    with pytest.raises(BadInput, match="holds a run already"):
        train(recipe, tiles, tmp_path / "run")
    with pytest.raises(BadInput, match="another recipe \\('seed' differs\\)"):
        train(recipe_of(seed="4"), tiles, tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data.repeat": "{ice: 2}"}, "data.repeat names 'ice'"),
        ({"data.repeat": "{frozen: 0}"}, "expected at least 1"),
    ],
)
def test_repeat_is_checked(data, changes, words):
    with pytest.raises(BadInput, match=words):
        tiles_of(data, recipe_of(**changes))


# Whole images.


def test_windows_cover_a_side_and_fade():
    for side in (32, 512, 1024, 1056, 3200):
        total = np.zeros(side)
        for place, counts in places(side, 512, 128):
            assert place.start % 32 == 0
            total[place] += counts
        assert total.min() > 0.5  # no pixel hangs on the edge of a window


@pytest.mark.parametrize("kind", ["segnet", "unet"])
def test_tiled_equals_whole(kind):
    segmenter = segmentation.untrained(kind, 4)
    image = np.random.default_rng(0).integers(0, 256, (300, 430, 3), dtype=np.uint8)
    whole = segmenter.maps(image)
    tiled = segmenter.maps(image, window=288, overlap=224)
    assert whole.shape == tiled.shape == (3, 300, 430)
    apart, scale = np.abs(whole - tiled), np.abs(whole).max()
    assert apart.mean() < 0.005 * scale
    assert apart.max() < 0.1 * scale
    classes = [maps.argmax(0) if kind == "segnet" else maps[0] > 0 for maps in (whole, tiled)]
    assert (classes[0] == classes[1]).mean() > 0.999


def test_blending_is_exact_where_the_network_needs_no_context():
    run = partial(apply, torch.nn.Conv2d(3, 2, 1))
    image = np.random.default_rng(1).integers(0, 256, (150, 170, 3), dtype=np.uint8)
    np.testing.assert_allclose(run_network(run, image, 64, 32), run_network(run, image, 1024, 32), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (5, 70), (33, 31), (64, 64)])
@pytest.mark.parametrize("kind", ["segnet", "unet"])
def test_predict_takes_any_size(kind, shape):
    mask = segmentation.untrained(kind, 2).predict(np.zeros((*shape, 3), np.uint8))
    assert mask.shape == shape
    assert mask.dtype == np.int32


@pytest.mark.parametrize("image", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3)), np.zeros((0, 8, 3), np.uint8)])
def test_predict_refuses_what_is_no_image(image):
    with pytest.raises(BadInput, match="expected an RGB image"):
        segmentation.untrained("segnet", 2).predict(image)


def test_predict_refuses_impossible_windows():
    with pytest.raises(BadInput, match="expected multiples of 32"):
        segmentation.untrained("segnet", 2).predict(np.zeros((8, 8, 3), np.uint8), window=100)


# The model file.


@pytest.mark.parametrize("storage", ["float16", "float32"])
def test_save_and_load(tmp_path, storage):
    segmenter = segmentation.untrained("unet", 4, seed=3)
    segmenter.facts = {"licence": "CC0-1.0", "images": 7}
    path = segmentation.save(segmenter, tmp_path / "m.safetensors", storage)
    with safe_open(path, "pt") as file:
        assert file.metadata()["format"] == "sian.segmenter/1"
        assert file.metadata()["licence"] == "CC0-1.0"
    loaded = segmentation.load(path)
    assert loaded.recipe == segmenter.recipe
    assert loaded.facts == segmenter.facts
    assert len(loaded.sha256) == 64
    image = tile(1)[0]
    np.testing.assert_allclose(loaded.maps(image), segmenter.maps(image), atol={"float16": 0.05, "float32": 0}[storage])


def test_the_bundled_segnet_finds_nuclei():
    segmenter = segmentation.load()
    assert segmenter.facts["licence"].startswith("CC BY-NC-SA 4.0")
    image, mask = tile(0, 96)
    found = segmenter.predict(image)
    assert (found > 0)[mask > 0].mean() > 0.5
    assert (found > 0)[mask == 0].mean() < 0.1


@pytest.mark.shared
def test_the_bundled_segnet_on_a_real_test_tile(shared):
    image = read_image(shared / "data" / "monuseg" / "test" / "TCGA-IZ-8196-01A-01-BS1.webp")[:384, :384]
    areas = np.bincount(segmentation.load().predict(image).ravel())[1:]
    assert 30 < len(areas) < 200
    assert 150 < np.median(areas) < 1000  # pixels at 0.25 um


def test_load_refuses_other_files(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        segmentation.load(tmp_path / "none.safetensors")
    path = tmp_path / "text.safetensors"
    path.write_text("hello")
    with pytest.raises(BadInput, match="expected a whole segmenter"):
        segmentation.load(path)
    save_file({"a": torch.zeros(1)}, path, {"format": "sian.model/1"})
    with pytest.raises(BadInput, match=r"found format 'sian.model/1'"):
        segmentation.load(path)
    save_file({"a": torch.zeros(1)}, path, {"format": "sian.segmenter/1"})
    with pytest.raises(BadInput, match="no recipe in its metadata"):
        segmentation.load(path)
    recipe = segmentation.untrained("segnet", 2).recipe.dump()
    save_file({"a": torch.zeros(1)}, path, {"format": "sian.segmenter/1", "recipe": recipe})
    with pytest.raises(BadInput, match="expected a whole segmenter"):
        segmentation.load(path)


def test_load_refuses_a_file_cut_short(tmp_path):
    path = segmentation.save(segmentation.untrained("segnet", 2), tmp_path / "m.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match="expected a whole segmenter"):
        segmentation.load(path)


# The command line.


def settings(**changes):
    return [word for key, value in {**TINY, **changes}.items() for word in ("--set", f"{key}={value}")]


@pytest.mark.parametrize("export", [True, False])
def test_a_stopped_run_leaves_a_model_if_asked(data, tmp_path, capsys, monkeypatch, export):
    def step(*given, own=average.update):
        own(*given)
        signal.raise_signal(signal.SIGINT)  # in the first step; each has two images

    monkeypatch.setattr("sian.segmentation.training.average.update", step)
    run = tmp_path / "run"
    arguments = ["segment", "train", "unet-small", "-d", str(data), "-o", str(run), "--threads", "1"]
    assert main([*arguments, *settings(), *(["--export-on-stop"] if export else [])]) == Interrupted.exit_code
    said = capsys.readouterr()
    assert "stopped after 2 of 8 images; go on with --resume" in said.err
    assert (run / "model.safetensors").is_file() == export
    if export:
        assert said.out.strip() == str(run / "model.safetensors")
        assert segmentation.load(run / "model.safetensors").facts["images"] == 2
    else:
        assert "--export-on-stop" in said.err


def test_train_predict_evaluate(data, tmp_path, capsys):
    run, model = tmp_path / "run", tmp_path / "run" / "model.safetensors"
    arguments = ["segment", "train", "unet-small", "-d", str(data), "-o", str(run), "--threads", "1"]
    assert main([*arguments, *settings(), "--precision", "bf16-mixed"]) == 0
    assert capsys.readouterr().out.strip() == str(model)
    assert json.loads((run / "environment.json").read_text())["precision"] == "bf16-mixed"
    facts = segmentation.load(model).facts
    assert (facts["images"], facts["tiles"], facts["licence"], facts["dataset"]) == (8, 2, "CC0-1.0", "toy")

    image = tmp_path / "in" / "a.png"
    write_png(image, tile(5, 70)[0])
    out = tmp_path / "masks"
    assert main(["segment", "predict", str(image.parent), "-m", str(model), "-o", str(out), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)["written"]
    mask = read_mask(out / "a.png")
    assert mask.shape == (70, 70)
    assert written[0]["nuclei"] == mask.max()
    np.testing.assert_array_equal(mask, segmentation.load(model).predict(read_image(image)))

    report = tmp_path / "report"
    assert main(["segment", "evaluate", "-m", str(model), "-d", str(data), "-o", str(report), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result == json.loads((report / "segmentation.json").read_text())
    assert result["n"] == 1
    assert set(result["per_organ"]) == {"kidney"}
    assert {"dq", "sq", "pq", "aji", "dice", "f1"} <= set(result["metrics"])
    assert (report / "tiles.csv").read_text().splitlines()[1].startswith("t2,kidney,ffpe,")

    info = json.loads((data / "dataset.json").read_text())
    (data / "dataset.json").write_text(json.dumps({**info, "synthetic": True}))
    assert main(["segment", "evaluate", "-m", str(model), "-d", str(data), "-o", str(tmp_path / "painted")]) == 0
    assert "its images are synthetic" in capsys.readouterr().err


def test_predict_overwrites_no_image(tmp_path, capsys):
    model = segmentation.save(segmentation.untrained("segnet", 2), tmp_path / "model.safetensors")
    image = tmp_path / "in" / "a.png"
    write_png(image, tile(5, 70)[0])
    before = image.read_bytes()
    assert main(["segment", "predict", str(image.parent), "-m", str(model), "-o", str(image.parent)]) == 3
    assert "a.png: is an input and would be overwritten" in capsys.readouterr().err
    assert image.read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_model_file_can_be_read_by_whom_other_files_can(tmp_path):
    (tmp_path / "plain").touch()
    model = segmentation.save(segmentation.untrained("segnet", 2), tmp_path / "model.safetensors")
    assert model.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_weights_that_are_no_numbers_are_not_saved(data, tmp_path, monkeypatch):
    recipe = recipe_of(**{"every.checkpoint": "2"})
    monkeypatch.setattr("sian.segmentation.training.average.update", lambda _, network, __: _break(network))
    with pytest.raises(BadInput, match="is no longer finite"):
        train(recipe, tiles_of(data, recipe), tmp_path / "run")
    assert checkpoint.found(tmp_path / "run" / "checkpoints") == []


def _break(network):
    """As a finite loss with a gradient that is not does."""
    with torch.no_grad():
        next(network.parameters()).fill_(torch.nan)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "segnot", "-d", "{data}", "-o", "{new}"], "no recipe is called 'segnot'; did you mean 'segnet'"),
        (["train", "segnet", "-d", "{data}", "-o", "{new}", "--set", "data.sise=64"], "did you mean 'size'"),
        (["train", "segnet", "-d", "{data}", "-o", "{new}", "--set", "data"], "expected KEY=VALUE"),
        (["train", "segnet", "-d", "{data}", "-o", "{new}", "--split", "tran"], "did you mean 'train'"),
        (["train", "segnet", "-d", "{data}", "-o", "{new}"], "expected a tile of at least 256 x 256 px"),
        (["train", "segnet", "-d", "{new}", "-o", "{new}"], "no such folder"),
        (["predict", "{new}.png", "-m", "{model}", "-o", "{new}"], "no such file"),
        (["predict", "{model}", "-m", "{model}", "-o", "{new}"], "model.safetensors"),
        (["predict", "{data}/images", "-m", "{new}", "-o", "{new}"], "new: no such file; check the path"),
        (["evaluate", "-m", "{model}", "-d", "{data}", "-o", "{new}", "--split", "tset"], "did you mean 'test'"),
        (["evaluate", "-m", "{model}", "-d", "{data}", "-o", "{model}"], "expected the name of a folder"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(data, tmp_path, capsys, arguments, words):
    model = segmentation.save(segmentation.untrained("segnet", 2), tmp_path / "model.safetensors")
    places = {"data": data, "new": tmp_path / "new", "model": model}
    assert main(["segment", *(word.format(**places) for word in arguments)]) == 3
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("sian: error: ")
    assert words in said
    assert sorted(tmp_path.iterdir()) == [model]


def test_what_a_run_began_with_stays_with_its_model(data, tmp_path):
    """Weights of a non-commercial segmenter stay that, whatever licence the tiles have that it went on with."""
    base = segmentation.untrained("segnet", 2)
    base.facts |= {"licence": "CC BY-NC-SA 4.0", "mpp": 0.5}
    given = segmentation.save(base, tmp_path / "base.safetensors")
    run = tmp_path / "run"
    changes = ["images=4", "network.width=2", "network.levels=5", "data.size=32", "data.batch=2"]
    words = [word for change in changes for word in ("--set", change)]
    assert (
        main(["segment", "train", "segnet-small", "-d", str(data), "-o", str(run), "--init", str(given), *words]) == 0
    )
    made = segmentation.load(run / "model.safetensors")
    assert made.facts["began_with"] == segmentation.load(given).sha256
    assert (made.facts["licence"].split(" (")[0], made.mpp) == ("CC BY-NC-SA 4.0", 0.5)


def test_another_network_is_no_start(data, tmp_path, capsys):
    given = segmentation.save(segmentation.untrained("segnet", 2), tmp_path / "base.safetensors")
    command = ["segment", "train", "segnet-small", "-d", str(data), "-o", str(tmp_path / "run"), "--init", str(given)]
    assert main(command) == 3
    assert "expected that of the model to begin with" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
