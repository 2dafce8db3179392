"""Tissue maps where users meet them: painting, repainting, evaluating, inspecting, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.synthesis import toys

import sian
from sian.cli.main import main
from sian.data import DatasetInfo, DatasetWriter, open_dataset
from sian.errors import BadInput
from sian.files import read_image, write_png
from sian.masks import write_mask
from sian.production.mask_supply import InventedMask, StoredMask
from sian.production.restyle import restyle, restyle_dataset
from sian.synthesis import Model, load

SIZE = (96, 128)


@pytest.fixture(scope="module")
def told_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("told") / "told.safetensors"
    generator = {**toys.GENERATOR, "tissue": True}
    weights = toys.toy_painter(tissue=True).state_dict()
    return toys.write_toy(path, weights=weights, recipe={"generator": generator, "encoder": toys.ENCODER})


@pytest.fixture(scope="module")
def model(told_file) -> Model:
    return load(told_file)


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    return toys.grid_mask(*SIZE)


@pytest.fixture(scope="module")
def image(mask) -> np.ndarray:
    """Pink on the left, glass on the right."""
    ground = np.where(np.arange(SIZE[1])[None, :, None] < 64, np.array([220, 150, 190]), 252)
    noise = np.random.default_rng(0).integers(-3, 4, (*SIZE, 3))
    return (np.where(mask[..., None] > 0, np.array([80, 50, 120]), ground) + noise).astype(np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    writer = DatasetWriter(tmp_path_factory.mktemp("uses") / "set", DatasetInfo(name="toy", mpp=0.25))
    ids = toys.grid_mask(256, 320)
    pixels = np.where(ids[..., None] > 0, 90, 210) + np.random.default_rng(1).integers(-9, 9, (256, 320, 3))
    writer.add("one", pixels.astype(np.uint8), ids, organ="kidney", split="test")
    return open_dataset(writer.folder)


def test_an_image_a_map_and_a_layout_say_the_same(model, mask, image):
    painted = model.synthesize(mask, "kidney", tissue=image)
    assert (painted != model.synthesize(mask, "kidney")).any()
    assert np.array_equal(painted, model.synthesize(mask, "kidney", tissue=sian.tissue_map(image, mask)))
    assert np.array_equal(painted, model.synthesize(sian.describe(mask, tissue=image), "kidney"))
    first, second = model.synthesize([mask, mask], "kidney", tissue=[image, None])
    assert np.array_equal(first, painted)
    assert np.array_equal(second, model.synthesize(mask, "kidney", seed=1))


def test_at_another_magnification_the_map_goes_along(model, mask, image):
    whole = model.synthesize(mask, "kidney", mpp=0.3, tissue=image)
    assert whole.shape == image.shape
    plain = model.synthesize(mask, "kidney", mpp=0.3)
    drawn = model.synthesize(mask, "kidney", mpp=0.3, tissue=sian.tissue_map(image, mask))
    assert (whole != plain).any()
    assert (drawn != plain).any()


def test_what_is_refused(model, mask, image, toy_file):
    with pytest.raises(BadInput, match="trained without tissue maps"):
        load(toy_file).synthesize(mask, "kidney", tissue=image)
    with pytest.raises(BadInput, match="brings its own"):
        model.synthesize(sian.describe(mask, tissue=image), "kidney", tissue=image)
    with pytest.raises(BadInput, match="a list of as many"):
        model.synthesize([mask, mask], "kidney", tissue=[image])
    with pytest.raises(BadInput, match="expected an image"):
        model.synthesize(mask, "kidney", tissue=image[1:])


@pytest.fixture(scope="module")
def toy_file(tmp_path_factory) -> Path:
    return toys.write_toy(tmp_path_factory.mktemp("toy") / "toy.safetensors")


def test_synthesize_takes_a_file_or_a_folder(tmp_path, told_file, model, mask, image, capfd):
    write_mask(tmp_path / "masks" / "a.png", mask)
    write_png(tmp_path / "a.png", image)
    np.save(tmp_path / "a.npy", sian.tissue_map(image, mask))
    (tmp_path / "maps").mkdir()
    np.save(tmp_path / "maps" / "a.npy", sian.tissue_map(image, mask))
    expected = model.synthesize(mask, "kidney", tissue=image)
    words = ["synthesize", str(tmp_path / "masks"), "--style", "kidney", "--model", str(told_file)]
    for number, given in enumerate(("a.png", "a.npy", "maps")):
        out = tmp_path / str(number)
        assert main([*words, "-o", str(out), "--tissue", str(tmp_path / given)]) == 0
        assert np.array_equal(read_image(out / "a_kidney.png"), expected)
    assert "Tissue" in main_text(out / "a_kidney.png")
    np.save(tmp_path / "maps" / "a.npy", np.zeros((2, 2, 4)))
    assert main([*words, "-o", str(tmp_path / "bad"), "--tissue", str(tmp_path / "maps")]) == 3
    assert "a.npy: tissue map: expected (6, 8, 4)" in capfd.readouterr().err
    assert not (tmp_path / "bad").exists()


def main_text(path: Path) -> dict[str, str]:
    from PIL import Image

    return Image.open(path).text


def test_several_masks_need_a_folder_and_such_a_model(tmp_path, told_file, toy_file, mask, image, capfd):
    for name in "ab":
        write_mask(tmp_path / f"{name}.png", mask)
    write_png(tmp_path / "image.png", image)
    masks = [str(tmp_path / f"{name}.png") for name in "ab"]
    words = ["--style", "kidney", "-o", str(tmp_path / "out"), "--tissue"]
    for model_file, tissue, given, said in (
        (told_file, tmp_path / "image.png", masks, "found 2 masks, expected one for a file"),
        (told_file, tmp_path / "out", masks[:1], "no such file"),
        (toy_file, tmp_path / "image.png", masks[:1], "trained without tissue maps"),
    ):
        assert main(["synthesize", *given, *words, str(tissue), "--model", str(model_file)]) == 3
        assert said in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_restyle_keeps_the_tissue(tmp_path, model, told_file, toy_file, mask, image, data, capfd):
    kept = restyle(image, "kidney", model=model, mask=mask, keep="tissue")
    assert np.array_equal(kept.image, model.synthesize(mask, "kidney", tissue=image))
    assert np.array_equal(restyle(image, "kidney", model=model, mask=mask).image, kept.image)  # where the model can
    anew = restyle(image, "kidney", model=model, mask=mask, keep="nuclei")
    assert np.array_equal(anew.image, model.synthesize(mask, "kidney"))
    assert (kept.image != anew.image).any()
    plain = load(toy_file)
    assert np.array_equal(restyle(image, "kidney", model=plain, mask=mask).image, plain.synthesize(mask, "kidney"))
    assert restyle_dataset(data, "kidney", tmp_path / "set", model=model, keep="tissue") == 1
    assert restyle_dataset(data, "kidney", tmp_path / "set", model=model) == 0
    item = next(iter(open_dataset(tmp_path / "set")))
    assert "keeps tissue" in item.style
    write_png(tmp_path / "image.png", image)
    write_mask(tmp_path / "mask.png", mask)
    words = ["restyle", str(tmp_path / "image.png"), "--mask", str(tmp_path / "mask.png"), "--style", "kidney"]
    words += ["-o", str(tmp_path / "out"), "--model"]
    for more, expected in ([], kept), (["--keep", "nuclei"], anew), (["--keep", "tissue"], kept):
        assert main([*words, str(told_file), *more]) == 0
        assert np.array_equal(read_image(tmp_path / "out" / "image_kidney.png"), expected.image)
    assert main([*words, str(toy_file), "--keep", "tissue"]) == 3
    assert "trained without tissue maps" in capfd.readouterr().err


def test_the_protocol_has_a_row_of_its_own(told_file, toy_file, data, tmp_path, capfd):
    words = ["evaluate-model", "-d", str(data.folder), "--no-fid", "--json", "--model"]
    found = {}
    for name, more in (("plain", []), ("told", ["--tissue"])):
        assert main([*words, str(told_file), *more]) == 0
        found[name] = json.loads(capfd.readouterr().out)
    assert found["plain"]["style"] == "paired"
    assert found["told"]["style"] == "paired, tissue maps"
    assert found["told"]["metrics"]["ssim"] != found["plain"]["metrics"]["ssim"]
    assert main([*words, str(toy_file), "--tissue"]) == 3
    assert "trained without tissue maps" in capfd.readouterr().err


def test_inspect_draws_maps(data, tmp_path, capfd):
    assert main(["data", "inspect", str(data.folder), "--tissue", str(tmp_path / "maps")]) == 0
    drawn = read_image(tmp_path / "maps" / "one.png")
    assert drawn.shape == (256, 640, 3)
    assert np.array_equal(drawn[:, :320], data.image(next(iter(data))))
    assert not drawn[:, 320:][data.mask(next(iter(data))) > 0].any()


def test_invented_glands_get_their_lumina(model):
    density = sian.nuclei.glands(256, 300, seed=2)
    mask = sian.nuclei.generate(256, 300, "prostate", seed=2, density_map=density)
    found = sian.nuclei.invent_tissue(mask, 2, density_map=density)
    assert np.array_equal(found, sian.nuclei.invent_tissue(mask, 2, density_map=density))
    layers = sian.describe(mask, tissue=found).tissue
    lumen = layers[..., 1][density == 0].mean() / 127
    assert lumen > 0.6
    assert layers[..., 1][mask > 0].mean() / 127 < 0.1
    assert np.hypot(found[..., 2], found[..., 3]).max() < 0.5
    gaps = [sian.nuclei.invent_tissue(mask, seed)[..., 0].max() > 0.5 for seed in range(20)]
    assert 2 <= sum(gaps) <= 12  # fat and tears now and then
    with pytest.raises(BadInput, match="like the mask"):
        sian.nuclei.invent_tissue(mask, density_map=density[1:])


def test_plans_tell_models_of_invented_glands():
    organ = sian.nuclei.default_fit().organ("prostate")
    plain, glands = (InventedMask(organ, 128, 160, 3, with_glands) for with_glands in (False, True))
    assert glands.make(tissue=True)[1].tissue is not None
    assert glands.make()[1].tissue is None
    assert plain.make(tissue=True)[1].tissue is None


def plan_file(folder, model, data, **masks):
    values = {
        "name": "kept",
        "images": 2,
        "styles": ["kidney"],
        "form": "folders",
        "model": {"file": str(model)},
        "masks": {"source": str(data.folder), "keep": "tissue", **masks},
    }
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_plan_keeps_the_tissue_of_a_data_sets_images(told_file, model, data, tmp_path):
    assert main(["dataset", str(plan_file(tmp_path, told_file, data)), "-o", str(tmp_path / "set")]) == 0
    made = open_dataset(tmp_path / "set")
    mask, image = data.mask(data.items[0]), data.image(data.items[0])
    for item in made:
        expected = model.synthesize(mask, "kidney", seed=item.seed, tissue=image)
        assert np.array_equal(made.image(item), expected)
        assert (expected != model.synthesize(mask, "kidney", seed=item.seed)).any()


def test_a_window_of_a_plan_keeps_the_tissue_of_its_place(told_file, data):
    (item,) = data
    path = data.path(item.mask)
    cut = StoredMask(path, "one", "", (64, 96), 5, image=data.path(item.image)).loaded()
    window, layout = cut.make()
    whole = sian.describe(data.mask(item), tissue=data.image(item))
    places = [
        (y, x)
        for y in range(193)
        for x in range(225)
        if np.array_equal(data.mask(item)[y : y + 64, x : x + 96], window)
    ]
    assert any(np.array_equal(layout.tissue, whole.window(y, x, 64, 96).tissue) for y, x in places)


@pytest.mark.parametrize(
    ("masks", "said"),
    [({"source": "nuclei", "size": 64}, "expected masks.source to be a data set"), ({}, "trained without tissue maps")],
)
def test_a_plan_that_cannot_keep_tissue_is_refused(masks, said, toy_file, told_file, data, tmp_path, capfd):
    model = toy_file if not masks else told_file
    assert main(["dataset", str(plan_file(tmp_path, model, data, **masks)), "-o", str(tmp_path / "set")]) == 3
    assert said in capfd.readouterr().err
    assert not (tmp_path / "set").exists()


def test_a_folder_of_masks_has_no_tissue_to_keep(told_file, data, tmp_path, capfd):
    folder = tmp_path / "masks"
    folder.mkdir()
    write_mask(folder / "one.png", data.mask(data.items[0]))
    path = plan_file(tmp_path, told_file, data, source=str(folder))
    assert main(["dataset", str(path), "-o", str(tmp_path / "set")]) == 3
    assert "holds no image of the mask one.png" in capfd.readouterr().err
