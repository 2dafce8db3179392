"""GeoJSON, COCO and ImageScope XML as other programs write them: what is drawn, what is left out, what is refused."""

import json

import numpy as np
import pytest
from PIL import Image
from skimage.draw import ellipse

from sian.cli import main as cli
from sian.data import import_dataset, open_dataset
from sian.data.formats.regions import Effort
from sian.data.formats.rle import encode_rle, rle_region
from sian.errors import BadInput
from sian.masks import outlines
from sian.masks.outlines import fill_ring
from tiles import picture


def square(x, y, side=6):
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


def polygon(*rings):
    return {"type": "Polygon", "coordinates": list(rings)}


def feature(geometry, kind=None, key="objectType", **properties):
    said = {key: kind} if kind else {}
    return {"type": "Feature", "geometry": geometry, "properties": said | properties}


CELLS = [(4, 4), (14, 4), (24, 4)]
REGION = polygon([[0, 0], [44, 0], [44, 20], [0, 20], [0, 0]])
POINT = {"type": "Point", "coordinates": [3, 3]}
LINE = {"type": "LineString", "coordinates": [[3, 3], [9, 9]]}
CELLVIT = {"type": "MultiPolygon", "coordinates": [[square(*place)] for place in CELLS]}


def detections(kind="detection", **more):
    return [feature(polygon(square(*place)), kind, **more) for place in CELLS]


IGNORED = feature(polygon(square(40, 30)), "annotation", classification="Region*")
HIERARCHY = [feature(None, "root", childObjects=[feature(REGION, "annotation", childObjects=detections())])]


def with_picture(folder, name="a.png"):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture()).save(folder / name)
    return folder


def read(tmp_path, content, *, ending=".geojson", **options):
    """Import one tile and its annotation: the item and its mask."""
    text = content if isinstance(content, str) else json.dumps(content)
    (with_picture(tmp_path / "in") / f"a{ending}").write_text(text)
    import_dataset(tmp_path / "in", tmp_path / "out", **options)
    data = open_dataset(tmp_path / "out")
    return data["a"], data.mask(data["a"])


def drawn(places, side=6):
    mask = np.zeros((40, 48), bool)
    for x, y in places:
        mask[y : y + side, x : x + side] = True
    return mask


@pytest.mark.parametrize(
    ("features", "left_out"),
    [
        (detections(), None),
        ([feature(REGION, "annotation"), *detections()], {"region annotation": 1}),
        ([feature(REGION, "annotation"), *detections("annotation")], {"region annotation": 1}),
        ([feature(REGION), *detections(None)], {"region annotation": 1}),
        ([IGNORED, *detections("annotation")], {"region annotation": 1}),
        ([feature(REGION, "tile", "object_type"), *detections("cell", key="object_type")], {"tile": 1}),
        ([feature(REGION, "tma_core", "object_type"), *detections("annotation", key="object_type")], {"TMA core": 1}),
        ([feature(REGION) | {"id": "PathTileObject"}, *detections(None)], {"tile": 1}),
        ([feature(REGION) | {"id": "PathAnnotationObject"}, *detections()], {"region annotation": 1}),
        ([feature(REGION, "annotation", childObjects=detections("cell"))], {"region annotation": 1}),
        ([feature(REGION, "annotation", childObjects=detections("annotation"))], {"region annotation": 1}),
        (HIERARCHY, {"object without a geometry": 1, "root object": 1, "region annotation": 1}),
        ([feature(POINT), feature(LINE), feature(LINE, "detection"), *detections()], {"point": 1, "line": 2}),
        ([feature(CELLVIT, "annotation", classification={"name": "Neoplastic"})], None),
        ([feature({"type": "GeometryCollection", "geometries": [POINT, CELLVIT]}, "annotation")], {"point": 1}),
        ([feature(polygon(square(30, 30)[:2])), *detections()], {"outline with fewer than 3 vertices": 1}),
    ],
)
def test_geojson_draws_nuclei_and_counts_the_rest(tmp_path, features, left_out):
    item, mask = read(tmp_path, {"type": "FeatureCollection", "features": features})
    assert (item.nuclei, item.left_out) == (3, left_out)
    assert item.dropped_regions == sum((left_out or {}).values())
    np.testing.assert_array_equal(mask > 0, drawn(CELLS))


@pytest.mark.parametrize("content", [detections()[0], polygon(square(4, 4)), [detections()[0]]])
def test_geojson_of_one_feature(tmp_path, content):
    _, mask = read(tmp_path, content)
    np.testing.assert_array_equal(mask, drawn(CELLS[:1]))


def test_pieces_of_a_detection_are_one_nucleus(tmp_path):
    item, mask = read(tmp_path, [feature(CELLVIT, "detection")])
    assert item.nuclei == 1
    np.testing.assert_array_equal(mask, drawn(CELLS))


def test_cells_by_their_nucleus_or_their_outline(tmp_path, capsys):
    inner = feature(polygon(square(4, 4, 12)), "cell") | {"nucleusGeometry": polygon(square(7, 7, 3))}
    nan = feature(polygon(square(30, 4)), "cell", measurements={"Nucleus: Solidity": float("nan"), "Area": 3})
    (with_picture(tmp_path / "in") / "a.geojson").write_text(json.dumps([inner, nan]))
    assert cli.main(["data", "import", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 0
    assert "1 cell, 1 cell outline drawn\n" in capsys.readouterr().out
    mask = open_dataset(tmp_path / "out").mask(open_dataset(tmp_path / "out")["a"])
    np.testing.assert_array_equal(mask > 0, drawn([(7, 7)], 3) | drawn([(30, 4)]))


def test_an_ellipse_of_qupath(tmp_path):
    """QuPath writes a polygon and the mark isEllipse, and reads the ellipse of its box."""
    box = polygon([[10, 5], [30, 5], [30, 21], [10, 21], [10, 5]]) | {"isEllipse": True}
    _, mask = read(tmp_path, [feature(box, "annotation")])
    expected = np.zeros((40, 48), bool)
    expected[ellipse(12.5, 19.5, 8, 10, expected.shape)] = True
    assert (expected != (mask > 0)).sum() <= 4
    assert abs(int((mask > 0).sum()) - np.pi * 80) < 4


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Tumor", "Tumor"),
        ({"name": "Tumor"}, "Tumor"),
        ({"names": ["Tumor", "Positive"]}, "Tumor: Positive"),
        ({"name": None}, None),
        (None, None),
        (" ", None),
    ],
)
def test_classes_of_geojson(tmp_path, said, name):
    item, _ = read(tmp_path, [feature(polygon(square(4, 4)), "detection", classification=said)])
    assert item.classes == ({name: [1]} if name else None)


@pytest.mark.parametrize("said", [["x", 3], {"name": ["x"]}, {"name": 3}, 7, {"names": "x", "name": 3}, "\ud800"])
def test_classes_that_are_none(tmp_path, said):
    if said == {"names": "x", "name": 3}:
        assert read(tmp_path, [feature(polygon(square(4, 4)), classification=said)])[0].classes == {"x": [1]}
        return
    with pytest.raises(BadInput, match=r"classification that is not a name|text that is broken"):
        read(tmp_path, [feature(polygon(square(4, 4)), "detection", classification=said)])


@pytest.mark.parametrize(
    ("features", "found"),
    [
        ([], "no outline at all"),
        ([feature(POINT), feature({"type": "MultiPoint", "coordinates": [[1, 1], [2, 2]]})], r"\(3 points left out\)"),
        ([feature(REGION, "tile")], r"\(1 tile left out\)"),
    ],
)
def test_what_nothing_is_left_of_is_refused_unless_meant(tmp_path, features, found):
    with pytest.raises(BadInput, match=f"a.geojson: found {'' if 'no' in found else 'nothing to draw '}{found}"):
        read(tmp_path, {"features": features})
    item, mask = read(tmp_path, {"features": features}, empty=True)
    assert item.nuclei == 0
    assert not mask.any()


def coco(entries, **more):
    image = {"id": 1, "file_name": "a.png", "width": 48, "height": 40} | more
    listed = [{"id": n, "image_id": 1, "category_id": 1, "iscrowd": 0} | e for n, e in enumerate(entries, start=1)]
    return {"images": [image], "categories": [{"id": 1, "name": "Tumor"}], "annotations": listed}


FLAT = [[4, 4, 10, 4, 10, 10, 4, 10]]


def test_coco_draws_outlines_and_counts_the_rest(tmp_path):
    crowd = {"iscrowd": 1, "segmentation": {"size": [40, 48], "counts": [0, 1920]}}
    entries = [{"segmentation": FLAT}, crowd, {"bbox": [1, 1, 5, 5]}, {"bbox": [1, 1, 5, 5], "segmentation": []}]
    item, mask = read(
        tmp_path, coco([*entries, {"keypoints": [1, 1, 2]}, {"segmentation": [[1, 1, 5, 5]]}]), ending=".json"
    )
    rest = {"crowd region": 1, "box without an outline": 2, "point without an outline": 1}
    assert item.left_out == rest | {"outline with fewer than 3 vertices": 1}
    np.testing.assert_array_equal(mask > 0, drawn(CELLS[:1]))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (coco([{"iscrowd": 1, "segmentation": FLAT}] * 2), "2 crowd regions left out"),
        (coco([{"bbox": [1, 1, 5, 5]}]), "1 box without an outline left out"),
        (coco([]), "no outline at all"),
        (coco([{"segmentation": FLAT}], width=96), "says that a.png has 40 x 96 pixels, found 40 x 48"),
        (coco([{"segmentation": FLAT}], width="48"), "says that"),
        (coco([{"segmentation": FLAT, "image_id": 2}]), "annotation of the image 2, which the file does not list"),
        (coco([{"segmentation": FLAT, "image_id": "1"}]), "annotation of the image '1'"),
        (coco([{"segmentation": FLAT, "category_id": 9}]), "found the category 9"),
        (coco([{"segmentation": FLAT, "category_id": [9]}]), r"found the category \[9\]"),
        (coco([], id=[1]), r"image id \[1\], expected a number"),
        (coco([], id={}), "image id {}, expected a number"),
        (coco([], id=None), "image id None"),
        (coco([]) | {"categories": [{"id": [1], "name": "x"}]}, "the category id"),
        (coco([]) | {"categories": [{"id": 1, "name": ["x"]}]}, "a category called"),
        (coco([]) | {"annotations": {"a": 1}}, "annotations that are not a list"),
        (coco([], file_name="\ud800.png"), "expected a path inside"),
        (coco([], file_name="a\x1b[31m.png"), "expected a path inside"),
        (coco([], file_name="x" * 5000), "found no image"),
    ],
)
def test_coco_that_is_refused(tmp_path, content, found):
    with pytest.raises(BadInput, match=found):
        read(tmp_path, content, ending=".json")


@pytest.mark.parametrize(
    ("annotation", "image", "name", "split"),
    [
        ("train/_annotations.coco.json", "train/a.png", "a.png", "train"),
        ("valid/_annotations.coco.json", "valid/a.png", "a.png", "val"),
        ("result.json", "images/3/a.png", "images\\3\\a.png", "train"),
        ("annotations/instances_default.json", "images/default/a.png", "a.png", "train"),
        ("annotations/instances_test.json", "test/a.png", "a.png", "test"),
    ],
)
def test_coco_as_other_programs_lay_it_out(tmp_path, annotation, image, name, split):
    """Roboflow, Label Studio on Windows, CVAT."""
    with_picture((tmp_path / "in" / image).parent)
    (tmp_path / "in" / annotation).parent.mkdir(exist_ok=True)
    (tmp_path / "in" / annotation).write_text(json.dumps(coco([{"segmentation": FLAT}], file_name=name)))
    import_dataset(tmp_path / "in", tmp_path / "out")
    (item,) = open_dataset(tmp_path / "out")
    assert (item.id, item.split, item.nuclei, item.classes) == ("a", split, 1, {"Tumor": [1]})


def imagescope(*regions, layer=""):
    made = "".join(
        f'<Region Type="{kind}">' + "<Vertices>" + "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in vertices)
        + "</Vertices></Region>"
        for kind, vertices in regions
    )  # fmt: skip
    attributes = f'<Attributes><Attribute Name="{layer}" Id="0" Value=""/></Attributes>'
    return f"<Annotation>{attributes}<Regions>{made}</Regions></Annotation>"


def test_regions_of_imagescope(tmp_path):
    """An ellipse and a rectangle are given by two corners of their box; arrows and the like have no inside."""
    two, corners = [(10, 5), (30, 21)], [(2, 30), (8, 30), (8, 36), (2, 36)]
    regions = [(2, two), (1, [(40, 4), (46, 10)]), (0, corners), (3, two), (0, two), (0, [(1, 1)]), (0, [])]
    item, mask = read(tmp_path, f"<Annotations>{imagescope(*regions)}</Annotations>", ending=".xml")
    assert item.left_out == {"arrow": 1, "line": 1, "point": 1, "region without vertices": 1}
    expected = np.zeros((40, 48), bool)
    expected[ellipse(12.5, 19.5, 8, 10, expected.shape)] = True
    assert (expected != (mask == 1)).sum() <= 4
    np.testing.assert_array_equal(mask == 2, drawn([(40, 4)]))
    np.testing.assert_array_equal(mask == 3, drawn([(2, 30)]))


def test_classes_of_monusac(tmp_path):
    layers = [("Epithelial", 4), ("Ambiguous", 14), ("Lymphocyte", 24), ("Description", 34)]
    made = "".join(imagescope((0, square(x, 4)), layer=layer) for layer, x in layers)
    item, mask = read(tmp_path, f"<Annotations>{made}</Annotations>", ending=".xml")
    assert item.classes == {"Epithelial": [1], "Lymphocyte": [2]}
    assert (item.nuclei, item.left_out) == (3, {"ambiguous region": 1})
    np.testing.assert_array_equal(mask > 0, drawn([(4, 4), (24, 4), (34, 4)]))


def test_a_region_that_holds_the_nuclei(tmp_path):
    """Outlines that overlap are nuclei; one that holds two others whole is none."""
    drawings = [(0, REGION["coordinates"][0]), *((0, square(*place)) for place in CELLS), (0, square(7, 7, 9))]
    item, _ = read(tmp_path, f"<Annotations>{imagescope(*drawings)}</Annotations>", ending=".xml")
    assert (item.nuclei, item.overlaps, item.left_out) == (4, 1, {"region annotation": 1})


def test_long_outlines_are_filled_part_by_part(monkeypatch):
    """The memory does not grow with the number of crossings; the pixels stay the same."""
    ring = np.array([(n * 5 % 44, n * 7 % 37) for n in range(200)], float) + 0.25
    whole = fill_ring(ring, 40, 48)
    monkeypatch.setattr(outlines, "CROSSINGS_AT_ONCE", 7)
    parts = fill_ring(ring, 40, 48)
    assert parts[:2] == whole[:2]
    np.testing.assert_array_equal(parts[2], whole[2])
    assert whole[2].any()


def test_more_outlines_than_a_tile_holds(tmp_path):
    """Each costs a little, and a small file can hold hundreds of thousands."""
    with pytest.raises(BadInput, match="one for every few pixels of it"):
        read(tmp_path, [feature(polygon(square(4, 4)))] * 1001)


@pytest.mark.parametrize(("side", "covered"), [(1, 30 * 30), (6, 2 * 6 * 6)])
def test_crumbs_in_a_nucleus_make_it_no_region(tmp_path, side, covered):
    flat = [np.ravel(square(*place)[:4]).tolist() for place in ((2, 2, 30), (5, 5, side), (15, 15, side), (40, 2, 8))]
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{"id": i, "image_id": 1, "segmentation": [ring]} for i, ring in enumerate(flat)],
    }
    _, ids = read(tmp_path, content, ending=".json")
    assert np.count_nonzero(ids[2:32, 2:32]) == covered


def test_outlines_beside_the_tile_do_not_count(tmp_path):
    """A slide's file beside a tile that was cut from it."""
    far = [feature(polygon(square(10_000 + i, 10_000)), "detection") for i in range(1_200)]
    item, _ = read(tmp_path, {"type": "FeatureCollection", "features": [*far, *detections()]})
    assert item.nuclei == 3


def test_run_lengths_cost_what_their_box_does():
    """Many small nuclei of a large tile; and the pixels are those that the plain rule gives."""
    side, cell = 3_000, np.ones((32, 32), np.bool_)
    effort = Effort("a.json", side, side)
    for place in range(3_000):
        counts = encode_rle((place % 900, place % 700, cell), side, side)
        top, left, inside = rle_region("a", counts, side, side, effort)
        assert (top, left, inside.shape) == (place % 900, place % 700, (32, 32))
    rng = np.random.default_rng(0)
    for _ in range(200):
        mask = rng.random(rng.integers(1, 12, 2)) < rng.random()
        if mask.any():
            counts = np.array(encode_rle((0, 0, mask), *mask.shape)["counts"])
            plain = np.repeat(np.arange(len(counts)) % 2, counts)
            plain = np.pad(plain, (0, mask.size - len(plain))).reshape(mask.shape[::-1]).T
            top, left, inside = rle_region(
                "a", {"size": list(mask.shape), "counts": counts.tolist()}, *mask.shape, effort
            )
            drawn = np.zeros(mask.shape, np.bool_)
            drawn[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
            np.testing.assert_array_equal(drawn, plain)


def test_json_that_is_no_coco_is_left_alone(tmp_path):
    source = with_picture(tmp_path / "in")
    ids = np.zeros(picture().shape[:2], np.uint16)
    ids[2:9, 2:9] = 7
    Image.fromarray(ids).save(source / "a_labels.png")
    (source / "train").mkdir()
    for place in (source, source / "train"):
        (place / "log.json").write_text('{"loss": 1}\n{"loss": 2}\n')
    (item,) = import_dataset(source, tmp_path / "out").items
    assert item.nuclei == 1
