"""From tiles to a run to a model file to pictures, by the doors of Python and by the command line."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import sian
from sian.cli.main import main
from sian.data import DatasetInfo, DatasetWriter
from sian.errors import BadInput, Interrupted
from sian.files import write_png
from sian.files.locks import only_writer
from sian.masks import median_area
from sian.production.train_and_export import train
from sian.synthesis import adjusting, export
from sian.training import Recipe, checkpoint

from . import toys

SIDE = 256

RECIPE = {
    "name": "toy",
    "generator": {**toys.GENERATOR},
    "encoder": {**toys.ENCODER},
    "discriminator": {"width": 2, "scales": 1, "layers": 2},
    "data": {"positions": "random"},
    "losses": {"perceptual": 0.0},
    "stages": [{"images": 4, "size": 64, "batch": 2}],
    "average": {"half_life": 1.0, "ramp": 10.0},
}


@pytest.fixture(scope="module", autouse=True)
def few_batches():
    """16 batches of 8 for batch norm are many for a toy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adjusting, "NORM_BATCHES", 2)
        patch.setattr(adjusting, "NORM_BATCH", 2)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of three tiles: two of kidney, one of liver."""
    folder = tmp_path_factory.mktemp("data") / "toys"
    writer = DatasetWriter(folder, DatasetInfo(name="toys", mpp=0.25, licence="CC0", source="made up"))
    for number, (organ, preparation) in enumerate([("kidney", "ffpe"), ("kidney", "ffpe"), ("liver", "frozen")]):
        mask = toys.grid_mask(SIDE, SIDE, side=15 + number)
        rng = np.random.default_rng(number)
        image = np.where(mask[..., None] > 0, [90, 60, 140], [230, 180 - 20 * number, 210])
        image = np.clip(image + rng.integers(-20, 21, image.shape), 0, 255).astype(np.uint8)
        writer.add(f"tile{number}", image, mask, organ=organ, preparation=preparation, split="train", mpp=0.25)
    return folder


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with its model file, by the door that the design names."""
    run = tmp_path_factory.mktemp("runs") / "toy"
    recipe = Recipe.parse(RECIPE, "toy")
    path = sian.train(recipe, sian.open_dataset(folder).split("train"), run, aliases={"lung": "liver"})
    assert path == run / "model.safetensors"
    return run


def test_the_model_file_says_what_it_saw(run: Path, folder: Path) -> None:
    model = sian.load(run / "model.safetensors")
    data = sian.open_dataset(folder)
    assert list(model.styles) == model.info.organs == ["kidney", "liver"]
    assert model.info.aliases == {"lung": "liver"}
    assert list(model.styles.parts) == ["kidney/ffpe", "liver/frozen"]
    assert model.styles["kidney"].counts.tolist() == [1, 1]  # one window of 256 px a tile
    assert model.info.training.tiles == ["tile0", "tile1", "tile2"]
    assert model.info.training.images == 4
    assert model.info.licence == "CC0"
    assert model.info.mpp == 0.25
    assert model.info.median_nucleus_area == median_area(data.mask(item) for item in data)
    assert model.info.recipe["stages"][0]["images"] == 4
    assert 0 <= model.info.reference_distances.median <= model.info.reference_distances.high


def test_weights_are_the_average_and_batch_norm_is_estimated_anew(run: Path) -> None:
    model = sian.load(run / "model.safetensors")
    (saved,) = checkpoint.found(run / "checkpoints")
    average = checkpoint.read_tensors(saved / "average.safetensors")
    for name, tensor in model.painter.state_dict().items():
        if "running_" in name:
            assert not torch.equal(tensor, average[name])
        elif tensor.is_floating_point():
            assert torch.equal(tensor, average[name].half().float())


def test_the_bank_holds_what_the_exported_encoder_says(run: Path, folder: Path) -> None:
    model = sian.load(run / "model.safetensors")
    data = sian.open_dataset(folder)
    encoded = model.encode(data.image(next(iter(data))))
    assert np.allclose(model.styles["kidney/ffpe"].tiles[0], encoded.vector, atol=2e-2)  # weights are fp16 now


def test_eval_mode_paints_what_train_mode_paints(run: Path) -> None:
    """Statistics of 4 windows against those of one window: the same picture, roughly, and not a flat one."""
    model = sian.load(run / "model.safetensors")
    image = model.synthesize(toys.grid_mask(SIDE, SIDE), "kidney")
    model.painter.train()
    try:
        live = model.synthesize(toys.grid_mask(SIDE, SIDE), "kidney")
    finally:
        model.painter.eval()
    assert abs(image.mean() - live.mean()) < 40
    assert 0.25 < image.std() / live.std() < 4


def test_export_on_the_command_line(run: Path, folder: Path, tmp_path: Path, capfd) -> None:
    metrics = tmp_path / "report.json"
    metrics.write_text(json.dumps({"protocol": "reconstruction", "n": 3, "metrics": {"fid": 42.5}, "floors": {}}))
    target = tmp_path / "out" / "model.safetensors"
    words = ["export", run, "-d", folder, "-o", target, "--alias", "Lung=liver", "--metrics", metrics]
    assert main([str(word) for word in words]) == 0
    assert str(target) in capfd.readouterr().out
    card = target.with_suffix(".md").read_text()
    model = sian.load(target)
    for part in (model.sha256, "tile0, tile1, tile2", "lung stands for liver", "Diagnosis", "42.5", "CC0"):
        assert part in card
    mask = sian.write_mask(tmp_path / "mask.png", toys.grid_mask(70, 90))
    pictures = tmp_path / "pictures"
    words = ["synthesize", mask, "--model", target, "--style", "lung", "-o", pictures]
    assert main([str(word) for word in words]) == 0
    assert np.array_equal(sian.read_image(pictures / "mask_lung.png"), model.synthesize(sian.read_mask(mask), "liver"))


def test_exports_of_one_run_are_the_same_bytes(run: Path, folder: Path, tmp_path: Path) -> None:
    data = sian.open_dataset(folder).split("train")
    steps: list[tuple[int, int]] = []
    path = export.export_run(
        run, data, tmp_path / "again.safetensors", aliases={"lung": "liver"}, report=lambda *done: steps.append(done)
    )
    assert path.read_bytes() == (run / "model.safetensors").read_bytes()
    assert steps == [(step, 5) for step in range(1, 6)]  # 2 batches and 3 tiles


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (["--alias", "lung=livr"], "alias 'lung': found no organ 'livr'; did you mean 'liver'"),
        (["--alias", "kidney=liver"], "alias 'kidney'"),
        (["--alias", "lung"], "expected NEW=ORGAN"),
        (["--alias", "=liver"], "expected NEW=ORGAN"),
        (["--metrics", "none.json"], "none.json: expected the JSON of"),
        (["--metrics", "list.json"], "list.json: expected the JSON object"),
        (["--notes", "none.md"], "none.md: expected notes"),
        (["--split", "tset"], "no items of split 'tset'"),
    ],
)
def test_an_export_that_cannot_be(run, folder, tmp_path, monkeypatch, capfd, extra, sentence) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.json").write_text("[1, 2]")
    assert main(["export", str(run), "-d", str(folder), "-o", "new.safetensors", *extra]) == 3
    captured = capfd.readouterr()
    assert sentence in captured.err
    assert captured.out == ""
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_run_that_cannot_be_exported(run: Path, folder: Path, tmp_path: Path) -> None:
    data = sian.open_dataset(folder)
    with pytest.raises(BadInput, match="found no checkpoint"):
        export.export_run(tmp_path, data, tmp_path / "model.safetensors")
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    recipe = copy / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("style_dim: 6", "style_dim: 7"))
    with pytest.raises(BadInput, match=r"do not fit .*recipe.yaml .*size mismatch"):
        export.export_run(copy, data, tmp_path / "model.safetensors")
    (saved,) = checkpoint.found(copy / "checkpoints")
    average = saved / "average.safetensors"
    average.write_bytes(average.read_bytes()[:1000])
    recipe.write_text((run / "recipe.yaml").read_text())
    with pytest.raises(BadInput, match=r"average\.safetensors: "):
        export.export_run(copy, data, tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()


def test_tiles_without_nuclei_make_no_model(run: Path, tmp_path: Path) -> None:
    writer = DatasetWriter(tmp_path / "empty", DatasetInfo(name="empty"))
    writer.add("tile", np.full((SIDE, SIDE, 3), 200, np.uint8), np.zeros((SIDE, SIDE), np.int32))
    with pytest.raises(BadInput, match="found no nucleus"):
        export.export_run(run, sian.open_dataset(tmp_path / "empty"), tmp_path / "model.safetensors")


def toy_recipe(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(Recipe.parse(RECIPE, "toy").dump())
    return path


def test_train_on_the_command_line(folder: Path, tmp_path: Path, capfd) -> None:
    recipe, target = toy_recipe(tmp_path), tmp_path / "run"
    words = ["train", str(recipe), "-d", str(folder), "-o", str(target), "--set", "seed=3", "--device", "cpu"]
    assert main([*words, "--no-export"]) == 0
    assert capfd.readouterr().out == ""
    assert not (target / "model.safetensors").exists()
    assert main(words) == 3  # the run is there already
    assert "--resume" in capfd.readouterr().err
    assert main(["train", "-d", str(folder), "-o", str(target), "--device", "cpu", "--resume"]) == 0  # its own recipe
    captured = capfd.readouterr()
    assert captured.out.strip() == str(target / "model.safetensors")
    assert "stages change" not in captured.err
    assert sian.load(target / "model.safetensors").info.recipe["seed"] == 3


def test_a_stopped_run_says_how_a_model_is_made_of_it_or_makes_one(folder: Path, tmp_path: Path) -> None:
    recipe, data = Recipe.parse(RECIPE, "toy"), sian.open_dataset(folder)
    with pytest.raises(Interrupted) as stopped:
        train(recipe, data, tmp_path / "a run", stop=lambda: True, aliases={"lung": "liver"})
    said = str(stopped.value)
    assert "stopped after 2 of 4 images; go on with --resume, or make a model of what there is with `" in said
    command = shlex.split(said.rpartition("with `")[2].rstrip("`"))
    assert command[0] == "sian"
    assert main(command[1:]) == 0
    model = tmp_path / "a run" / "model.safetensors"
    assert sian.load(model).info.aliases == {"lung": "liver"}
    model.unlink()
    (tmp_path / "a run" / "checkpoints").rename(tmp_path / "kept")
    with pytest.raises(Interrupted, match=r"the model of what there is: .*model\.safetensors"):
        train(recipe, data, tmp_path / "a run", resume=True, stop=lambda: True, export_on_stop=True)
    assert sian.load(model).info.training.images == 2


def test_a_checkpoint_to_go_on_from_is_one_of_a_run(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nothing to resume; add --resume"):
        train("small", sian.open_dataset(folder), tmp_path / "run", go_on_from=8)
    with pytest.raises(BadInput, match="holds no run to go on with"):
        train("small", sian.open_dataset(folder), tmp_path / "run", go_on_from=8, resume=True)
    assert list(tmp_path.iterdir()) == []


def test_where_a_model_cannot_go_is_said_before_the_work(run: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for target, sentence in ((tmp_path, "found a folder"), (tmp_path / "file" / "m.safetensors", "cannot be written")):
        with pytest.raises(BadInput, match=sentence):
            export.export_run(run / "nothing is read", sian.open_dataset(folder), target)
    with only_writer(tmp_path / "m", folder=False), pytest.raises(BadInput, match="writes there since"):
        export.export_run(run, sian.open_dataset(folder), tmp_path / "m")


def test_a_resumed_run_with_other_stages_says_so(folder: Path, tmp_path: Path, capfd) -> None:
    recipe, target = toy_recipe(tmp_path), tmp_path / "run"
    words = ["train", str(recipe), "-d", str(folder), "-o", str(target), "--device", "cpu", "--no-export"]
    assert main(words) == 0
    before = Recipe.load(target / "recipe.yaml").stages[0]
    longer = (before.images or 0) + 2 * before.batch
    capfd.readouterr()
    assert main([*words, "--resume", "--set", f"stages.0.images={longer}"]) == 0
    assert f"stages change from {before.images} images of {before.size} px" in capfd.readouterr().err
    assert Recipe.load(target / "recipe.yaml").stages[0].images == longer


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["smal"], 3, "did you mean 'small'"),
        (["none.yaml"], 3, "none.yaml"),
        (["toy.yaml", "--set", "losses.percptual=1"], 3, "did you mean 'perceptual'"),
        (["toy.yaml", "--set", "seed"], 3, "expected KEY=VALUE"),
        (["toy.yaml", "--set", "seed=[1"], 3, "seed"),
        (["toy.yaml", "--set", "stages.9.images=4"], 3, "stages"),
        (["toy.yaml", "--set", "stages.x=4"], 3, "stages"),
        (["toy.yaml", "--set", "stages.0.size=65"], 3, "stages.0.size"),
        (["toy.yaml", "--split", "tset"], 3, "tset"),
        (["toy.yaml", "--frob"], 2, "No such option"),
        (["toy.yaml", "--threads", "0"], 2, "--threads"),
        (["toy.yaml", "--device", "abacus"], 3, "abacus"),
    ],
)
def test_a_training_that_cannot_be(folder, tmp_path, monkeypatch, capfd, arguments, code, sentence) -> None:
    monkeypatch.chdir(tmp_path)
    toy_recipe(tmp_path)
    assert main(["train", *arguments, "-d", str(folder), "-o", "run"]) == code
    captured = capfd.readouterr()
    assert sentence in captured.err.splitlines()[-1]
    assert captured.out == ""
    assert not Path("run").exists()


def test_data_that_are_missing(tmp_path: Path, capfd) -> None:
    recipe = str(toy_recipe(tmp_path))
    assert main(["train", recipe, "-d", str(tmp_path / "none"), "-o", str(tmp_path / "run")]) == 3
    assert str(tmp_path / "none") in capfd.readouterr().err
    write_png(tmp_path / "folder" / "picture.png", np.zeros((8, 8, 3), np.uint8))
    assert main(["train", recipe, "-d", str(tmp_path / "folder"), "-o", str(tmp_path / "run")]) == 3
    assert "dataset.json" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def test_numbers_into_a_model_file(run: Path, folder: Path, tmp_path: Path, capfd) -> None:
    model, numbers = tmp_path / "model.safetensors", tmp_path / "report.json"
    export.export_run(run, sian.open_dataset(folder), model)
    before = export.read_model(model)
    numbers.write_text('{"protocol": "reconstruction", "n": 4, "metrics": {"fid": 12.5}, "floors": {"fid": 3.25}}')
    (tmp_path / "notes.md").write_text("# Pictures\n\nPale.\n\n## Worst\n\nFat.\n")
    assert main(["export", str(model), "--metrics", str(numbers), "--notes", str(tmp_path / "notes.md")]) == 0
    assert capfd.readouterr().out.strip() == str(model)
    after = export.read_model(model)
    assert after.info.metrics["metrics"] == {"fid": 12.5}
    assert after.info.model_copy(update={"metrics": {}}) == before.info
    for name, tensor in before.weights.items():
        assert torch.equal(after.weights[name], tensor), name
    assert all(torch.equal(after.bank[name], tensor) for name, tensor in before.bank.items())
    card = model.with_suffix(".md").read_text()
    assert "| fid | 12.5 | 3.25 |" in card
    assert card.endswith("\n\n## Pictures\n\nPale.\n\n### Worst\n\nFat.\n")
    (tmp_path / "notes.md").write_text("# Pictures\n\n```\n# a comment\n```\n")
    assert main(["export", str(model), "--notes", str(tmp_path / "notes.md")]) == 0
    assert capfd.readouterr().out.strip() == str(model)
    assert model.with_suffix(".md").read_text().endswith("## Pictures\n\n```\n# a comment\n```\n")
    assert main(["export", str(model)]) == 3
    assert "--metrics" in capfd.readouterr().err
    assert main(["export", str(run)]) == 3
    assert "--data" in capfd.readouterr().err
