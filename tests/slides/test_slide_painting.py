"""`sian synthesize --form`: whole slides that are painted, killed, shared between processes, and refused."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from tests.synthesis import toys

import sian
from sian.cli.main import main
from sian.data.formats.pyramid import picture_levels
from sian.errors import BadInput, MissingResource, SianWarning
from sian.files.tile_jobs import unfinished_folder
from sian.production import tile_painting
from sian.production.slide_painting import paint_slide
from sian.slides import open_slide

from .slide_files import write_ome

FORMS = {"ome-zarr": ".ome.zarr", "ome-tiff": ".ome.tif"}
MASK = toys.grid_mask(700, 1111)


@pytest.fixture(scope="module")
def toy_file(tmp_path_factory):
    return toys.write_toy(tmp_path_factory.mktemp("toy") / "toy.safetensors")


@pytest.fixture(scope="module")
def model(toy_file):
    return sian.load(toy_file)


@pytest.fixture(scope="module")
def mask(tmp_path_factory):
    return write_ome(tmp_path_factory.mktemp("mask") / "m.ome.tif", MASK.astype(np.uint16), 0.25)


@pytest.fixture(scope="module")
def whole(model):
    return model.synthesize(MASK, "kidney", seed=3)


@pytest.fixture(scope="module", params=FORMS)
def slide(request, model, mask, tmp_path_factory):
    """A finished slide of six super-tiles."""
    target = tmp_path_factory.mktemp("out") / "slide"
    return paint_slide(mask, "kidney", target, model=model, form=request.param, seed=3, side=512)


def content(target: Path) -> dict[str, bytes]:
    files = [target] if target.is_file() else sorted(file for file in target.rglob("*") if file.is_file())
    return {file.relative_to(target).as_posix(): file.read_bytes() for file in files}


def test_a_slide_holds_the_pixels_of_one_piece_at_every_level(slide, whole):
    with open_slide(slide) as opened:
        assert opened.mpp == 0.25
        levels = picture_levels(whole)
        assert opened.sizes == [level.shape[:2] for level in levels]
        for number, level in enumerate(levels):
            found = opened.part(slide_area(level), number)
            assert np.abs(found.astype(int) - level).max() <= 1
    assert [path.name for path in slide.parent.iterdir()] == [slide.name]  # nothing unfinished is left


def slide_area(level):
    from sian.slides.levels import Area

    return Area(0, 0, *level.shape[:2])


def test_other_programs_read_it(slide, whole):
    if slide.is_file():
        with tifffile.TiffFile(slide) as file:
            found = file.series[0].levels[0].asarray()
            sizes = [level.shape[:2] for level in file.series[0].levels]
            assert sizes == [(700, 1111), (350, 555), (175, 277), (87, 138)]
            assert "Synthetic" in file.ome_metadata
            assert "not for diagnosis" in file.ome_metadata
    else:
        from ome_zarr.io import parse_url
        from ome_zarr.reader import Reader

        (node, *_) = list(Reader(parse_url(slide))())
        found = np.moveaxis(np.asarray(node.data[0]), 0, -1)
        assert json.loads((slide / "zarr.json").read_text())["attributes"]["provenance"]["Synthetic"] == "true"
    assert np.abs(found.astype(int) - whole).max() <= 1


def test_done_is_done_and_another_painting_is_refused(slide, model, mask, monkeypatch):
    form = "ome-tiff" if slide.is_file() else "ome-zarr"
    before = content(slide)
    monkeypatch.setattr(tile_painting, "paint_supertile", None)
    assert paint_slide(mask, "kidney", slide, model=model, form=form, seed=3, side=512) == slide
    with pytest.raises(BadInput, match="is there already and holds something else; remove it"):
        paint_slide(mask, "kidney", slide, model=model, form=form, seed=4, side=512)
    assert content(slide) == before


def test_a_full_disk_leaves_nothing_that_claims_to_be_whole(slide, model, mask, tmp_path, monkeypatch):
    form = "ome-tiff" if slide.is_file() else "ome-zarr"
    painted, again, seen = [], [], []
    original = tile_painting.paint_supertile

    def full(*given):
        if len(painted) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        painted.append(given[4].name)
        return original(*given)

    def noted(*given):
        again.append(given[4].name)
        return original(*given)

    monkeypatch.setattr(tile_painting, "paint_supertile", full)
    target = tmp_path / slide.name
    with pytest.raises(MissingResource, match=r"\.unfinished: the disk is full; free some space"):
        paint_slide(mask, "kidney", target, model=model, form=form, seed=3, side=512)
    assert not target.exists()
    with pytest.raises(BadInput, match="holds unfinished work of another style; remove it"):
        paint_slide(mask, "breast", target, model=model, form=form, seed=3, side=512)
    monkeypatch.setattr(tile_painting, "paint_supertile", noted)
    paint_slide(
        mask, "kidney", target, model=model, form=form, seed=3, side=512, report=lambda *done: seen.append(done)
    )
    assert set(painted) | set(again) == {f"{row:04d}-{column:04d}" for row in range(2) for column in range(3)}
    assert not set(painted) & set(again)
    assert (seen[0], seen[-1]) == ((2, 6), (6, 6))
    assert content(target) == content(slide)
    assert not unfinished_folder(target).exists()


def test_another_backend_or_device_is_another_painting(model, mask, tmp_path, monkeypatch):
    """Their pixels differ in the last bit, so they don't go on with one another's work."""
    given = {"seed": 3, "side": 512}
    target = tmp_path / "slide.ome.zarr"

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(tile_painting, "paint_supertile", stopped)
        with pytest.raises(KeyboardInterrupt):
            paint_slide(mask, "kidney", target, model=model, **given)
    before = content(unfinished_folder(target))
    with monkeypatch.context() as patched:
        patched.setattr(model._brushes, "backend", "openvino")
        with pytest.raises(BadInput, match=r"holds unfinished work of another backend; remove it"):
            paint_slide(mask, "kidney", target, model=model, **given)
    with monkeypatch.context() as patched:
        patched.setattr(type(model), "device", torch.device("cuda", 0))
        with pytest.raises(BadInput, match=r"holds unfinished work of another device; remove it"):
            paint_slide(mask, "kidney", target, model=model, **given)
    assert content(unfinished_folder(target)) == before
    paint_slide(mask, "kidney", target, model=model, **given)
    monkeypatch.setattr(model._brushes, "backend", "openvino")
    with pytest.raises(BadInput, match="is there already and holds something else"):
        paint_slide(mask, "kidney", target, model=model, **given)


def test_kill_9_and_two_processes_give_the_same_bytes(slide, mask, tmp_path, toy_file):
    if slide.is_dir():
        pytest.skip("the same walk; one form is enough for five seconds")
    target = tmp_path / "slide.ome.tif"
    command = [sys.executable, "-c", PAINT, str(toy_file), str(mask), str(target)]
    first = subprocess.Popen(command)
    done = unfinished_folder(target) / "done"
    while not (done.is_dir() and any(not file.name.startswith(".") for file in done.iterdir())):
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not target.exists()
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert content(target) == content(slide)
    assert [path.name for path in tmp_path.iterdir()] == ["slide.ome.tif"]


PAINT = """
import sys, torch, sian
from sian.production.slide_painting import paint_slide
torch.set_num_threads(1)
model = sian.load(sys.argv[1])
paint_slide(sys.argv[2], "kidney", sys.argv[3], model=model, form="ome-tiff", seed=3, side=512)
"""


def test_another_magnification_is_painted_at_the_models(model, tmp_path):
    small = toys.grid_mask(300, 260, side=8, pitch=16)
    sian.write_mask(tmp_path / "m.png", small, mpp=2 * model.info.mpp)
    target = paint_slide(tmp_path / "m.png", "kidney", tmp_path / "out", model=model, mpp=2 * model.info.mpp, side=512)
    with open_slide(target) as opened:
        assert (opened.shape, opened.mpp) == ((600, 520), model.info.mpp)
        expected = model.synthesize(np.kron(small, np.ones((2, 2), int)), "kidney")
        assert np.abs(opened.read().pixels.astype(int) - expected).max() <= 1


def test_classes_come_along(tmp_path):
    classed = sian.load(toys.write_classed(tmp_path / "classed.safetensors", ["dead", "alive"]))
    small = toys.grid_mask(200, 200)
    classes = {int(nucleus): "dead" if nucleus % 2 else "alive" for nucleus in np.unique(small) if nucleus}
    np.save(tmp_path / "m.npy", small)
    target = paint_slide(tmp_path / "m.npy", "kidney", tmp_path / "out", model=classed, classes=classes, side=512)
    with open_slide(target) as opened:
        expected = classed.synthesize(small, "kidney", classes=classes)
        assert np.abs(opened.read().pixels.astype(int) - expected).max() <= 1


def test_nuclei_of_an_unlikely_size_are_said(model, tmp_path):
    np.save(tmp_path / "m.npy", toys.grid_mask(100, 100, side=4))
    with pytest.warns(SianWarning, match="times smaller in area"):
        paint_slide(tmp_path / "m.npy", "kidney", tmp_path / "out", model=model, side=512)


def test_the_command(mask, toy_file, tmp_path, capsys, whole):
    toy = str(toy_file)
    given = ["synthesize", str(mask), "--style", "kidney", "--model", toy, "--seed", "3", "-o", str(tmp_path / "out")]
    assert main([*given, "--form", "ome-tiff", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["written"]
    assert entry["image"].endswith("m.ome_kidney.ome.tif")
    with open_slide(entry["image"]) as opened:
        assert np.abs(opened.read().pixels.astype(int) - whole).max() <= 1
    assert main([*given, "--form", "ome-tiff"]) == 0  # done already
    assert main([*given, "--form", "ome-zarr", "--sheet"]) == 3
    assert "takes no --sheet" in capsys.readouterr().err
    assert main([*given, "--workers", "2"]) == 3
    assert "add --form ome-zarr or ome-tiff" in capsys.readouterr().err


def test_a_png_beyond_its_size_names_the_forms(tmp_path, capsys):
    tifffile.imwrite(tmp_path / "m.tif", np.zeros((2, 16_385), np.uint16))
    assert main(["synthesize", str(tmp_path / "m.tif"), "-o", str(tmp_path / "out")]) == 3
    said = capsys.readouterr().err
    assert "2 x 16385 px are too many for a PNG" in said
    assert "--form ome-zarr" in said
    assert not (tmp_path / "out").exists()
