"""Broken files of scanners' formats, written by hand: one sentence each. Real MRXS, NDPI and SCN were not at hand."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from sian.cli.main import main
from sian.errors import BadInput
from sian.files.images import SCANNER_SUFFIXES
from sian.slides import open_slide

NOISE = np.random.default_rng(0).bytes(2000)
STARTS = {"noise": NOISE, "TIFF": b"II*\0\x08\0\0\0", "BigTIFF": b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0"}
SLIDEDAT = """[GENERAL]
SLIDE_VERSION = 01.02
SLIDE_ID = abc
IMAGENUMBER_X = 4
IMAGENUMBER_Y = 4
OBJECTIVE_MAGNIFICATION = 20
CameraImageDivisionsPerSide = 1
[HIERARCHICAL]
HIER_COUNT = 1
NONHIER_COUNT = 0
INDEXFILE = Index.dat
HIER_0_NAME = Slide zoom level
HIER_0_COUNT = 1
HIER_0_VAL_0_SECTION = LEVEL_0
[DATAFILE]
FILE_COUNT = 1
FILE_0 = Data0000.dat
[LEVEL_0]
OVERLAP_X = 0
OVERLAP_Y = 0
MICROMETER_PER_PIXEL_X = 0.25
MICROMETER_PER_PIXEL_Y = 0.25
IMAGE_FORMAT = JPEG
IMAGE_FILL_COLOR_BGR = 16777215
DIGITIZER_WIDTH = 256
DIGITIZER_HEIGHT = 256
IMAGE_CONCAT_FACTOR = 0
"""
LEICA = (
    '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01"><collection sizeX="100" '
    'sizeY="100"><image name="a"><pixels sizeX="64" sizeY="64"><dimension sizeX="64" sizeY="64" ifd="7" r="0"/>'
    "</pixels></image></collection></scn>"
)
HAMAMATSU = [(65420, 4, 1, 1, True), (65421, 11, 1, 20.0, True)]  # that mark an NDPI, without its table of offsets


@pytest.fixture(autouse=True)
def _openslide():
    pytest.importorskip("openslide")


@pytest.mark.parametrize("suffix", SCANNER_SUFFIXES)
def test_a_head_and_nothing_else(tmp_path, suffix, capfd):
    for name, content in STARTS.items():
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(content)
        with pytest.raises(BadInput, match=r"OpenSlide cannot read it .*; copy it again") as error:
            open_slide(path)
        assert str(error.value).startswith(str(path))
    assert main(["segment", "predict", str(path), "-o", str(tmp_path / "out")]) == 3
    assert len(capfd.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "OpenSlide cannot read it"),
        ("garbage", "Slidedat.ini"),
        (SLIDEDAT.split("[HIER")[0], "Can't find HIERARCHICAL group"),
        (SLIDEDAT, "data page"),
    ],
)
def test_mrxs_whose_folder_is_missing_or_broken(tmp_path, text, reason):
    path = tmp_path / "a.mrxs"
    path.write_bytes(b"\xff\xd8\xff\xe0 and no more")
    if text is not None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "Slidedat.ini").write_text(text)
        (tmp_path / "a" / "Index.dat").write_bytes(b"01.02abc" + b"\x10\0\0\0" * 4)
    with pytest.raises(BadInput, match=f"{reason}.*with the folder beside it"):
        open_slide(path)


def test_ndpi_without_its_table_and_scn_without_its_image(tmp_path):
    pixels = np.zeros((64, 64, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.ndpi", pixels, photometric="rgb", extratags=HAMAMATSU, metadata=None)
    tifffile.imwrite(tmp_path / "a.scn", pixels, photometric="rgb", tile=(64, 64), description=LEICA, metadata=None)
    for name in ("a.ndpi", "a.scn"):
        with pytest.raises(BadInput, match="OpenSlide cannot read it"):
            open_slide(tmp_path / name)
