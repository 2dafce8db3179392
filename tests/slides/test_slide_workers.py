"""Super-tiles by workers, and tissue maps: the same bytes as by one process of one thread."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from tests.synthesis import toys

import sian
from sian.cli.main import main
from sian.errors import BadInput
from sian.files.locks import only_writer
from sian.files.tile_jobs import begin, unfinished_folder, work_ahead
from sian.layout.tissue_map import tissue_layers
from sian.networks.devices import one_thread
from sian.production import slide_painting, tile_painting
from sian.production.executors import LocalProcesses
from sian.production.slide_painting import paint_slide
from sian.production.tile_painting import Crew
from sian.slides import between_nuclei, open_slide
from sian.synthesis.magnification import rescale_image

from .slide_files import write_ome
from .test_slide_painting import content

MASK = toys.grid_mask(700, 1111)


@pytest.fixture(scope="module")
def toy_file(tmp_path_factory):
    return toys.write_toy(tmp_path_factory.mktemp("toy") / "toy.safetensors")


@pytest.fixture(scope="module")
def told_file(tmp_path_factory):
    return toys.write_told(tmp_path_factory.mktemp("told") / "told.safetensors")


@pytest.fixture(scope="module")
def mask(tmp_path_factory):
    return write_ome(tmp_path_factory.mktemp("mask") / "m.ome.tif", MASK.astype(np.uint16), 0.25)


@pytest.fixture(scope="module")
def expected(toy_file, mask, tmp_path_factory):
    """Six super-tiles by this process."""
    with one_thread():
        return paint_slide(
            mask, "kidney", tmp_path_factory.mktemp("one") / "slide", model=sian.load(toy_file), seed=3, side=512
        )


def test_a_killed_worker_changes_nothing(toy_file, mask, expected, tmp_path, monkeypatch):
    pools = []
    begin_pool = LocalProcesses.__init__

    def remembered(self, *given):
        pools.append(self)
        begin_pool(self, *given)

    def strike(done, total):
        if done == 1 and len(pools) == 1:
            os.kill(next(iter(pools[0]._pool._processes)), signal.SIGKILL)
            pools.append(None)

    monkeypatch.setattr(LocalProcesses, "__init__", remembered)
    crew = Crew(2, False, toy_file)
    target = paint_slide(
        mask, "kidney", tmp_path / "slide", model=sian.load(toy_file), seed=3, side=512, crew=crew, report=strike
    )
    assert len(pools) == 2
    assert content(target) == content(expected)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_gives_the_same_bytes(toy_file, mask, expected, tmp_path):
    ray = pytest.importorskip("ray")
    crew = Crew(1, True, toy_file)
    target = paint_slide(mask, "kidney", tmp_path / "slide", model=sian.load(toy_file), seed=3, side=512, crew=crew)
    assert content(target) == content(expected)
    assert not ray.is_initialized()


def test_workers_of_the_command(toy_file, mask, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(slide_painting, "start", lambda kit, *given: seen.append(given) or one_worker(kit))
    given = ["synthesize", str(mask), "--style", "kidney", "--model", str(toy_file), "-o", str(tmp_path / "out")]
    assert main([*given, "--form", "ome-zarr", "--workers", "3"]) == 0
    assert seen == [(3, False)]
    with open_slide(tmp_path / "out" / "m.ome_kidney.ome.zarr") as found:
        whole = sian.load(toy_file).synthesize(MASK, "kidney")
        assert np.abs(found.read().pixels.astype(int) - whole).max() <= 1


def one_worker(kit):
    from sian.production.executors import InProcess

    return InProcess(kit)


def test_what_a_worker_cannot_paint_is_said_and_what_is_painted_is_kept(toy_file, mask, tmp_path, monkeypatch):
    original = tile_painting.paint_supertile
    painted = []

    def broken(*given):
        if given[4].name == "0000-0002":
            raise BadInput("the model's numbers overflow")
        painted.append(given[4].name)
        return original(*given)

    monkeypatch.setattr(tile_painting, "paint_supertile", broken)
    crew, target = Crew(0, False, toy_file), tmp_path / "slide.ome.zarr"
    with pytest.raises(BadInput, match="super-tile 0000-0002 could not be painted: the model's numbers overflow"):
        paint_slide(mask, "kidney", target, model=sian.load(toy_file), side=512, crew=crew)
    done = unfinished_folder(target) / "done"
    assert {file.name for file in done.iterdir() if not file.name.startswith(".")} == {"0000-0000", "0000-0001"}
    assert not any(file.name.startswith(".") for file in done.iterdir())  # no lock is left


def test_jobs_of_others_are_left_to_them(tmp_path):
    target, names = tmp_path / "t", [str(number) for number in range(7)]
    begin(target, {}, lambda _: None)
    done = unfinished_folder(target) / "done"
    order, most = [], []

    def begun(number):
        order.append(("begun", number))
        return number * 10

    def taken(number, given):
        assert given == number * 10
        order.append(("taken", number))
        most.append(sum(1 if what == "begun" else -1 for what, _ in order) + 1)
        if number == 6:  # another process finishes its own
            held.__exit__(None, None, None)
            (done / "2").write_bytes(b"")

    (done).mkdir(parents=True, exist_ok=True)
    (done / "4").write_bytes(b"")
    held = only_writer(done / "2", folder=False)
    held.__enter__()
    reports = []
    work_ahead(target, names, begun, taken, 3, lambda *given: reports.append(given))
    assert sorted(number for what, number in order if what == "taken") == [0, 1, 3, 5, 6]
    assert max(most) == 3
    assert (reports[0], reports[-1]) == ((1, 7), (7, 7))


@pytest.mark.parametrize("scale", [1, 2])
def test_tissue_maps(told_file, tmp_path, scale):
    """At the model's magnification, and rescaled to it, layer by layer as `Model.synthesize` does."""
    model = sian.load(told_file)
    shape = (300, 530)
    small = toys.grid_mask(*shape) if scale == 1 else toys.grid_mask(*shape, side=8, pitch=16)
    sian.write_mask(tmp_path / "m.png", small)
    values = np.random.default_rng(0).uniform(0, 1, (19, 34, 4)).astype(np.float32)
    values[3:9, 4:20] = np.nan
    given = {"model": model, "side": 512, "mpp": None if scale == 1 else 2 * model.info.mpp}
    told = paint_slide(tmp_path / "m.png", "kidney", tmp_path / "told", tissue=values, **given)
    layers = np.kron(tissue_layers(values, shape), np.ones((scale, scale, 1), np.int8))
    layout = replace(sian.describe(np.kron(small, np.ones((scale, scale), int))), tissue=layers)
    with open_slide(told) as found:
        pixels = found.read().pixels.astype(int)
    assert np.abs(pixels - model.synthesize(layout, "kidney")).max() <= 1
    assert (pixels != model.synthesize(replace(layout, tissue=None), "kidney")).any()
    with pytest.raises(BadInput, match="holds something else"):
        paint_slide(tmp_path / "m.png", "kidney", told, tissue=values * 0.5, **given)


def tissue_picture(height, width):
    """Pale and dense stripes, and glass: what no part tells alone."""
    y, x = np.mgrid[:height, :width]
    dense = np.where(x > 0.7 * width, 0, 0.5 + 0.3 * np.sin((x + y) / 5) + 0.4 * (y > height / 2))
    noise = np.random.default_rng(0).normal(0, 0.02, (height, width))
    light = np.exp(-np.clip(dense + noise, 0, None)[..., None] * (0.4, 1.0, 0.6))
    return np.round(255 * light).astype(np.uint8)


def test_tissue_of_a_picture_is_that_of_one_piece(told_file, mask, tmp_path, monkeypatch):
    """Over all seams of super-tiles, and of the parts in which the map is made; kept with the work, then gone."""
    monkeypatch.setattr("sian.slides.between_nuclei.PART", 256)
    image = tissue_picture(*MASK.shape)
    slide = write_ome(tmp_path / "image.ome.tif", image)
    model, made = sian.load(told_file), []
    given = {"model": model, "seed": 3, "side": 512, "tissue": slide}
    original = between_nuclei.tissue_map_in_parts
    monkeypatch.setattr(between_nuclei, "tissue_map_in_parts", lambda *given: made.append(1) or original(*given))
    target = paint_slide(mask, "kidney", tmp_path / "slide", **given)
    with open_slide(target) as found:
        pixels = found.read().pixels.astype(int)
    assert np.abs(pixels - model.synthesize(MASK, "kidney", seed=3, tissue=image)).max() <= 1
    assert np.abs(pixels - model.synthesize(MASK, "kidney", seed=3)).max() > 3
    assert not (target / "tissue.npy").exists()
    assert paint_slide(mask, "kidney", target, **given) == target
    assert len(made) == 1
    write_ome(slide, image[::-1])
    with pytest.raises(BadInput, match="is there already and holds something else"):
        paint_slide(mask, "kidney", target, **given)


def test_tissue_of_a_picture_at_another_magnification(told_file, tmp_path):
    model = sian.load(told_file)
    small, image = toys.grid_mask(300, 530, side=8, pitch=16), tissue_picture(300, 530)
    sian.write_mask(tmp_path / "m.png", small)
    slide, mpp = write_ome(tmp_path / "image.ome.tif", image), 2 * model.info.mpp
    target = paint_slide(tmp_path / "m.png", "kidney", tmp_path / "out", model=model, side=512, mpp=mpp, tissue=slide)
    layout = sian.describe(np.kron(small, np.ones((2, 2), int)), tissue=rescale_image(image, (600, 1060)))
    with open_slide(target) as found:
        assert np.abs(found.read().pixels.astype(int) - model.synthesize(layout, "kidney")).max() <= 2


def test_tissue_of_the_command(told_file, toy_file, mask, tmp_path, capsys):
    values = np.full((44, 70, 4), 0.5, np.float32)
    np.save(tmp_path / "map.npy", values)
    given = ["synthesize", str(mask), "--style", "kidney", "-o", str(tmp_path / "out"), "--form", "ome-zarr", "--model"]
    assert main([*given, str(told_file), "--tissue", str(tmp_path / "map.npy")]) == 0
    model = sian.load(told_file)
    with open_slide(tmp_path / "out" / "m.ome_kidney.ome.zarr") as found:
        whole = model.synthesize(MASK, "kidney", tissue=values)
        assert np.abs(found.read().pixels.astype(int) - whole).max() <= 1
    capsys.readouterr()
    np.save(tmp_path / "wrong.npy", values[1:])
    short = write_ome(tmp_path / "short.ome.tif", np.zeros((699, 1111, 3), np.uint8))
    beyond = tmp_path / "beyond.npy"
    values[43, 69] = -0.5
    np.save(beyond, values)
    for tissue, model_file, sentence in (
        (mask, told_file, "expected an 8-bit RGB picture, found grey uint16"),
        (short, told_file, "found 699 x 1111 px, expected 700 x 1111 px as its mask"),
        (beyond, told_file, "expected values from -1 to 1, and from 0 for what is empty, found -0.5 to 0.5"),
        (tmp_path / "wrong.npy", told_file, "expected (44, 70, 4) floating-point numbers"),
        (tmp_path / "map.npy", toy_file, "was trained without tissue maps"),
    ):
        assert main([*given, str(model_file), "--tissue", str(tissue)]) == 3
        assert sentence in capsys.readouterr().err
