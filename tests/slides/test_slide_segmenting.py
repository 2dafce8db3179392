"""Whole slides segmented: as in one piece, nuclei at borders once, resumed, written for QuPath and others."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from tests.synthesis.toys import grid_mask
from torch import nn

from sian import segmentation
from sian.cli.main import main
from sian.data.formats.geojson import read
from sian.errors import BadInput, SianWarning
from sian.evaluation.agreement import agreement
from sian.files.tile_jobs import unfinished_folder
from sian.segmentation import slide_segmenting, stored_maps
from sian.segmentation.slide_segmenting import segment_slide
from sian.segmentation.stored_maps import StoredMaps
from sian.segmentation.tiling import run_network
from sian.slides import open_slide
from sian.slides.levels import Area
from sian.slides.mask_source import read_whole
from sian.slides.scaled_slide import ScaledSlide
from sian.synthesis.magnification import rescale_image

from .slide_files import picture, write_ome, write_svs


class Dark(nn.Module):
    """Says nucleus where it is dark, interior where it is darkest: a segmenter whose answers are known."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(nn.Conv2d(1, 1, 1).weight)

    def forward(self, images):
        import torch

        grey = images.mean(1, keepdim=True)  # -1 black to 1 white
        return 8 * torch.cat([grey, -grey - 0.5, 0.2 - grey.abs()], 1)


@pytest.fixture
def segmenter():
    found = segmentation.untrained("segnet", 2)
    found.network = Dark().eval()
    return found


@pytest.fixture
def small(monkeypatch):
    """Windows of 128 px and tiles of 256, so that a small slide has many of both."""
    places = stored_maps.places
    monkeypatch.setattr(stored_maps, "places", lambda side, *_: places(side, 128, 32))
    monkeypatch.setattr(slide_segmenting, "MARGIN", 64)
    return 256


def tissue(mask, seed=0):
    """Pale pink with dark violet nuclei."""
    random = np.random.default_rng(seed)
    image = np.empty((*mask.shape, 3), np.uint8)
    image[:] = (230, 190, 215)
    image[mask > 0] = (60, 30, 90)
    return np.clip(image + random.integers(-6, 7, image.shape), 0, 255).astype(np.uint8)


MASK = grid_mask(400, 560, side=17, pitch=24)


@pytest.fixture
def slide(tmp_path):
    return write_ome(tmp_path / "a.ome.tif", tissue(MASK), 0.25)


def test_a_slide_is_segmented_as_in_one_piece(segmenter, slide, tmp_path, small):
    """Nuclei at borders of windows and tiles once, with the same pixels."""
    found = segment_slide(slide, tmp_path / "out", segmenter=segmenter, side=small)
    labels = read_whole(tmp_path / "out" / "labels.ome.zarr")
    expected = segmenter.predict(tissue(MASK), window=128, overlap=32)
    assert found.nuclei == expected.max() == len(np.unique(MASK)) - 1
    assert agreement(expected, labels).as_dict()["pq"] == 1
    assert sorted(np.unique(labels)) == list(range(found.nuclei + 1))


def _features(folder):
    return json.loads((folder / "nuclei.geojson").read_text())["features"]


def test_what_is_written(segmenter, slide, tmp_path, small):
    found = segment_slide(slide, tmp_path / "out", segmenter=segmenter, side=small)
    folder = tmp_path / "out"
    assert sorted(path.name for path in folder.iterdir()) == [
        "job.json", "labels.ome.zarr", "nuclei.csv", "nuclei.geojson", "overlay.png", "summary.json",
    ]  # fmt: skip
    labels = read_whole(folder / "labels.ome.zarr")
    annotated = read(folder / "nuclei.geojson", *MASK.shape)  # as an import of QuPath's export reads it
    np.testing.assert_array_equal(annotated.mask, labels)
    assert not annotated.classes  # "Nucleus" means that nobody said the class
    assert {one["properties"]["classification"]["name"] for one in _features(folder)} == {"Nucleus"}
    rows = list(csv.DictReader((folder / "nuclei.csv").read_text().splitlines()))
    areas = np.bincount(labels.ravel())
    assert [int(row["area_px"]) for row in rows] == [areas[int(row["id"])] for row in rows]
    assert float(rows[0]["area_um2"]) == pytest.approx(areas[int(rows[0]["id"])] * 0.0625, abs=1e-3)
    middle = np.argwhere(labels == int(rows[0]["id"])).mean(0) + 0.5
    assert (float(rows[0]["y"]), float(rows[0]["x"])) == pytest.approx(tuple(middle), abs=0.01)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["nuclei"] == found.nuclei == len(rows)
    assert summary["nuclei_per_mm2"] == pytest.approx(found.nuclei / summary["tissue_mm2"])
    assert summary["tissue_mm2"] == pytest.approx(400 * 560 * 0.0625 / 1e6, rel=0.01)
    with open_slide(slide) as opened:
        assert opened.mpp == summary["mpp"]


def test_it_goes_on_after_a_stop_and_done_is_done(segmenter, slide, tmp_path, small, monkeypatch):
    whole = segment_slide(slide, tmp_path / "whole", segmenter=segmenter, side=small)
    target, compute, computed = tmp_path / "out", StoredMaps.compute, []

    def stopped(maps, number):
        if len(computed) == 5:
            raise KeyboardInterrupt
        computed.append(number)
        compute(maps, number)

    monkeypatch.setattr(StoredMaps, "compute", stopped)
    with pytest.raises(KeyboardInterrupt):
        segment_slide(slide, target, segmenter=segmenter, side=small)
    assert not target.exists()
    assert unfinished_folder(target).exists()
    again = []
    monkeypatch.setattr(StoredMaps, "compute", lambda maps, number: again.append(number) or compute(maps, number))
    assert segment_slide(slide, target, segmenter=segmenter, side=small) == whole
    assert not set(computed) & set(again)
    np.testing.assert_array_equal(
        read_whole(target / "labels.ome.zarr"), read_whole(tmp_path / "whole/labels.ome.zarr")
    )
    again.clear()
    assert segment_slide(slide, target, segmenter=segmenter, side=small) == whole
    assert not again
    with pytest.raises(BadInput, match="is there already and holds something else"):
        segment_slide(slide, target, segmenter=segmenter, side=small, everywhere=True)


def test_glass_is_not_looked_at(segmenter, tmp_path, small, monkeypatch):
    image = np.full((512, 512, 3), 245, np.uint8)
    mask = grid_mask(128, 128, side=17, pitch=24)
    image[:128, :128] = tissue(mask)
    slide = write_ome(tmp_path / "a.ome.tif", image)
    seen, compute = [], StoredMaps.compute
    monkeypatch.setattr(StoredMaps, "compute", lambda maps, number: seen.append(number) or compute(maps, number))
    found = segment_slide(slide, tmp_path / "out", segmenter=segmenter, side=small)
    assert found.nuclei == len(np.unique(mask)) - 1
    assert 1 <= len(seen) <= 4
    blank = write_ome(tmp_path / "b.ome.tif", np.full((512, 512, 3), 245, np.uint8))
    assert segment_slide(blank, tmp_path / "none", segmenter=segmenter, side=small).nuclei == 0


def test_another_magnification_and_coordinates_of_the_full_size(segmenter, tmp_path, small):
    large = np.kron(grid_mask(300, 400, side=9, pitch=16), np.ones((2, 2), int))
    image = tissue(large)[::2, ::2]
    slide = write_svs(tmp_path / "a.svs", image, 0.5)
    found = segment_slide(slide, tmp_path / "out", segmenter=segmenter, mpp=0.5, side=small)
    assert (found.mpp, found.shape, found.scale) == (0.25, (600, 800), 0.5)
    assert found.nuclei == len(np.unique(large)) - 1
    annotated = read(tmp_path / "out" / "nuclei.geojson", 300, 400)
    assert agreement(large[::2, ::2].astype(np.int32), annotated.mask).as_dict()["dq"] > 0.99
    small_nuclei = write_svs(tmp_path / "b.svs", tissue(grid_mask(300, 400, side=8, pitch=16)), 0.25)
    with pytest.warns(SianWarning, match="those that the segmenter learned 278; if the magnification differs"):
        segment_slide(small_nuclei, tmp_path / "b", segmenter=segmenter, side=small)


def test_stored_maps_are_the_networks_output(segmenter, tmp_path):
    image = picture(200, 330)
    with open_slide(write_ome(tmp_path / "a.ome.tif", image)) as slide:
        maps = StoredMaps(tmp_path / "maps", segmenter, ScaledSlide(slide), 96, 32)
        for number in range(len(maps.names)):
            maps.compute(number)
        expected = run_network(segmenter.run, image, 96, 32)
        for area in (Area(0, 0, 200, 330), Area(50, 60, 100, 200), Area(199, 329, 1, 1)):
            part = expected[:, area.top : area.bottom, area.left : area.right]
            np.testing.assert_allclose(maps.part(area), part, atol=0.01)


@pytest.mark.parametrize("factor", [2.0, 1.3, 0.6])
def test_a_rescaled_slide_is_one_picture_however_it_is_read(tmp_path, factor):
    image = tissue(grid_mask(300, 400))
    with open_slide(write_ome(tmp_path / "a.ome.tif", image)) as slide:
        scaled = ScaledSlide(slide, 0, factor)
        whole = scaled.part(Area(0, 0, *scaled.shape))
        np.testing.assert_array_equal(scaled.part(Area(37, 11, 100, 150)), whole[37:137, 11:161])
        off = np.abs(whole.astype(int) - rescale_image(image, scaled.shape).astype(int))
        assert off.mean() < (0.1 if factor >= 1 else 6)  # the whole's own rounding of sides and box filter


def test_the_command_makes_a_folder_of_a_slide_and_a_mask_of_a_picture(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sian.cli.slide_segmentation.LARGEST_PICTURE", 300 * 300)
    model = segmentation.save(segmentation.untrained("segnet", 2), tmp_path / "seg.safetensors")
    slides = tmp_path / "slides"
    slides.mkdir()
    write_svs(slides / "large.svs", tissue(grid_mask(300, 400)), 0.25)
    write_svs(slides / "small.svs", tissue(grid_mask(200, 300)), 0.25)
    given = ["segment", "predict", str(slides), "-o", str(tmp_path / "out"), "-m", str(model), "--json"]
    assert main(given) == 0
    large, small = json.loads(capsys.readouterr().out)["written"]
    assert large["slide"].endswith("large_nuclei")
    assert large["nuclei"] == json.loads((tmp_path / "out/large_nuclei/summary.json").read_text())["nuclei"]
    assert small["mask"].endswith("small.png")
    assert main(given) == 0
