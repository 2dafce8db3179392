"""OME-TIFF as Bio-Formats, QuPath and tifffile arrange it: planes, pages, units."""

import numpy as np
import pytest
import tifffile

from sian.data import import_dataset
from sian.errors import BadInput, SianWarning
from tiles import mask, picture


def pair(folder, image=None, options=None, image_about=None, labels_about=None):
    folder.mkdir(exist_ok=True)
    image = picture() if image is None else image
    options = {"photometric": "rgb", "axes": "YXS", **(options or {})}
    about = {"axes": options.pop("axes"), **(image_about or {})}
    tifffile.imwrite(folder / "a.ome.tif", image, metadata=about, **options)
    labels = {"axes": "YX", **(labels_about or {})}
    tifffile.imwrite(folder / "a_labels.ome.tif", mask(), photometric="minisblack", metadata=labels)
    return folder


PLANES = np.ascontiguousarray(np.moveaxis(picture(), -1, 0))


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (picture(), {}),
        (picture(), {"compression": "lzw", "tile": (16, 16)}),
        (PLANES, {"axes": "SYX", "planarconfig": "separate"}),
        (PLANES, {"axes": "SYX", "planarconfig": "separate", "tile": (16, 16), "compression": "zlib"}),
        (PLANES, {"axes": "CYX", "photometric": "minisblack"}),
    ],
)
def test_pictures_in_pixels_planes_and_pages(tmp_path, image, options):
    result = import_dataset(pair(tmp_path / "in", image, options), tmp_path / "out")
    written = tifffile.imread  # the library that wrote them reads the same numbers
    expected = written(tmp_path / "in" / "a.ome.tif")
    expected = np.moveaxis(expected, 0, -1) if expected.shape[0] == 3 else expected
    from sian.data import open_dataset

    data = open_dataset(tmp_path / "out")
    np.testing.assert_array_equal(data.image(data["a"]), expected)
    np.testing.assert_array_equal(expected, picture())
    assert result.nuclei == 3


@pytest.mark.parametrize(
    ("about", "mpp"),
    [
        ({"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}, 0.25),
        ({"PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 250.0, "PhysicalSizeYUnit": "nm"}, 0.25),
        ({"PhysicalSizeX": 0.00025, "PhysicalSizeXUnit": "mm"}, 0.25),
        ({"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "pixel"}, None),
        ({}, None),
    ],
)
def test_the_image_says_its_pixel_size(tmp_path, about, mpp):
    result = import_dataset(pair(tmp_path / "in", image_about=about), tmp_path / "out")
    assert result.items[0].mpp == mpp


def test_pixel_sizes_that_contradict(tmp_path):
    folder = pair(tmp_path / "in", image_about={"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5})
    with pytest.raises(BadInput, match="expected square ones"):
        import_dataset(folder, tmp_path / "out")
    sizes = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
    folder = pair(tmp_path / "in", image_about=sizes, labels_about=dict.fromkeys(sizes, 0.5))
    with pytest.warns(SianWarning, match="the image's are taken"):
        assert import_dataset(folder, tmp_path / "out").items[0].mpp == 0.25


@pytest.mark.parametrize(
    ("image", "options", "about", "found"),
    [
        (
            np.stack([PLANES[0]] * 2),
            {"axes": "CYX", "photometric": "minisblack"},
            {},
            "2 pages that are not R, G and B",
        ),
        (PLANES, {"axes": "ZYX", "photometric": "minisblack"}, {}, "3 pages that are not R, G and B"),
        (np.stack([PLANES[0]] * 4), {"axes": "CYX", "photometric": "minisblack"}, {}, "found more than 3 pages"),
        (
            PLANES,
            {"axes": "CYX", "photometric": "minisblack"},
            {"Channel": {"Color": [65535, 16711935, -16776961]}},
            "not in the order red, green, blue",
        ),
        (PLANES.astype(np.uint16), {"axes": "CYX", "photometric": "minisblack"}, {}, "found uint16 pixels"),
    ],
)
def test_pages_that_are_no_picture(tmp_path, image, options, about, found):
    with pytest.raises(BadInput, match=found):
        import_dataset(pair(tmp_path / "in", image, options, about), tmp_path / "out")
