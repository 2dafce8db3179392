"""style, restyle, synthesize and segment predict on slides: what was asked for is read, kept and said."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.synthesis import toys

import sian
from sian import segmentation
from sian.cli.main import main
from sian.cli.slide_options import Asked, mpp_of, parse_region, read_asked
from sian.data.formats.geojson import read as read_geojson
from sian.errors import BadInput, SianWarning
from sian.segmentation.magnified import check_areas, predict_at
from sian.segmentation.slide_tables import write_outlines
from sian.slides import read_picture
from sian.slides.levels import Area
from sian.slides.mask_source import open_mask
from sian.slides.tissue import tissue_mask
from sian.slides.zarr_writing import SlideFacts, ZarrSlide
from sian.synthesis.magnification import rescale_image, rescale_mask
from sian.synthesis.style_fitting import Fitted

from .slide_files import halved, picture, write_ome, write_svs, write_zarr


def mpp_of_mask(path):
    source = open_mask(path)
    source.close()
    return source.mpp


IMAGE = picture(256, 320)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A toy painter and a toy segmenter, as files."""
    folder = tmp_path_factory.mktemp("models")
    return toys.write_toy(folder / "toy.safetensors"), segmentation.save(
        segmentation.untrained("segnet", 2), folder / "seg.safetensors"
    )


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "-1,0,5,5", "1,2,3,4,5", "0,0,0,4", "1.5,0,2,2"])
def test_a_region_is_four_whole_numbers(text):
    with pytest.raises(BadInput, match=r"--region .*: expected"):
        parse_region(text)


def test_what_is_asked_of_a_slide(tmp_path):
    path = write_svs(tmp_path / "a.svs", IMAGE, 0.25)
    assert parse_region("20,10,40,30") == Area(10, 20, 30, 40)
    found, mpp = read_asked(path, Asked("20,10,40,30"), 0.25)
    np.testing.assert_array_equal(found.pixels, IMAGE[10:40, 20:60])
    assert (found.mpp, mpp) == (0.25, None)
    with pytest.warns(SianWarning, match=r"has 0\.25 micrometres a pixel and the model 0\.5; nothing is rescaled"):
        read_asked(path, Asked(), 0.5)
    found, mpp = read_asked(path, Asked(mpp="file"), 0.5)  # the level that fits, and nobody warns
    np.testing.assert_array_equal(found.pixels, halved(IMAGE))
    assert (found.mpp, mpp) == (0.5, 0.5)
    found, mpp = read_asked(path, Asked(level=0, mpp="0.4"), 0.8)
    assert (found.pixels.shape, found.mpp, mpp) == (IMAGE.shape, 0.4, 0.4)


@pytest.mark.parametrize("asked", ["0", "1000", "nan", "none", ""])
def test_an_absurd_mpp_is_refused(tmp_path, asked):
    with pytest.raises(BadInput, match="--mpp"):
        mpp_of(asked, tmp_path / "a.png", 0.25)
    with pytest.raises(BadInput, match="the file does not say its pixel size"):
        mpp_of("file", tmp_path / "a.png", None)


def test_predict_reads_slides_and_keeps_the_pixel_size(models, tmp_path, capsys):
    folder = tmp_path / "slides"
    folder.mkdir()
    write_svs(folder / "a.svs", IMAGE, 0.25)
    write_zarr(folder / "b.ome.zarr", IMAGE)
    write_ome(folder / "c.ome.tif", IMAGE, 0.25)
    given = ["segment", "predict", str(folder), "-o", str(tmp_path / "out"), "-m", str(models[1]), "--json"]
    assert main([*given, "--region", "64,32,128,96"]) == 0
    written = json.loads(capsys.readouterr().out)["written"]
    expected = segmentation.load(models[1]).predict(IMAGE[32:128, 64:192])
    assert [entry["mask"].rsplit("/", 1)[1] for entry in written] == [
        f"{name}_64-32-128-96.png" for name in ("a", "b.ome", "c.ome")
    ]
    for entry in written:
        np.testing.assert_array_equal(sian.read_mask(entry["mask"]), expected)
        assert entry["mpp"] == mpp_of_mask(tmp_path / "out" / entry["mask"].rsplit("/", 1)[1]) == 0.25


def test_predict_at_another_magnification(models):
    segmenter = segmentation.load(models[1])
    with pytest.warns(SianWarning, match="check --mpp"):  # an untrained network takes all for one nucleus
        found = predict_at(segmenter, IMAGE, 0.5)
    larger = segmenter.predict(rescale_image(IMAGE, (512, 640)))
    np.testing.assert_array_equal(found, rescale_mask(larger, (256, 320)))
    with pytest.warns(SianWarning, match="the median nucleus found has 60 px, and those that"):
        check_areas("a.png", 60, None)
    check_areas("a.png", 278, None)
    check_areas("a.png", float("nan"), None)


def test_restyle_of_a_region(models, tmp_path, capsys):
    slide = write_ome(tmp_path / "a.ome.tif", IMAGE)
    mask = np.zeros((96, 128), np.int32)
    mask[10:30, 20:40] = 1
    sian.write_mask(tmp_path / "mask.png", mask)
    given = ["restyle", str(slide), "--style", "kidney", "--model", str(models[0]), "-o", str(tmp_path / "out")]
    assert main([*given, "--region", "64,32,128,96", "--mask", str(tmp_path / "mask.png")]) == 0
    painted = tmp_path / "out" / "a.ome_64-32-128-96_kidney.png"
    expected = sian.load(models[0]).synthesize(mask, "kidney")
    np.testing.assert_array_equal(sian.read_image(painted), expected)
    capsys.readouterr()
    assert main([*given, "--region", "300,0,128,96"]) == 3
    assert "expected it inside the slide's 256 x 320 px" in capsys.readouterr().err
    assert main([*given, "--level", "2"]) == 3
    assert "has no level 2" in capsys.readouterr().err


def test_style_takes_tissue_of_a_slide(models, tmp_path, capsys, monkeypatch):
    image = np.full((512, 512, 3), 245, np.uint8)
    image[128:384, 128:384] = (200, 120, 170)
    slide = write_svs(tmp_path / "a.svs", image, 0.5)
    seen = []

    def fitted(pixels, *, model, mpp, **_):
        seen.append((pixels, mpp))
        return Fitted(model.style("kidney"), 0.4, 0.2)

    monkeypatch.setattr("sian.production.fit_style.fit_style", fitted)
    given = ["style", "--model", str(models[0]), "--segmenter", str(models[1]), "-o", str(tmp_path / "mine.json")]
    assert main([*given, str(slide), "--region", "100,130,28,40"]) == 0
    np.testing.assert_array_equal(seen[-1][0], image[130:170, 100:128])
    assert main([*given, str(slide), "--mpp", "file"]) == 0
    pixels, mpp = seen[-1]
    assert (mpp, pixels.shape) == (0.5, (512, 512, 3))  # 256 px a window: 512 at the model's magnification
    assert tissue_mask(pixels).mean() > tissue_mask(image).mean() - 0.01
    capsys.readouterr()
    blank = write_svs(tmp_path / "blank.svs", np.full((512, 512, 3), 245, np.uint8), 0.25)
    assert main([*given, str(blank)]) == 3
    assert "found no tissue" in capsys.readouterr().err


def test_a_mask_that_says_its_pixel_size(models, tmp_path, capsys):
    mask = toys.grid_mask(64, 64)
    sian.write_mask(tmp_path / "m.png", mask, mpp=0.5)
    given = ["synthesize", str(tmp_path / "m.png"), "--style", "kidney", "--model", str(models[0])]
    assert main([*given, "-o", str(tmp_path / "a")]) == 0
    model = sian.load(models[0])
    assert "has 0.5 micrometres a pixel and the model" in capsys.readouterr().err
    np.testing.assert_array_equal(sian.read_image(tmp_path / "a" / "m_kidney.png"), model.synthesize(mask, "kidney"))
    assert main([*given, "-o", str(tmp_path / "b"), "--mpp", "file"]) == 0
    with pytest.warns(SianWarning, match="times larger"):
        rescaled = model.synthesize(mask, "kidney", mpp=0.5)
    np.testing.assert_array_equal(sian.read_image(tmp_path / "b" / "m_kidney.png"), rescaled)
    assert sian.files.images.png_pixel_size(tmp_path / "b" / "m_kidney.png") == 0.5


def test_restyle_of_a_folder_without_masks(models, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(2):
        write_ome(folder / f"{number}.ome.tif", picture(96, 128, number))
    given = ["restyle", str(folder), "--style", "kidney", "--model", str(models[0]), "--segmenter", str(models[1])]
    assert main([*given, "-o", str(tmp_path / "out"), "--seed", "5", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)["written"]
    model, segmenter = sian.load(models[0]), segmentation.load(models[1])
    for number, entry in enumerate(written):
        mask = segmenter.predict(picture(96, 128, number))
        with pytest.warns(SianWarning):
            expected = model.synthesize(mask, "kidney", seed=5 + number)
        np.testing.assert_array_equal(sian.read_image(entry["image"]), expected)
        np.testing.assert_array_equal(sian.read_mask(entry["mask"], numbered=True), mask)
        assert (entry["seed"], entry["mpp"]) == (5 + number, 0.25)
    one = tmp_path / "one.png"
    sian.write_mask(one, toys.grid_mask(96, 128))
    assert main([*given, "-o", str(tmp_path / "no"), "--mask", str(one)]) == 3
    assert "is one mask for 2 pictures" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_restyle_of_a_whole_slide(models, tmp_path, capsys, monkeypatch):
    """Segmented and painted tile by tile: the labels' painting, at the slide's size and pixel size."""
    monkeypatch.setattr("sian.cli.slide_segmentation.LARGEST_PICTURE", 100 * 100)
    monkeypatch.setattr("sian.cli.restyle_pictures.predict_whole", painted_nuclei)
    slide = write_svs(tmp_path / "a.svs", picture(200, 300), 0.25)
    given = ["restyle", str(slide), "--style", "kidney", "--model", str(models[0]), "--segmenter", str(models[1])]
    assert main([*given, "-o", str(tmp_path / "out"), "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["written"]
    assert entry["image"].endswith("a_kidney.ome.zarr")
    expected = sian.load(models[0]).synthesize(toys.grid_mask(200, 300), "kidney")
    found = read_picture(entry["image"])
    assert found.mpp == 0.25
    assert np.abs(found.pixels.astype(int) - expected).max() <= 1
    capsys.readouterr()
    for more, sentence in (
        (["--keep", "tissue"], "was trained without tissue maps"),
        (["--style", "own"], "a whole slide is repainted in a named style"),
        (["--model", str(toys.write_classed(tmp_path / "c.safetensors", ["dead"]))], "trained with nuclear classes"),
    ):
        assert main([*given, "-o", str(tmp_path / "no"), *more]) == 3
        assert sentence in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("mpp", [None, "0.5"])
def test_a_whole_slide_keeps_its_tissue(tmp_path, capsys, monkeypatch, mpp):
    """What lies between the nuclei is told by the slide, at the size at which it was segmented."""
    scale = 1 if mpp is None else 2
    monkeypatch.setattr("sian.cli.slide_segmentation.LARGEST_PICTURE", 100 * 100)
    monkeypatch.setattr("sian.cli.restyle_pictures.predict_whole", painted_nuclei)
    image = np.full((200 // scale, 300 // scale, 3), 250, np.uint8)
    image[:, : 140 // scale] = picture(200 // scale, 140 // scale) // 2
    slide = write_ome(tmp_path / "a.ome.tif", image, 0.25 * scale)
    told = toys.write_told(tmp_path / "told.safetensors")
    segmenter = segmentation.save(segmentation.untrained("segnet", 2), tmp_path / "seg.safetensors")
    given = ["restyle", str(slide), "--style", "kidney", "--model", str(told), "--segmenter", str(segmenter)]
    given += [] if mpp is None else ["--mpp", mpp]
    assert main([*given, "-o", str(tmp_path / "out"), "--keep", "tissue"]) == 0
    found = read_picture(tmp_path / "out" / "a.ome_kidney.ome.zarr").pixels.astype(int)
    mask, model = toys.grid_mask(200, 300), sian.load(told)
    expected = model.synthesize(mask, "kidney", tissue=rescale_image(image, (200, 300)))
    assert np.abs(found - expected).max() <= 1
    assert np.abs(found - model.synthesize(mask, "kidney")).max() > 3


def painted_nuclei(path, target, segmenter, asked):
    """In the place of a segmenter that would take seconds: labels as it writes them."""
    facts = SlideFacts("a", (200, 300), 0.25, {})
    labels = ZarrSlide(target / "labels.ome.zarr", facts, 512, np.uint32)
    labels.prepare()
    labels.write(Area(0, 0, 200, 300), toys.grid_mask(200, 300).astype(np.uint32))
    labels.finish()
    return {"nuclei": 54, "mpp": 0.25}


def test_outlines_of_a_region_lie_where_it_lies(models, tmp_path):
    """As QuPath wants them: px of the full size, whatever level was read."""
    mask = np.zeros((60, 80), np.int32)
    mask[10:20, 30:45], mask[40:50, 5:9] = 7, 9
    path = tmp_path / "a.geojson"
    write_outlines(path, mask, "a", area=Area(100, 200, 60, 80), size=(60, 80), mpp=0.25)
    whole = np.zeros((200, 300), np.int32)
    whole[100:160, 200:280] = mask
    np.testing.assert_array_equal(read_geojson(path, 200, 300).mask, whole)
    (first, _) = json.loads(path.read_text())["features"]
    assert first["properties"]["measurements"] == {"Area px^2": 150.0, "Area um^2": 9.375}
    write_outlines(path, mask, "a", area=Area(100, 200, 120, 160), size=(60, 80), mpp=0.5)  # level 1
    doubled = np.kron(whole[100:160, 200:280], np.ones((2, 2), np.int32))
    np.testing.assert_array_equal(read_geojson(path, 400, 600).mask[100:220, 200:360], doubled)
