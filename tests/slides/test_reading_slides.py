"""Slides of every kind, read in parts: the pixels that were written, the pixel size, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from sian.errors import BadInput, MissingResource, SianWarning
from sian.files import write_png
from sian.masks import write_mask
from sian.slides import open_slide, read_picture
from sian.slides.levels import Area
from sian.slides.mask_source import open_mask

from .slide_files import halved, picture, write_ome, write_pages, write_svs, write_zarr


def mpp_of_mask(path):
    source = open_mask(path)
    source.close()
    return source.mpp


IMAGE = picture()
KINDS = {
    "a.svs": write_svs,
    "a.ome.tif": write_ome,
    "planes.ome.tif": lambda path, image: write_ome(path, image, photometric="rgb", compression="lzw"),
    "pages.tif": write_pages,
    "a.ome.zarr": write_zarr,
}


@pytest.fixture(params=KINDS)
def slide(request, tmp_path):
    with open_slide(KINDS[request.param](tmp_path / request.param, IMAGE)) as opened:
        yield opened


def test_regions_hold_the_pixels_that_were_written(slide):
    assert slide.sizes == [(200, 300), (100, 150)]
    for area in (Area(0, 0, 200, 300), Area(0, 0, 1, 1), Area(60, 130, 70, 100), Area(199, 299, 1, 1)):
        found = slide.read(area)
        expected = IMAGE[area.top : area.bottom, area.left : area.right]
        np.testing.assert_array_equal(found.pixels, expected)
        assert found.area == area
    np.testing.assert_array_equal(slide.read(Area(20, 40, 64, 128), 1).pixels, halved(IMAGE)[10:42, 20:84])


@pytest.mark.parametrize(
    ("name", "mpp"), [("a.svs", 0.499), ("a.ome.tif", 0.25), ("pages.tif", None), ("a.ome.zarr", 0.25)]
)
def test_pixel_sizes(tmp_path, name, mpp):
    path = KINDS[name](tmp_path / name, IMAGE)
    assert read_picture(path).mpp == mpp
    assert read_picture(path, level=1).mpp == (mpp and 2 * mpp)


@pytest.mark.parametrize("bad", ["level", "outside", "huge"])
def test_what_a_slide_does_not_hold(slide, bad, monkeypatch):
    area, level, sentence = Area(0, 0, 200, 300), 0, "has no level 2; expected one of these levels: 0: 200 x 300, 1:"
    if bad == "level":
        level = 2
    elif bad == "outside":
        area, sentence = Area(150, 0, 51, 10), "a region of 51 x 10 px at row 150, column 0: expected it inside"
    else:
        monkeypatch.setattr("sian.slides.levels.MAX_PIXELS", 59_999)
        sentence = "200 x 300 px are too many to read at once, expected at most 59,999; give --region"
    with pytest.raises(BadInput, match=sentence):
        slide.read(area, level)


@pytest.mark.parametrize(
    "options",
    [{"compression": None}, {"tile": None, "rowsperstrip": 7}, {"planarconfig": "separate"}, {"compression": "jpeg"}],
)
def test_tiffs_arranged_otherwise(tmp_path, options):
    planes = options.get("planarconfig") == "separate"
    image = np.ascontiguousarray(np.moveaxis(IMAGE, -1, 0)) if planes else IMAGE
    small = image[..., ::2, ::2] if planes else halved(IMAGE)
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        given = {"photometric": "rgb", "tile": (64, 64), "metadata": None, "compression": "zlib", **options}
        file.write(image, subifds=1, **given)
        file.write(np.ascontiguousarray(small), subfiletype=1, **given)
    expected = tifffile.imread(path)  # what the library makes of it whole
    expected = np.moveaxis(expected, 0, -1) if planes else expected
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read(Area(33, 50, 90, 101)).pixels, expected[33:123, 50:151])


def test_only_what_a_region_needs_is_unpacked(tmp_path):
    path = write_ome(tmp_path / "a.ome.tif", IMAGE)
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].dataoffsets[0]
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(b"\xff" * 16)
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read(Area(64, 64, 10, 10)).pixels, IMAGE[64:74, 64:74])
        with pytest.raises(BadInput, match="cannot be read as a TIFF"):
            slide.read(Area(0, 0, 10, 10))


def test_a_missing_zarr_chunk_is_no_black_tissue(tmp_path):
    path = write_zarr(tmp_path / "a.ome.zarr", IMAGE)
    (path / "0" / "c" / "0" / "1" / "1").unlink()
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read(Area(0, 0, 64, 64)).pixels, IMAGE[:64, :64])
        with pytest.raises(BadInput, match="this chunk is not stored"):
            slide.read(Area(60, 60, 10, 10))


def test_a_truncated_file_and_a_broken_pyramid(tmp_path):
    path = write_ome(tmp_path / "a.ome.tif", IMAGE)
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(BadInput, match=r"a\.ome\.tif: .*(cut short|cannot be read)"):
        open_slide(path)
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        file.write(IMAGE, subifds=1, photometric="rgb", tile=(64, 64))
        file.write(IMAGE[:50], subfiletype=1, photometric="rgb", tile=(64, 64))
    with pytest.raises(BadInput, match="level 1 has 50 x 300 px and level 0 200 x 300; expected a smaller copy"):
        open_slide(tmp_path / "b.tif")
    svs = write_svs(tmp_path / "c.svs", IMAGE)
    svs.write_bytes(svs.read_bytes()[:3000])
    with pytest.raises(BadInput, match=r"c\.svs: OpenSlide cannot read it"):
        open_slide(svs)


def test_tiles_that_are_not_stored(tmp_path):
    path = write_pages(tmp_path / "a.tif", IMAGE, compression="zlib")
    with tifffile.TiffFile(path, mode="r+b") as file:
        tag = file.pages[0].tags["TileByteCounts"]
        tag.overwrite([*tag.value[:3], 0, *tag.value[4:]])
    with pytest.raises(BadInput, match="level 0 holds 19 of 20 tiles: the others are not stored"):
        open_slide(path)


@pytest.mark.parametrize("mpp", [0.0, 1000.0])
def test_an_absurd_pixel_size_is_not_believed(tmp_path, mpp):
    assert read_picture(write_svs(tmp_path / "a.svs", IMAGE, mpp)).mpp is None
    assert read_picture(write_ome(tmp_path / "a.ome.tif", IMAGE, mpp)).mpp is None
    with pytest.warns(SianWarning, match="says 20 micrometres a pixel, which no scan of tissue has"):
        assert read_picture(write_ome(tmp_path / "b.ome.tif", IMAGE, 20)).mpp is None


@pytest.mark.parametrize(
    ("options", "mpp"),
    [
        ({"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}, 0.25),
        ({"resolution": (101_600, 101_600), "resolutionunit": "INCH"}, 0.25),
        ({"resolution": (300, 300), "resolutionunit": "INCH"}, None),
        ({"resolution": (4, 4), "resolutionunit": "NONE", "imagej": True, "metadata": {"unit": "um"}}, 0.25),
        ({}, None),
    ],
)
def test_resolution_tags_are_believed_where_a_scan_can_have_them(tmp_path, options, mpp):
    options = {"photometric": "rgb", **options}
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, imagej=options.pop("imagej", False), **options)
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.mpp == mpp
        np.testing.assert_array_equal(slide.read().pixels, IMAGE)


def test_what_we_write_keeps_its_pixel_size(tmp_path):
    write_png(tmp_path / "a.png", IMAGE, mpp=0.2502)
    assert read_picture(tmp_path / "a.png").mpp == 0.2502
    write_png(tmp_path / "b.png", IMAGE)
    assert read_picture(tmp_path / "b.png").mpp is None
    mask = np.arange(200 * 300, dtype=np.int32).reshape(200, 300)
    assert mpp_of_mask(write_mask(tmp_path / "m.png", mask % 60_000, mpp=0.5)) == 0.5
    assert mpp_of_mask(write_mask(tmp_path / "n.tif", mask, mpp=0.5)) == 0.5


def test_what_is_no_picture(tmp_path):
    with pytest.raises(BadInput, match="expected an 8-bit RGB picture, found grey uint16"):
        read_picture(write_ome(tmp_path / "a.ome.tif", IMAGE[..., 0].astype(np.uint16)))
    clear = np.concatenate([IMAGE, IMAGE[..., :1]], 2)
    with pytest.raises(BadInput, match="found transparent pixels"):
        read_picture(write_pages(tmp_path / "a.tif", clear, extrasamples=["unassalpha"]))
    with pytest.raises(BadInput, match="no such"):
        open_slide(tmp_path / "nothing.ome.zarr")


def test_without_openslide_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openslide", None)
    with pytest.raises(MissingResource, match=r"pip install 'sian\[slides\]'"):
        open_slide(write_svs(tmp_path / "a.svs", IMAGE))
    np.testing.assert_array_equal(read_picture(write_pages(tmp_path / "a.tif", IMAGE)).pixels, IMAGE)


def test_zarr_tiles_that_disagree_in_size_are_one_sentence(tmp_path):
    """Zarr reads chunks at once: the others have ended when the error is said, or Python would list them at its end."""
    labels = np.zeros((300, 300), np.uint16)
    labels[5:20, 5:20] = 1
    store = write_zarr(tmp_path / "a.zarr", picture(300, 300), labels=labels)
    head = store / "labels" / "nuclei" / "0" / "zarr.json"
    content = json.loads(head.read_text())
    content["chunk_grid"]["configuration"]["chunk_shape"] = [32, 48]
    head.write_text(json.dumps(content))
    command = [sys.executable, "-m", "sian", "synthesize", str(store), "--style", "kidney", "--form", "ome-zarr"]
    done = subprocess.run([*command, "-o", str(tmp_path / "out")], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert "cannot be read as a Zarr array" in done.stderr
