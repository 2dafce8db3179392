"""Nuclear classes from a data set through a training and its model file to a painting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training import toys

import sian
from sian.cli.main import main
from sian.data import Dataset, DatasetInfo, DatasetWriter, open_dataset
from sian.data.loading import batches
from sian.data.sampling import WindowSampler
from sian.data.tiles import read_tiles
from sian.files import read_image
from sian.masks import write_mask
from sian.networks import Discriminator, build_painter, pyramid, select, stack
from sian.synthesis import adjusting, load
from sian.training.recipe_classes import resolve

NAMES = ["neoplastic", "dead"]


def classes_of_all(mask: np.ndarray) -> dict[str, list[int]]:
    ids = np.unique(mask[mask > 0]).tolist()
    return {"neoplastic": ids[::2], "dead": ids[1::2]}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    writer = DatasetWriter(tmp_path_factory.mktemp("classes") / "set", DatasetInfo(name="toy", classes=NAMES))
    for number in range(2):
        mask = toys.ellipses(number)
        writer.add(
            f"tile-{number}", toys.picture(mask, number), mask, organ="kidney", classes=classes_of_all(mask), mpp=0.25
        )
    return open_dataset(writer.folder)


@pytest.fixture(scope="module")
def model_file(data: Dataset, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    recipe = toys.write_recipe(folder / "toy.yaml", stages=[toys.stage(4)])
    arguments = ["train", str(recipe), "-d", str(data.folder), "-o", str(folder / "run"), "--device", "cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adjusting, "NORM_BATCHES", 1)
        assert main([*arguments, "--set", "data.classes=true"]) == 0
    return folder / "run" / "model.safetensors"


def test_class_channels_are_last_and_one_hot():
    direction = torch.tensor([[[0, 1, 9, 3]]], dtype=torch.uint8)
    classes = torch.tensor([[[0, 1, 2, 0]]], dtype=torch.uint8)
    maps = stack(direction, torch.rand(1, 1, 4), classes=classes, class_count=2)
    assert maps.shape == (1, 21, 1, 4)
    assert maps[0, 19:, 0].tolist() == [[0, 1, 0, 0], [0, 0, 1, 0]]
    assert torch.equal(select(maps, "semantic", 2), maps[:, [0, 19, 20]])
    assert stack(direction, torch.rand(1, 1, 4), classes=classes).shape[1] == 19


def test_coarse_levels_know_how_much_of_each_class_is_under_them():
    classes = torch.tensor([[[1, 2], [2, 0]]], dtype=torch.uint8)
    maps = stack(torch.ones_like(classes), torch.ones(1, 2, 2), classes=classes, class_count=2)
    assert pyramid(maps, 2, "area")[1][0, 19:].flatten().tolist() == [0.25, 0.5]


def test_batches_turn_classes_with_their_images(data):
    tiles = read_tiles(data, class_names=NAMES)
    sampler = WindowSampler(tiles, 64, 64, "random", seed=1)
    raw = next(batches(sampler, 4, classes=True))
    assert torch.equal(raw["classes"] > 0, raw["direction"] > 0)
    assert set(raw["classes"].unique().tolist()) == {0, 1, 2}
    for number in range(4):
        assert torch.equal(raw["classes"][number], torch.from_numpy(sampler.sample(number).layout.classes))


def test_generator_and_discriminator_see_classes():
    painter = build_painter(toys.TOY["generator"], toys.TOY["encoder"], spectral=False, classes=3).eval()
    maps = torch.zeros(1, 22, 64, 64)
    maps[:, 0], maps[:, 2], maps[:, 18], maps[:, 19] = 1, 1, 0.5, 1
    other = maps.clone()
    other[:, 19], other[:, 21] = 0, 1
    style = torch.zeros(1, 3)
    assert not torch.equal(painter.generator(maps, style), painter.generator(other, style))
    discriminator = Discriminator(width=4, classes=3)
    image = torch.zeros(1, 3, 64, 64)
    scores = [discriminator(torch.cat([image, select(m, "layout", 3)], 1))[0][-1] for m in (maps, other)]
    assert not torch.equal(*scores)


def test_the_model_file_names_its_classes(data, model_file):
    model = load(model_file)
    assert model.info.classes == NAMES
    assert model.info.recipe["data"]["classes"] == NAMES
    assert (
        "Nuclear classes that a mask has to come with: neoplastic, dead." in model_file.with_suffix(".md").read_text()
    )
    assert load().info.classes == []


def test_classes_change_the_painting_and_their_order_does_not(data, model_file):
    model, item = load(model_file), data.items[0]
    mask = data.mask(item)
    one = model.synthesize(sian.describe(mask, item.class_by_id), "kidney")
    same = model.synthesize(sian.describe(mask, item.class_by_id, NAMES), "kidney")
    other = model.synthesize(sian.describe(mask, dict.fromkeys(item.class_by_id, "dead")), "kidney")
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_large_images_equal_one_pass(data, model_file):
    from sian.synthesis.model_classes import with_classes
    from sian.synthesis.painting import Noise, paint

    model, item = load(model_file), data.items[0]
    layout = with_classes(sian.describe(data.mask(item), item.class_by_id), NAMES)
    vector = torch.from_numpy(model.style("kidney").vector)
    whole, parts = (paint(model.painter.generator, layout, vector, Noise(1), window) for window in (384, 64))
    assert np.abs(whole.astype(int) - parts).max() <= 1


def test_a_mask_without_classes_is_one_sentence(data, model_file, tmp_path, capsys):
    path = write_mask(tmp_path / "a.png", data.mask(data.items[0]))
    arguments = ["synthesize", str(path), "--model", str(model_file), "--style", "kidney", "-o", str(tmp_path / "out")]
    assert main(arguments) == 3
    said = capsys.readouterr().err
    assert "this model was trained with nuclear classes (neoplastic, dead), found a mask without" in said
    assert "NAME.classes.json beside the mask" in said
    (tmp_path / "a.classes.json").write_text('{"daed": [1]}')
    assert main(arguments) == 3
    assert "did you mean 'dead'" in capsys.readouterr().err
    (tmp_path / "a.classes.json").write_text('{"1": 2}')
    assert main(arguments) == 3
    assert "class numbers need names" in capsys.readouterr().err
    (tmp_path / "a.classes.json").write_text('{"dead": [1]}')
    assert main(arguments) == 0
    assert "some nuclei have no class" in capsys.readouterr().err


def test_a_data_set_s_masks_come_with_their_classes(data, model_file, tmp_path):
    item = data.items[0]
    path = data.path(item.mask)
    arguments = ["synthesize", str(path), "--model", str(model_file), "--style", "kidney", "-o", str(tmp_path / "out")]
    assert main(arguments) == 0
    painted = read_image(tmp_path / "out" / f"{item.id}_kidney.png")
    model = load(model_file)
    assert np.array_equal(painted, model.synthesize(sian.describe(data.mask(item), item.class_by_id), "kidney"))


def test_torch_dataset_paints_with_classes(data, model_file):
    painted = sian.torch_dataset(data, styles="kidney", vary=False, noise=0, model=model_file)
    item, model = data.items[1], load(model_file)
    expected = model.synthesize(sian.describe(data.mask(item), item.class_by_id), "kidney", noise=0)
    assert np.array_equal(painted[1][0].permute(1, 2, 0).numpy(), expected)


def test_tiles_that_cannot_be_learned_from(data, tmp_path):
    recipe = toys.recipe(data={"classes": True})
    assert resolve(toys.recipe(), data) == toys.recipe()
    assert resolve(recipe, data).data.class_names == tuple(NAMES)
    with pytest.raises(sian.BadInput, match=r"dataset.json names no nuclear classes"):
        resolve(recipe, Dataset(data.folder, DatasetInfo(name="toy"), data.items))
    with pytest.raises(sian.BadInput, match=r"has the class 'dead'\. Known: neoplastic"):
        resolve(toys.recipe(data={"classes": ["neoplastic"]}), data)
    bare = Dataset(data.folder, data.info, [data.items[0].model_copy(update={"classes": None})])
    with pytest.raises(sian.BadInput, match=r"and no classes, expected some for data\.classes"):
        resolve(recipe, bare)


def test_fine_tuning_keeps_the_model_s_classes(data, model_file, tmp_path, capsys):
    from sian.synthesis.finetuning import start_from

    recipe = toys.recipe()
    plain = {key: getattr(recipe, key) for key in recipe.model_fields_set - {"generator", "encoder", "discriminator"}}
    bare = type(recipe)(**plain)
    with pytest.warns(sian.SianWarning, match="holds no discriminator"):
        started, _ = start_from(bare, model_file)
    assert started.data.class_names == tuple(NAMES)
    other = bare.model_copy(update={"data": bare.data.model_copy(update={"classes": ("immune",)})})
    with pytest.raises(sian.BadInput, match="its nuclear classes are neoplastic, dead, the recipe toy asks for immune"):
        start_from(other, model_file)
    with pytest.raises(sian.BadInput, match="its nuclear classes are none, the recipe toy asks for some"):
        start_from(bare.model_copy(update={"data": bare.data.model_copy(update={"classes": True})}), "bundled")
