"""Slides among the folders of `sian evaluate`, and as the source of `sian data import`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.synthesis import toys as painters

import sian
from sian.cli.main import main
from sian.data.formats.qupath import geometry
from sian.errors import BadInput
from sian.evaluation import open_images
from sian.evaluation.slide_windows import Cut
from sian.files import write_png
from sian.masks.contours import trace_nuclei

from .slide_files import picture, write_ome, write_svs, write_zarr


def tissue(height=512, width=768):
    """Glass with tissue on its right two thirds."""
    image = picture(height, width) // 4 + np.array((140, 60, 120), np.uint8)
    image[:, : width // 3] = 250
    return image


def test_windows_of_slides_lie_on_tissue(tmp_path):
    image = tissue()
    write_svs(tmp_path / "a.svs", image, 0.5)
    write_ome(tmp_path / "b.ome.tif", image, 0.5)
    write_zarr(tmp_path / "c.zarr", image, 0.5)
    write_png(tmp_path / "d.png", image)
    found = open_images(tmp_path, cut=Cut(128, 5))
    names = [name for name in found.names if name.startswith("a_")]
    assert len(names) == 5
    assert [name[1:] for name in names] == [name[5:] for name in found.names if name.startswith("b.ome_")]
    for name in names:
        top, left = (int(part[1:]) for part in name.split("_")[1:])
        assert left >= 256
        np.testing.assert_array_equal(found.read(name), image[top : top + 128, left : left + 128])
        assert found.group(name) == "a"
    np.testing.assert_array_equal(found.read("d"), image)
    assert len(found) == 3 * 5 + 1
    (whole,) = (open_images(tmp_path / name, cut=Cut(128, 5)) for name in ("a.svs",))
    assert whole.names == names
    assert open_images(tmp_path / "a.svs", cut=Cut(128, 4)).sha256 != whole.sha256


def test_windows_at_a_pixel_size(tmp_path):
    image = tissue()
    write_svs(tmp_path / "a.svs", image, 0.25)
    found = open_images(tmp_path / "a.svs", cut=Cut(128, 9, 0.5))  # the level that has it
    name = found.names[0]
    top, left = (int(part[1:]) for part in name.split("_")[1:])
    np.testing.assert_array_equal(found.read(name), image[top : top + 256 : 2, left : left + 256 : 2])
    write_svs(tmp_path / "b.svs", image, "unknown")
    with pytest.raises(BadInput, match="does not say its pixel size"):
        open_images(tmp_path / "b.svs", cut=Cut(128, 9, 0.5))
    with pytest.raises(BadInput, match="512 x 768 px, expected at least a window of 600 x 600"):
        open_images(tmp_path / "a.svs", cut=Cut(600))


def test_evaluate_takes_slides(tmp_path, capsys):
    write_svs(tmp_path / "a.svs", tissue(), 0.5)
    fakes = tmp_path / "fakes"
    for number in range(3):
        write_png(fakes / f"{number}.png", picture(96, 96, number))
    given = ["evaluate", str(fakes), "--real", str(tmp_path / "a.svs"), "--no-fid", "--json", "--windows", "6"]
    assert main(given) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n"], found["n_real"]) == (3, 6)
    assert [line["name"] for line in found["unpaired"] if line["in"] == "real"] == open_images(
        tmp_path / "a.svs", cut=Cut(96, 6)
    ).names
    blank = write_svs(tmp_path / "blank.svs", np.full((512, 512, 3), 245, np.uint8))
    assert main([*given[:3], str(blank), *given[4:]]) == 3
    assert "found no tissue" in capsys.readouterr().err


def test_a_slide_is_no_data_set(tmp_path, capsys):
    slide = write_svs(tmp_path / "a.svs", tissue(), 0.5)
    assert main(["evaluate-model", "--data", str(slide), "--no-fid", "--json"]) == 3
    assert (
        "is not the folder of a data set; `sian data import` makes one of a slide's regions" in capsys.readouterr().err
    )
    for source in (slide, tmp_path):
        assert main(["data", "import", str(source), "-o", str(tmp_path / "data")]) == 3
        assert "found a slide, expected a tile" in capsys.readouterr().err


def outlines(mask):
    features = [
        {"type": "Feature", "geometry": geometry(polygons), "properties": {"objectType": "detection"}}
        for _, polygons in trace_nuclei(mask)
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


@pytest.mark.parametrize("kind", ["geojson", "mask", "xml"])
def test_a_region_is_imported(tmp_path, kind, capsys):
    image, mask = tissue(), painters.grid_mask(512, 768)
    slide = write_svs(tmp_path / "a.svs", image, 0.5)
    if kind == "geojson":
        (tmp_path / "a.geojson").write_text(outlines(mask))
    elif kind == "mask":
        write_ome(tmp_path / "a_mask.tif", mask.astype(np.uint16))
    else:
        rings = [ring for _, polygons in trace_nuclei(mask) for (ring,) in polygons]
        regions = (
            "<Region><Vertices>" + "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in ring) + "</Vertices></Region>"
            for ring in rings
        )
        xml = f"<Annotations><Annotation><Regions>{''.join(regions)}</Regions></Annotation></Annotations>"
        (tmp_path / "a.xml").write_text(xml)
    given = ["data", "import", str(slide), "--region", "300,100,200,160", "-o", str(tmp_path / "data")]
    assert main(given) == 0
    assert main([*given[:4], "0,0,64,64", *given[5:]]) == 0  # another region joins it
    data = sian.open_dataset(tmp_path / "data")
    item = data["a_300-100-200-160"]
    assert (len(data), item.mpp, item.patient) == (2, 0.5, "a")
    np.testing.assert_array_equal(data.image(item), image[100:260, 300:500])
    np.testing.assert_array_equal(data.mask(item) > 0, mask[100:260, 300:500] > 0)
    assert item.nuclei == len(np.unique(mask[100:260, 300:500])) - 1
    capsys.readouterr()
    assert main([*given[:4], "700,0,100,100", *given[5:]]) == 3
    assert "expected it inside the slide's 512 x 768 px" in capsys.readouterr().err
