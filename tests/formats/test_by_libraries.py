"""Exports, read by the libraries that the formats are meant for."""

import gzip
import json

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import loadmat, savemat

from sian.data import DatasetInfo, DatasetWriter, export_dataset, import_dataset, open_dataset
from sian.data.formats.matfile import read_numeric
from sian.data.formats.regions import Effort
from sian.files import read_image
from sian.masks import nucleus_ids
from tiles import picture

from .toys import MODEL, difficult_mask, of_pycocotools


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
        top, left, inside = rle_region("here", rle, 9, 11, Effort("here", 9, 11))
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


def test_ome_zarr_levels_cover_the_same_micrometres(tmp_path):
    """Pixels times the scale that stands beside them, at every level: 0.5 um a pixel, then 1."""
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    writer = DatasetWriter(tmp_path / "set", DatasetInfo(name="large", licence="CC0"))
    writer.add("a", picture(0, 600, 520), np.zeros((600, 520), int), mpp=0.5)
    export_dataset(open_dataset(tmp_path / "set"), tmp_path / "out", "ome-zarr")
    nodes = list(Reader(parse_url(str(tmp_path / "out" / "train" / "a.ome.zarr")))())
    for node in (nodes[0], nodes[-1]):
        assert len(node.data) == 3
        for level, (pixels, changes) in enumerate(
            zip(node.data, node.metadata["coordinateTransformations"], strict=True)
        ):
            (scale,) = (change["scale"] for change in changes if change["type"] == "scale")
            assert scale[-2:] == [0.5 * 2**level] * 2
            assert (np.array(pixels.shape[-2:]) * scale[-2:]).tolist() == [300, 260]


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
    assert ((mask == 1).sum(), (mask == 2).sum(), back["a"].left_out) == (16, 9, {"point": 1})
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
