"""GeoJSON as a mask of any size: the same pixels as reading it whole, in memory that does not grow with it."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.synthesis import toys

import sian
from sian.cli.main import main
from sian.data.formats.geojson import read as read_geojson
from sian.data.formats.qupath import geometry
from sian.errors import BadInput, MissingResource, SianWarning
from sian.masks.contours import trace_nuclei
from sian.production.slide_painting import paint_slide
from sian.slides import open_slide
from sian.slides.levels import Area
from sian.slides.mask_source import open_mask, read_classed
from sian.slides.nucleus_index import index_nuclei

from .slide_files import write_ome

MASK = toys.grid_mask(700, 1111)


def detection(polygons, **properties):
    return {"type": "Feature", "geometry": geometry(polygons), "properties": {"objectType": "detection"} | properties}


def collection(mask, *, named=True):
    return [detection(p, **({"name": str(nucleus)} if named else {})) for nucleus, p in trace_nuclei(mask)]


def square(left, top, right, bottom):
    return [[[(left, top), (right, top), (right, bottom), (left, bottom)]]]


def write(path: Path, features, kind="collection"):
    content = {"type": "FeatureCollection", "features": features} if kind == "collection" else features
    text = json.dumps(content, indent=1).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.fixture
def opened():
    sources = []

    def open_(path, shape=None):
        sources.append(open_mask(path, shape))
        return sources[-1]

    yield open_
    for source in sources:
        source.close()


@pytest.mark.parametrize(("name", "kind"), [("a.geojson", "collection"), ("b.geojson.gz", "list")])
def test_parts_are_those_of_the_whole(tmp_path, opened, name, kind):
    ids = np.where(MASK > 0, MASK * 7 + 3, 0)
    path = write(tmp_path / name, collection(ids), kind)
    source = opened(path, (700, 1111))
    whole = read_geojson(path, 700, 1111).mask
    np.testing.assert_array_equal(whole, ids)
    for area in (Area(0, 0, 700, 1111), Area(333, 501, 300, 400), Area(699, 1110, 1, 1), Area(0, 1000, 50, 111)):
        part = whole[area.top : area.bottom, area.left : area.right]
        np.testing.assert_array_equal(source.read(area), part)
    index = index_nuclei(source, block=256)
    np.testing.assert_array_equal(index.ids, np.unique(ids)[1:])
    np.testing.assert_array_equal(index.areas, np.bincount(ids.ravel())[index.ids])


def test_outlines_that_overlap_have_holes_fractions_or_no_names(tmp_path, opened):
    features = [
        detection([[[(10, 10), (60, 10), (60, 60), (10, 60)], [(20, 20), (40, 20), (40, 40), (20, 40)]]]),
        detection(square(30, 30, 90.4, 90.6)),
        detection(square(-5, -8, 12, 12)),
        detection([*square(200, 10, 210, 20), *square(230, 10, 240, 25)]),  # one nucleus in pieces
    ]
    path = write(tmp_path / "a.geojson", features)
    source = opened(path)
    assert source.shape == (91, 240)
    whole = read_geojson(path, 91, 240).mask
    assert len(np.unique(whole)) == 5
    np.testing.assert_array_equal(source.read(Area(0, 0, 91, 240)), whole)
    np.testing.assert_array_equal(source.read(Area(25, 5, 60, 230)), whole[25:85, 5:235])


def test_regions_and_points_are_left_out_and_said(tmp_path, opened):
    nuclei = [detection(square(10, 10, 30, 30)), detection(square(40, 40, 60, 66))]
    region = {"type": "Feature", "geometry": geometry(square(0, 0, 90, 90)), "properties": {"objectType": "annotation"}}
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {}}
    path = write(tmp_path / "a.geojson", [region, nuclei[0], point, nuclei[1]])
    with pytest.warns(SianWarning, match="left out 1 x point, 1 x region annotation"):
        source = opened(path, (100, 100))
    expected = read_geojson(path, 100, 100).mask > 0
    np.testing.assert_array_equal(source.read(Area(0, 0, 100, 100)) > 0, expected)
    alone = [{**one, "properties": {"objectType": "annotation"}} for one in nuclei]
    large = {**region, "geometry": geometry(square(0, 0, 900, 900))}
    path = write(tmp_path / "b.geojson", [large, *alone])
    with pytest.warns(SianWarning, match="1 x region annotation"):
        source = opened(path, (100, 100))
    np.testing.assert_array_equal(source.read(Area(0, 0, 100, 100)) > 0, expected)


WRONG = {
    "cut": ('{"type": "FeatureCollection", "features": [{"type": "Fea', "is not whole JSON near feature 1"),
    "nan": ('{"features": [{"properties": {"area": NaN}}]}', "without measurements if NaN"),
    "other": ('{"type": "FeatureCollection", "features": []}', "found no outline of a nucleus"),
    "plain": ("[1, 2]", "found no list of features"),
    "far": (json.dumps([detection(square(5, 5, 3e6, 9))]), r"reaches to 3000000, 9 px, expected at most"),
    "text": (json.dumps([detection([[[("a", "b")]]])]), "a ring that is not a list"),
    "large": (json.dumps([detection(square(5, 5, 900, 9))]), "found a detection of 4 x 895 px"),
    "beside": (json.dumps([detection(square(-9, -9, -2, -2))]), "lie above or left of the slide"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_one_sentence(tmp_path, kind, capsys):
    text, sentence = WRONG[kind]
    path = tmp_path / "a.geojson"
    path.write_text(text)
    with pytest.raises(BadInput, match=sentence) as error:
        open_mask(path)
    assert str(path) in str(error.value)


def test_a_feature_without_end_and_a_missing_library(tmp_path, monkeypatch):
    monkeypatch.setattr("sian.slides.outline_levels.MOST_FEATURE_BYTES", 1 << 20)
    path = tmp_path / "a.geojson"
    path.write_text('{"features": [{"id": [' + "1, " * (1 << 19) + "1]}]}")
    with pytest.raises(BadInput, match="MB without the end of a feature"):
        open_mask(path)
    monkeypatch.setitem(sys.modules, "ijson", None)
    with pytest.raises(MissingResource, match=r"pip install 'sian\[slides\]'"):
        open_mask(path)


def test_a_full_temporary_folder_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("sian.slides.outline_levels.TABLES", "PRAGMA max_page_count = 2;")
    with pytest.raises(MissingResource, match="cannot be written to the temporary folder"):
        open_mask(write(tmp_path / "a.geojson", collection(MASK)))


def qupath_file(path, mask, classes):
    """As QuPath 0.5 exports cells and detections: classes by name or names, uuids, measurements, a region, a point."""
    features = []
    for nucleus, polygons in trace_nuclei(mask):
        said = classes.get(nucleus)
        parts = said.split(": ") if said else []
        classification = (
            {"names": parts, "color": [200, 0, 0]} if len(parts) > 1 else {"name": said, "color": [9, 9, 9]}
        )
        properties = {"objectType": "cell" if nucleus % 3 == 0 else "detection", "isLocked": False}
        properties |= {"measurements": {"Area um^2": 4.5}} | ({"classification": classification} if said else {})
        one = {"type": "Feature", "id": f"uuid-{nucleus}", "geometry": geometry(polygons), "properties": properties}
        if properties["objectType"] == "cell":
            one["nucleusGeometry"] = one["geometry"]
        features.append(one)
    region = {"objectType": "annotation", "classification": {"name": "Tumor", "color": [200, 0, 0]}}
    region = {"type": "Feature", "geometry": geometry(square(0, 0, 900, 900)), "properties": region}
    return write(path, [region, *features])


CLASSES = {1: "Tumor", 2: "Immune cells: Positive", 3: "Stroma", 5: "Tumor", 6: "Nucleus"}


@pytest.mark.filterwarnings("ignore:.*left out")
def test_classes_are_qupaths_and_nucleus_is_none(tmp_path, opened):
    mask = np.zeros((60, 200), np.int32)
    for nucleus in range(1, 7):
        mask[5 * nucleus : 5 * nucleus + 12, 30 * nucleus : 30 * nucleus + 12] = nucleus
    path = qupath_file(tmp_path / "a.geojson", mask, CLASSES)
    source = opened(path, mask.shape)
    expected = {nucleus: name for nucleus, name in CLASSES.items() if name != "Nucleus"}
    assert dict(source.classes) == expected
    assert (len(source.classes), 4 in source.classes, 6 in source.classes, 99 in source.classes) == (
        4,
        False,
        False,
        False,
    )
    ids, named = read_classed(path, mask.shape)
    np.testing.assert_array_equal(ids, mask)
    assert named == expected == read_geojson(path, *mask.shape).classes
    numbered = write(tmp_path / "b.geojson", [
        detection(polygons, name=str(100 - nucleus), classification={"name": CLASSES.get(nucleus)})
        for nucleus, polygons in trace_nuclei(mask)
    ])  # fmt: skip
    assert dict(opened(numbered).classes) == {100 - nucleus: name for nucleus, name in expected.items()}
    assert opened(write(tmp_path / "c.geojson", collection(mask))).classes is None


@pytest.mark.filterwarnings("ignore:.*left out", "ignore:some nuclei have no class")
def test_a_slide_painted_from_outlines_with_classes(tmp_path, capsys, monkeypatch):
    """The classes of the file reach the pixels, whole and tile by tile; other names are refused before anything is."""
    monkeypatch.setattr("sian.production.slide_painting.SIDE", 512)
    model = toys.write_classed(tmp_path / "classed.safetensors", ["Stroma", "Tumor"])
    mask = toys.grid_mask(300, 700)
    classes = {n: ("Tumor", "Stroma", None)[n % 3] for n in np.unique(mask).tolist() if n and n % 3 != 2}
    path = qupath_file(tmp_path / "m.geojson", mask, classes)
    expected = sian.load(model).synthesize(mask, "kidney", classes=classes)
    assert (expected != sian.load(model).synthesize(mask, "kidney", classes={})).any()
    given = ["synthesize", str(path), "--style", "kidney", "--model", str(model), "--size", "700x300"]
    assert main([*given, "-o", str(tmp_path / "out")]) == 0
    np.testing.assert_array_equal(sian.read_image(tmp_path / "out" / "m_kidney.png"), expected)
    assert main([*given, "-o", str(tmp_path / "out"), "--form", "ome-zarr"]) == 0
    with open_slide(tmp_path / "out" / "m_kidney.ome.zarr") as found:
        assert np.abs(found.read().pixels.astype(int) - expected).max() <= 1
    qupath_file(path, mask, classes | {1: "Tumour"})
    capsys.readouterr()
    assert main([*given, "-o", str(tmp_path / "no"), "--form", "ome-zarr"]) == 3
    assert "m.geojson: found the class 'Tumour'; did you mean 'Tumor'?" in capsys.readouterr().err
    qupath_file(path, mask, {})
    assert main([*given, "-o", str(tmp_path / "no"), "--form", "ome-zarr"]) == 3
    assert "m.geojson: this model was trained with nuclear classes" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
    by_name = {name: [n for n in np.unique(mask).tolist() if n and classes.get(n) == name] for name in classes.values()}
    (tmp_path / "m.classes.json").write_text(json.dumps(by_name))  # goes before the file's own
    assert main([*given, "-o", str(tmp_path / "beside")]) == 0
    np.testing.assert_array_equal(sian.read_image(tmp_path / "beside" / "m_kidney.png"), expected)


def test_a_slide_painted_from_outlines(tmp_path, capsys):
    model = toys.write_toy(tmp_path / "toy.safetensors")
    write_ome(tmp_path / "m.ome.tif", MASK.astype(np.uint16), 0.25)
    write(tmp_path / "m.geojson", collection(MASK))
    given = ["--style", "kidney", "--model", str(model), "-o", str(tmp_path / "out")]
    outlines = ["synthesize", str(tmp_path / "m.geojson"), *given]
    assert main([*outlines, "--form", "ome-zarr", "--size", "1111x700"]) == 0
    expected = paint_slide(tmp_path / "m.ome.tif", "kidney", tmp_path / "e", model=sian.load(model))
    with open_slide(tmp_path / "out" / "m_kidney.ome.zarr") as found, open_slide(expected) as other:
        np.testing.assert_array_equal(found.read().pixels, other.read().pixels)
    assert main([*outlines, "--size", "1111,700"]) == 0  # a PNG; a comma, as in --region
    found = sian.read_image(tmp_path / "out" / "m_kidney.png")
    assert np.abs(found.astype(int) - open_slide(expected).read().pixels).max() <= 1
    capsys.readouterr()
    for size, sentence in (("1111", "expected WIDTHxHEIGHT"), ("0x9", "expected WIDTHxHEIGHT")):
        assert main([*outlines, "--size", size]) == 3
        assert sentence in capsys.readouterr().err
    assert main(["synthesize", str(tmp_path / "m.ome.tif"), *given, "--size", "9x9"]) == 3
    assert "has a size of its own" in capsys.readouterr().err
