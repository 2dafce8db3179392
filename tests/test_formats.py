"""Exports: every format there and back, and read by the libraries that they are meant for."""

import gzip
import json
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import loadmat, savemat

from sian.cli import main as cli
from sian.data import Dataset, DatasetInfo, DatasetWriter, export_dataset, import_dataset, open_dataset
from sian.data.formats import FORMATS
from sian.data.formats.matfile import read_numeric
from sian.errors import BadInput, MissingResource
from sian.files import read_image, read_png_text
from sian.masks import nucleus_ids, read_mask
from tiles import picture, tree

MODEL = "f" * 64
HOLDS_CLASSES = [
    *("hovernet", "hovernet-npy", "pannuke", "coco", "qupath", "qupath-gz", "ome-zarr", "ome-tiff", "webdataset")
]
of_pycocotools = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def difficult_mask() -> np.ndarray:
    """A hole, two pieces, pieces that touch at a corner, touching nuclei, ids with gaps above 255."""
    ids = np.zeros((40, 48), np.int32)
    ids[2:10, 2:10] = 1
    ids[5:7, 5:7] = 0
    ids[20:30, 5:12] = 2
    ids[20:30, 12:20] = 7
    ids[35:38, 40:44] = 300
    ids[30:32, 44:48] = 300
    ids[12, 12] = ids[13, 13] = 60_000
    ids[0, 47] = 9
    return ids


def make_dataset(folder, *, synthetic=True, extra_id=None) -> Dataset:
    info = DatasetInfo(
        name="toy", mpp=0.25, licence="CC0", source="made up", synthetic=synthetic, classes=["neoplastic", "dead"]
    )
    writer = DatasetWriter(folder, info)
    mask = difficult_mask()
    classes = {"dead": [2, 300], "neoplastic": [1, 7, 9, 60_000]}
    if extra_id:
        mask[38:40, 0:3] = extra_id
        classes["dead"].append(extra_id)
    made = {"model": MODEL, "style": {"kidney": 0.5, "colon": 0.5}, "seed": 3, "plan": 7}
    writer.add("one", picture(1), mask, organ="kidney", mpp=0.25, classes=classes, patient="p1", **made)
    writer.add("two", picture(2), np.zeros((40, 48), int), split="test", organ="colon", preparation="frozen")
    writer.add("three", picture(3), np.flipud(difficult_mask()), overlaps=2, lost_pixels=9, classes=classes_of_all())
    return open_dataset(folder)


def classes_of_all():
    return {"inflammatory": [1, 2, 7, 9, 300, 60_000]}


def assert_same(found: Dataset, expected: Dataset, *, classes=True):
    assert {item.id for item in found} == {item.id for item in expected}
    for item in expected:
        other = found[item.id]
        np.testing.assert_array_equal(found.image(other), expected.image(item))
        np.testing.assert_array_equal(found.mask(other), expected.mask(item))
        if classes:
            assert other.class_by_id == item.class_by_id


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("formats") / "set")


@pytest.fixture(scope="module")
def exports(toy):
    """The toy data set in every format."""
    for name in FORMATS:
        export_dataset(toy, toy.folder.parent / name, name)
    return toy.folder.parent


@pytest.mark.parametrize("name", FORMATS)
def test_round_trip_keeps_everything(exports, toy, tmp_path, name):
    import_dataset(exports / name, tmp_path / "back")
    back = open_dataset(tmp_path / "back")
    assert back.info.model_copy(update={"classes": []}) == toy.info.model_copy(update={"classes": []})
    assert back.info.classes == ["neoplastic", "dead", "inflammatory"]
    assert_same(back, toy)
    for item in toy:
        assert back[item.id].model_dump(exclude={"sha256_source"}) == item.model_dump(exclude={"sha256_source"})


@pytest.mark.parametrize("name", FORMATS)
def test_without_the_provenance_pixels_ids_and_classes_are_still_there(exports, toy, tmp_path, name):
    kept = exports / name / "provenance.json"
    hidden = exports / name / ".provenance.json.away"
    kept.rename(hidden)
    try:
        import_dataset(exports / name, tmp_path / "back")
    finally:
        hidden.rename(kept)
    back = open_dataset(tmp_path / "back")
    if name == "pannuke":  # has no names for its images
        renamed = {"one": "train-00000", "three": "train-00001", "two": "test-00000"}
        items = {item.id: item for item in back}
        for item in toy:
            other = items[renamed[item.id]]
            np.testing.assert_array_equal(back.mask(other), toy.mask(item))
            assert (other.class_by_id, other.organ) == (item.class_by_id, item.organ)
        return
    assert_same(back, toy, classes=name in HOLDS_CLASSES)
    assert {item.id: item.split for item in back} == {item.id: item.split for item in toy}


@pytest.mark.parametrize("name", FORMATS)
def test_ids_beyond_16_bits(tmp_path, name):
    data = make_dataset(tmp_path / "set", extra_id=70_001)
    export_dataset(data, tmp_path / "out", name)
    import_dataset(tmp_path / "out", tmp_path / "back")
    assert_same(open_dataset(tmp_path / "back"), data)


@pytest.mark.parametrize("name", FORMATS)
def test_import_again_does_nothing(exports, tmp_path, name):
    import_dataset(exports / name, tmp_path / "back")
    again = import_dataset(exports / name, tmp_path / "back")
    assert (again.added, again.kept) == (0, 3)


@pytest.mark.parametrize("name", FORMATS)
def test_without_any_classes(tmp_path, name):
    writer = DatasetWriter(tmp_path / "set", DatasetInfo(name="plain"))
    writer.add("a", picture(1), difficult_mask())
    data = open_dataset(tmp_path / "set")
    export_dataset(data, tmp_path / "out", name)
    import_dataset(tmp_path / "out", tmp_path / "back")
    back = open_dataset(tmp_path / "back")
    assert_same(back, data)
    assert (back.info.synthetic, back.info.classes, back["a"].classes) == (False, [], None)


@pytest.mark.parametrize("name", FORMATS)
def test_larger_images(tmp_path, name):
    """Pyramids of several levels, sizes that no tile or chunk divides."""
    random = np.random.default_rng(4)
    mask = np.kron(random.permutation(12 * 13 + 1)[:-1].reshape(12, 13), np.ones((47, 43), int))[:557, :551]
    writer = DatasetWriter(tmp_path / "set", DatasetInfo(name="large"))
    writer.add("a", picture(1, 557, 551), mask, mpp=0.5)
    export_dataset(tmp_path / "set", tmp_path / "out", name)
    import_dataset(tmp_path / "out", tmp_path / "back")
    assert_same(open_dataset(tmp_path / "back"), open_dataset(tmp_path / "set"))


# By the libraries that the formats are meant for.


@of_pycocotools
def test_coco_by_pycocotools(exports, toy, capsys):
    from pycocotools.coco import COCO

    for split, names in (("train", ["one", "three"]), ("test", ["two"])):
        coco = COCO(str(exports / "coco" / "annotations" / f"instances_{split}.json"))
        assert [image["file_name"] for image in coco.loadImgs(coco.getImgIds())] == [f"{name}.png" for name in names]
        for image in coco.loadImgs(coco.getImgIds()):
            item = toy[image["file_name"].removesuffix(".png")]
            mask = toy.mask(item)
            np.testing.assert_array_equal(read_image(exports / "coco" / split / image["file_name"]), toy.image(item))
            annotations = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
            assert {a["instance_id"] for a in annotations} == set(nucleus_ids(mask).tolist())
            for annotation in annotations:
                covered = mask == annotation["instance_id"]
                np.testing.assert_array_equal(coco.annToMask(annotation).astype(bool), covered)
                assert annotation["area"] == covered.sum()
                (category,) = coco.loadCats([annotation["category_id"]])
                assert category["name"] == item.class_by_id[annotation["instance_id"]]
            kinds = {a["instance_id"]: type(a["segmentation"]) for a in annotations}
            assert all(kind is (dict if nucleus == 1 else list) for nucleus, kind in kinds.items())
    ids = [a["id"] for s in ("train", "test") for a in _json(exports / "coco/annotations" / f"instances_{s}.json")]
    assert len(set(ids)) == len(ids)


def _json(path):
    return json.loads(path.read_text())["annotations"]


@of_pycocotools
def test_coco_polygons_fill_alike_in_pycocotools(tmp_path):
    """Polygons on pixel corners and pycocotools' own filling agree on any shape, also where corners touch."""
    from pycocotools import mask as coco_mask

    from sian.masks.contours import trace_region

    random = np.random.default_rng(8)
    for _ in range(300):
        region = random.random((12, 15)) < random.choice([0.3, 0.6])
        flat = [[float(n) for corner in ring[0] for n in corner] for ring in trace_region(region) if len(ring) == 1]
        expected = np.zeros_like(region)
        for polygon in trace_region(region):
            if len(polygon) == 1:
                expected |= coco_mask.decode(coco_mask.frPyObjects([_flat(polygon[0])], 12, 15))[..., 0].astype(bool)
        if flat:
            merged = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(flat, 12, 15))).astype(bool)
            np.testing.assert_array_equal(merged, expected)
            np.testing.assert_array_equal(merged & ~region, False)


def _flat(ring):
    return [float(number) for corner in ring for number in corner]


@of_pycocotools
def test_compressed_rle_of_pycocotools(tmp_path, toy):
    """What pycocotools writes is read: compressed strings, of every nucleus."""
    from pycocotools import mask as coco_mask

    item = toy["one"]
    mask = toy.mask(item)
    (tmp_path / "out" / "images").mkdir(parents=True)
    Image.fromarray(toy.image(item)).save(tmp_path / "out" / "images" / "one.png")
    entries = []
    for number in nucleus_ids(mask).tolist():
        rle = coco_mask.encode(np.asfortranarray(mask == number).astype(np.uint8))
        segmentation = {"size": rle["size"], "counts": rle["counts"].decode()}
        entries.append({"id": number, "image_id": 5, "category_id": 1, "segmentation": segmentation, "iscrowd": 0})
    content = {"images": [{"id": 5, "file_name": "one.png", "width": 48, "height": 40}], "annotations": entries}
    (tmp_path / "out" / "labels.json").write_text(json.dumps(content))
    import_dataset(tmp_path / "out", tmp_path / "back")
    (back,) = open_dataset(tmp_path / "back")
    found = open_dataset(tmp_path / "back").mask(back)
    for number, own in enumerate(nucleus_ids(mask).tolist(), start=1):
        np.testing.assert_array_equal(found == number, mask == own)


@of_pycocotools
def test_uncompressed_rle_by_pycocotools():
    from pycocotools import mask as coco_mask

    from sian.data.formats.rle import encode_rle, rle_region

    random = np.random.default_rng(2)
    for _ in range(50):
        whole = random.random((9, 11)) < 0.5
        rle = encode_rle((0, 0, whole), 9, 11)
        np.testing.assert_array_equal(coco_mask.decode(coco_mask.frPyObjects(rle, 9, 11)).astype(bool), whole)
        top, left, inside = rle_region("here", rle, 9, 11)
        again = np.zeros_like(whole)
        again[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        np.testing.assert_array_equal(again, whole)


def test_ome_zarr_by_its_own_reader(exports, toy):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    for item in toy:
        path = exports / "ome-zarr" / item.split / f"{item.id}.ome.zarr"
        nodes = list(Reader(parse_url(str(path)))())
        image, labels = nodes[0], next(node for node in nodes if "labels" in node.zarr.basename() or node is nodes[-1])
        np.testing.assert_array_equal(np.asarray(image.data[0]), np.moveaxis(toy.image(item), -1, 0))
        np.testing.assert_array_equal(np.asarray(nodes[-1].data[0]), toy.mask(item))
        assert labels is not image


def test_ome_zarr_of_version_0_4(tmp_path, toy):
    """Zarr 2, axes t, c, z, y, x, labels of another name."""
    import zarr

    mask = toy.mask(toy["one"])
    root = zarr.open_group(str(tmp_path / "old" / "a.ome.zarr"), mode="w", zarr_format=2)
    places = ((root, np.moveaxis(toy.image(toy["one"]), -1, 0)[None, :, None], "tczyx"),)
    places += ((root.create_group("labels").create_group("cells"), mask[None, None, None], "tczyx"),)
    for group, array, axes in places:
        group.create_array("0", shape=array.shape, chunks=array.shape, dtype=array.dtype)[...] = array
        group.attrs["multiscales"] = [
            {"version": "0.4", "axes": [{"name": axis} for axis in axes], "datasets": [{"path": "0"}]}
        ]
    root["labels"].attrs["labels"] = ["cells"]
    import_dataset(tmp_path / "old", tmp_path / "back")
    back = open_dataset(tmp_path / "back")
    np.testing.assert_array_equal(back.mask(back["a"]), mask)
    np.testing.assert_array_equal(back.image(back["a"]), toy.image(toy["one"]))


def test_mat_by_scipy(exports, toy):
    for item in toy:
        folder = exports / "hovernet" / {"train": "Train", "test": "Test"}[item.split]
        content = loadmat(folder / "Labels" / f"{item.id}.mat")
        mask = toy.mask(item)
        ids = nucleus_ids(mask).tolist()
        np.testing.assert_array_equal(content["inst_map"], mask)
        np.testing.assert_array_equal(read_image(folder / "Images" / f"{item.id}.png"), toy.image(item))
        assert content["inst_type"].shape == (len(ids), 1)
        assert content["inst_centroid"].shape == (len(ids), 2)
        for number, kind, (x, y) in zip(ids, content["inst_type"][:, 0], content["inst_centroid"], strict=True):
            rows, columns = np.nonzero(mask == number)
            assert (x, y) == pytest.approx((columns.mean(), rows.mean()))
            assert set(content["type_map"][mask == number].tolist()) == {kind}
            names = json.loads((exports / "hovernet" / "type_info.json").read_text())
            assert names[str(kind)][0] == item.class_by_id[number]
        origin = json.loads(content["provenance"][0])
        assert (origin["synthetic"], origin["licence"]) == (True, "CC0")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_our_reader_of_mat_files_is_scipys(tmp_path, kind, packed):
    random = np.random.default_rng(3)
    content = {
        "a": random.integers(0, 100, (7, 5)).astype(kind),
        "bb": np.array([[1]], kind),
        "c": np.zeros((0, 2), kind),
    }
    savemat(tmp_path / "x.mat", content | {"text": "hello", "cells": {"a": 1}}, do_compression=packed)
    expected = loadmat(tmp_path / "x.mat")
    found = read_numeric(tmp_path / "x.mat", {"a", "bb", "c", "d"})
    assert set(found) == {"a", "bb", "c"}
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name])
        assert array.dtype == expected[name].dtype


def test_pannuke_arrays_by_numpy(exports, toy):
    images, masks, types = (np.load(exports / "pannuke/train" / f"{name}.npy") for name in ("images", "masks", "types"))
    assert (images.shape, masks.shape, types.tolist()) == ((2, 40, 48, 3), (2, 40, 48, 6), ["kidney", "unknown"])
    assert types.dtype.kind == "U"
    mask = toy.mask(toy["one"])
    np.testing.assert_array_equal(masks[0, ..., :5].sum(axis=-1), mask)
    np.testing.assert_array_equal(masks[0, ..., 5], mask == 0)
    assert set(np.unique(masks[0, ..., 3]).tolist()) == {0, 2, 300}  # dead


def test_five_channels_by_numpy(exports, toy):
    patch = np.load(exports / "hovernet-npy/train/one.npy")
    assert (patch.shape, patch.dtype) == ((40, 48, 5), np.int32)
    np.testing.assert_array_equal(patch[..., :3], toy.image(toy["one"]))
    np.testing.assert_array_equal(patch[..., 3], toy.mask(toy["one"]))
    assert set(np.unique(patch[..., 4]).tolist()) == {0, 1, 2}


def test_stardist_folders(exports, toy):
    """images/*.tif and masks/*.tif of equal names, masks as 16-bit labels, as its training notebooks read them."""
    folder = exports / "stardist" / "train"
    images, masks = sorted((folder / "images").glob("*.tif")), sorted((folder / "masks").glob("*.tif"))
    assert [path.name for path in images] == [path.name for path in masks] == ["one.tif", "three.tif"]
    labels = tifffile.imread(masks[0])
    assert (labels.dtype, tifffile.imread(images[0]).shape) == (np.uint16, (40, 48, 3))
    np.testing.assert_array_equal(labels, toy.mask(toy["one"]))
    with tifffile.TiffFile(images[0]) as file:
        assert json.loads(file.pages[0].description)["model"] == MODEL


def test_cellpose_folders(exports, toy):
    """For each NAME.png a NAME_masks.png, as its training looks for them with its default --mask_filter."""
    folder = exports / "cellpose" / "train"
    images = sorted(path for path in folder.glob("*.png") if not path.stem.endswith("_masks"))
    assert [path.name for path in images] == ["one.png", "three.png"]
    for path in images:
        labels = np.asarray(Image.open(path.with_name(f"{path.stem}_masks.png")))
        np.testing.assert_array_equal(labels, toy.mask(toy[path.stem]))


def test_cellposes_own_names(tmp_path, toy):
    folder = tmp_path / "cells" / "train"
    folder.mkdir(parents=True)
    Image.fromarray(toy.image(toy["one"])).save(folder / "000_img.png")
    Image.fromarray(toy.mask(toy["one"]).astype(np.uint16)).save(folder / "000_masks.png")
    import_dataset(tmp_path / "cells", tmp_path / "back")
    assert [(item.id, item.split) for item in open_dataset(tmp_path / "back")] == [("000", "train")]


def test_ome_tiff_is_tiled_and_pyramidal(tmp_path):
    writer = DatasetWriter(tmp_path / "set", DatasetInfo(name="large", synthetic=True, licence="CC0"))
    image = picture(1, 600, 520)
    writer.add("a", image, np.zeros((600, 520), int), mpp=0.25, model=MODEL, seed=5)
    export_dataset(tmp_path / "set", tmp_path / "out", "ome-tiff")
    with tifffile.TiffFile(tmp_path / "out" / "train" / "a.ome.tif") as file:
        assert file.is_ome
        (series,) = file.series
        assert [level.shape for level in series.levels] == [(600, 520, 3), (300, 260, 3), (150, 130, 3)]
        assert (series.axes, file.pages[0].is_tiled) == ("YXS", True)
        np.testing.assert_array_equal(series.asarray(), image)
        xml = file.ome_metadata
    assert 'PhysicalSizeX="0.25"' in xml
    assert MODEL in xml
    assert '<M K="Synthetic">true</M>' in xml


def test_geojson_is_what_qupath_reads(exports, toy):
    content = json.loads((exports / "qupath/train/one.geojson").read_text())
    assert content == json.loads(gzip.decompress((exports / "qupath-gz/train/one.geojson.gz").read_bytes()))
    assert content["type"] == "FeatureCollection"
    assert content["provenance"]["model"] == MODEL
    by_name = {feature["properties"]["name"]: feature for feature in content["features"]}
    assert set(by_name) == {str(number) for number in nucleus_ids(difficult_mask())}
    for feature in content["features"]:
        assert feature["properties"]["objectType"] == "detection"
        polygons = feature["geometry"]["coordinates"]
        polygons = [polygons] if feature["geometry"]["type"] == "Polygon" else polygons
        assert all(ring[0] == ring[-1] for polygon in polygons for ring in polygon)
    assert len(by_name["1"]["geometry"]["coordinates"]) == 2  # a hole
    assert by_name["300"]["geometry"]["type"] == "MultiPolygon"
    assert by_name["300"]["properties"]["classification"]["name"] == "dead"
    assert len({feature["id"] for feature in content["features"]}) == len(content["features"])


def test_geojson_from_qupath(tmp_path):
    """Cells are read by their nucleus; derived classes by their names; points and annotations of old versions too."""

    def square(x, y, side):
        return [[[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]]

    (tmp_path / "q").mkdir()
    Image.fromarray(picture(1)).save(tmp_path / "q" / "a.png")
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": square(0, 0, 20)},
            "nucleusGeometry": {"type": "Polygon", "coordinates": square(5, 5, 4)},
            "properties": {"objectType": "cell", "classification": {"names": ["Tumor", "Positive"]}},
        },
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [3, 3]}, "properties": {}},
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": square(30.2, 8.4, 3)}, "properties": {}},
    ]
    (tmp_path / "q" / "a.geojson").write_text(json.dumps(features))
    result = import_dataset(tmp_path / "q", tmp_path / "back")
    back = open_dataset(tmp_path / "back")
    mask = back.mask(back["a"])
    assert ((mask == 1).sum(), (mask == 3).sum(), back["a"].dropped_regions) == (16, 9, 1)
    assert back["a"].classes == {"Tumor: Positive": [1]}
    assert back.info.classes == ["Tumor: Positive"]
    assert result.items[0].nuclei == 2


def test_consep_as_it_comes(tmp_path):
    """inst_map in doubles, types by ascending id, no names for them."""
    for part in ("Images", "Labels", "Overlay"):
        (tmp_path / "CoNSeP" / "Train" / part).mkdir(parents=True)
    Image.fromarray(picture(1)).save(tmp_path / "CoNSeP/Train/Images/train_1.png")
    mask = difficult_mask()
    count = len(nucleus_ids(mask))
    types = np.arange(1, count + 1, dtype=float)[:, None]
    savemat(tmp_path / "CoNSeP/Train/Labels/train_1.mat", {"inst_map": mask.astype(float), "inst_type": types})
    import_dataset(tmp_path / "CoNSeP", tmp_path / "back")
    (item,) = back = open_dataset(tmp_path / "back")
    np.testing.assert_array_equal(back.mask(item), mask)
    assert item.class_by_id == {int(n): f"type {k}" for k, n in enumerate(nucleus_ids(mask), start=1)}
    assert item.split == "train"


def test_pannuke_as_it_comes(tmp_path):
    """Doubles, the download's folders, organs in PanNuke's spelling, ids that recur in another channel."""
    for part in ("images", "masks"):
        (tmp_path / "Fold 1" / part / "fold1").mkdir(parents=True)
    masks = np.zeros((2, 32, 32, 6))
    masks[0, 2:5, 2:5, 0] = 4
    masks[0, 10:15, 2:5, 2] = 4
    masks[0, 20:22, 20:22, 4] = 9
    np.save(
        tmp_path / "Fold 1/images/fold1/images.npy", np.stack([picture(1, 32, 32), picture(2, 32, 32)]).astype(float)
    )
    np.save(tmp_path / "Fold 1/masks/fold1/masks.npy", masks)
    np.save(tmp_path / "Fold 1/images/fold1/types.npy", np.array(["Adrenal_gland", "Breast"]))
    import_dataset(tmp_path / "Fold 1", tmp_path / "back")
    back = open_dataset(tmp_path / "back")
    assert [(item.id, item.organ, item.nuclei) for item in back] == [
        ("fold1-00000", "adrenal gland", 3),
        ("fold1-00001", "breast", 0),
    ]
    assert back["fold1-00000"].classes == {"connective": [2], "epithelial": [3], "neoplastic": [1]}


# Where it comes from.


def test_every_export_says_that_it_is_synthetic(exports, toy):
    for name in FORMATS:
        told = json.loads((exports / name / "provenance.json").read_text())
        assert (told["format"], told["layout"]) == ("sian.provenance/1", name)
        assert told["dataset"]["synthetic"] is True
        assert told["dataset"]["licence"] == "CC0"
        assert told["losses"] == FORMATS[name].losses
        one = next(item for item in told["items"] if item["id"] == "one")
        assert (one["model"], one["seed"], one["plan"]) == (MODEL, 3, 7)
    for path in ("cellpose/train/one.png", "hovernet/Train/Images/one.png", "coco/train/one.png"):
        text = read_png_text(exports / path)
        assert (text["Synthetic"], text["Model"], text["Licence"]) == ("true", MODEL, "CC0")


def test_classes_of_the_provenance_count_only_while_the_mask_is_the_same(tmp_path):
    data = make_dataset(tmp_path / "set")
    export_dataset(data, tmp_path / "out", "cellpose")
    path = tmp_path / "out" / "train" / "one_masks.png"
    ids = read_mask(path)
    ids[ids == 2] = 3
    Image.fromarray(ids.astype(np.uint16)).save(path)
    import_dataset(tmp_path / "out", tmp_path / "back")
    back = open_dataset(tmp_path / "back")
    assert back["one"].classes is None
    assert back["three"].classes == classes_of_all()


# The command line, and what is refused.


def test_command_line(toy, tmp_path, capsys):
    assert cli.main(["data", "export", str(toy.folder), "-o", str(tmp_path / "out"), "--format", "coco"]) == 0
    assert "3 items, 12 nuclei, as coco" in capsys.readouterr().out
    assert cli.main(["data", "formats"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n    {known.losses}\n" in printed for known in FORMATS.values())
    arguments = ["data", "export", str(toy.folder), "-o", str(tmp_path / "test"), "--format", "qupath"]
    assert cli.main([*arguments, "--split", "test", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"] == 1


def refused(toy, target, name):
    with pytest.raises(BadInput) as error:
        export_dataset(toy, target, name)
    return str(error.value)


def test_targets_and_formats_that_cannot_be(toy, tmp_path):
    assert "did you mean 'coco'" in refused(toy, tmp_path / "a", "cocoo")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").touch()
    assert "found other files" in refused(toy, tmp_path / "full", "coco")
    assert "found a file" in refused(toy, tmp_path / "full" / "thesis.doc", "coco")
    assert tree(tmp_path) == ["full", "full/thesis.doc"]


def test_nothing_is_left_when_an_item_is_broken(tmp_path):
    data = make_dataset(tmp_path / "set")
    (tmp_path / "set" / "images" / "three.png").write_bytes(b"\x89PNG")
    for name in FORMATS:
        assert "three.png" in refused(data, tmp_path / "out", name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]


def test_leftovers_of_a_killed_export_go(toy, tmp_path):
    (tmp_path / ".out.0123456789ab.sian-part" / "train").mkdir(parents=True)
    export_dataset(toy, tmp_path / "out", "cellpose")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_pannuke_refuses_what_it_cannot_hold(tmp_path):
    writer = DatasetWriter(tmp_path / "set", DatasetInfo(name="x"))
    writer.add("a", picture(1), difficult_mask(), classes={"lymphocyte": [1]})
    writer.add("b", picture(1, 41), np.zeros((41, 48), int))
    sentence = refused(open_dataset(tmp_path / "set"), tmp_path / "out", "pannuke")
    assert "found images of 48 x 40, 48 x 41 pixels" in sentence
    assert "found the classes lymphocyte" in sentence
    assert "nuclei without a class in a" in sentence


def test_ome_zarr_without_zarr(toy, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingResource, match=r"pip install sian\[formats\]"):
        export_dataset(toy, tmp_path / "out", "ome-zarr")
    assert not list(tmp_path.iterdir())


def test_full_disk(toy, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sian.data.formats.format.encode_png", full)
    with pytest.raises(MissingResource, match="the disk is full"):
        export_dataset(toy, tmp_path / "out", "cellpose")
    assert not list(tmp_path.iterdir())


def test_classes_that_do_not_fit_their_mask(tmp_path):
    writer = DatasetWriter(tmp_path / "set", DatasetInfo(name="x"))
    with pytest.raises(BadInput, match="found a class for nucleus 5"):
        writer.add("a", picture(1), difficult_mask(), classes={"dead": [5]})
    writer.add("a", picture(1), difficult_mask(), classes={"dead": [1]})
    line = (tmp_path / "set" / "items.jsonl").read_text()
    for wrong, found in (('{"dead": [0]}', "an id in two classes"), ('{"a": [1], "b": [1]}', "an id in two classes")):
        (tmp_path / "set" / "items.jsonl").write_text(line.replace('{"dead": [1]}', wrong))
        with pytest.raises(BadInput, match=found):
            open_dataset(tmp_path / "set")


def test_webdataset_by_tarfile_alone(exports, toy):
    """Its convention: members of one name belong together, in order, split at the first dot."""
    import io
    import tarfile

    with tarfile.open(exports / "webdataset" / "train-000000.tar") as archive:
        members = {member.name: archive.extractfile(member).read() for member in archive}
    assert list(members)[:3] == ["one.image.png", "one.mask.png", "one.json"]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(members["one.image.png"]))), toy.image(toy["one"]))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(members["one.mask.png"]))), toy.mask(toy["one"]))
    told = json.loads(members["one.json"])
    assert (told["model"], told["seed"], told["synthetic"], told["licence"]) == (MODEL, 3, True, "CC0")


def test_webdataset_of_others_without_json(tmp_path, toy, exports):
    """Shards that SIAN did not write: no JSON, or JSON of another kind."""
    import io
    import tarfile

    with tarfile.open(exports / "webdataset" / "train-000000.tar") as archive:
        members = {member.name: archive.extractfile(member).read() for member in archive}
    (tmp_path / "source").mkdir()
    with tarfile.open(tmp_path / "source" / "a.tar", "w") as archive:
        for name, content in members.items():
            if name != "three.json":
                other = b'{"caption": "pink"}' if name == "one.json" else content
                member = tarfile.TarInfo(name)
                member.size = len(other)
                archive.addfile(member, io.BytesIO(other))
    result = import_dataset(tmp_path / "source", tmp_path / "back", organ="kidney")
    assert {item.id: item.organ for item in result.items} == {"one": "kidney", "three": "kidney"}


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda content: content[:700], "cut short|cannot be read"),
        (lambda _: b"no tar at all" * 100, "cannot be read as a tar file"),
        (lambda content: content.replace(b"one.mask.png", b"one.musk.png"), "has no mask.png|no mask"),
    ],
)
def test_webdataset_that_is_damaged(tmp_path, exports, capsys, damage, sentence):
    (tmp_path / "source").mkdir()
    content = (exports / "webdataset" / "train-000000.tar").read_bytes()
    (tmp_path / "source" / "a.tar").write_bytes(damage(content))
    assert cli.main(["data", "import", str(tmp_path / "source"), "-o", str(tmp_path / "back")]) == 3
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert any(part in error for part in sentence.split("|")), error
