"""Hostile files in the formats of other programs: exit code 3, one sentence, nothing written, nothing run."""

import gzip
import json
import struct
import time
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import savemat

from sian.cli import main as cli
from sian.data import DatasetInfo, DatasetWriter, export_dataset
from sian.data.formats import hovernet, hovernet_json, matfile, qupath, regions
from sian.errors import BadInput
from sian.files import jsonfiles
from sian.masks.contours import trace_region
from tiles import mask, picture, tree

SQUARE = [[2, 2], [10, 2], [10, 10], [2, 10], [2, 2]]


def refused(capsys, tmp_path, source):
    """Import a source, check that it is refused properly, and return the sentence."""
    before = tree(tmp_path)
    code = cli.main(["data", "import", str(source), "-o", str(tmp_path / "set")])
    printed = capsys.readouterr()
    assert (code, printed.out) == (3, ""), printed.err
    lines = printed.err.splitlines()
    assert lines[-1].startswith("sian: error: ")
    assert not any("Traceback" in line for line in lines)
    assert tree(tmp_path) == before
    return lines[-1]


def with_picture(folder, name="a"):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture()).save(folder / f"{name}.png")
    return folder


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def exported(tmp_path, name):
    """A small data set in a format, to be spoilt; without its provenance."""
    writer = DatasetWriter(tmp_path / "real", DatasetInfo(name="toy"))
    writer.add("a", picture(), mask())
    export_dataset(tmp_path / "real", tmp_path / "out", name)
    (tmp_path / "out" / "provenance.json").unlink()
    return tmp_path / "out"


# .mat


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"inst_map": np.array([[{"a": 1}]], object)}, "found inst_map of kind"),
        ({"inst_map": {"nested": {"deeper": 1}}}, "found inst_map of kind struct"),
        ({"inst_map": "text"}, "found inst_map of kind char"),
        ({"inst_map": mask() + 0.5}, "not whole"),
        ({"inst_map": np.full((40, 48), np.nan)}, "not whole"),
        ({"inst_map": np.full((40, 48), 1e300)}, "found numbers beyond"),
        ({"inst_map": mask().astype(np.int32) - 3}, "negative ids"),
        ({"inst_map": mask()[:20]}, "expected 40 x 48"),
        ({"inst_map": mask()[None]}, "expected an instance mask"),
        ({"other": mask()}, "found no inst_map"),
        ({"inst_map": mask(), "inst_type": [[1]]}, "found 1 types for 3 nuclei"),
        ({"inst_map": mask(), "inst_type": [[1.5], [1], [1]]}, "not whole"),
        ({"inst_map": mask(), "inst_type": [[1], [1], [1]], "inst_uid": [[1], [1], [2]]}, "found 3 types for 3"),
    ],
)
def test_mat_that_holds_something_else(capsys, tmp_path, content, found):
    savemat(with_picture(tmp_path / "mine") / "a.mat", content)
    assert found in refused(capsys, tmp_path, tmp_path / "mine")


def test_mat_cut_short(capsys, tmp_path):
    path = with_picture(tmp_path / "mine") / "a.mat"
    savemat(path, {"inst_map": mask()}, do_compression=True)
    whole = path.read_bytes()
    for size in (0, 60, 128, 140, len(whole) - 40):
        path.write_bytes(whole[:size])
        assert "a.mat: " in refused(capsys, tmp_path, tmp_path / "mine")
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(600))
    assert "found no MATLAB 5 header" in refused(capsys, tmp_path, tmp_path / "mine")


def test_mat_with_flipped_bytes_never_crashes(tmp_path):
    path = with_picture(tmp_path / "mine") / "a.mat"
    savemat(path, {"inst_map": mask()[:4, :4]})
    whole, random = path.read_bytes(), np.random.default_rng(1)
    for _ in range(300):
        broken = bytearray(whole)
        for place in random.integers(124, len(whole), 3):
            broken[place] = random.integers(256)
        path.write_bytes(broken)
        with pytest.raises(BadInput, match=r"a\.mat"):
            hovernet.read(path, 40, 48)


def test_mat_bomb(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(matfile, "MAX_VARIABLE_BYTES", 1 << 20)
    path = with_picture(tmp_path / "mine") / "a.mat"
    savemat(path, {"inst_map": np.zeros((3000, 3000))}, do_compression=True)
    assert path.stat().st_size < 100_000
    assert "unpacks to more than" in refused(capsys, tmp_path, tmp_path / "mine")


def element(kind, content):
    padding = bytes(-len(content) % 8) if kind != 15 else b""  # packed variables follow each other without any
    return struct.pack("<II", kind, len(content)) + content + padding


def matrix(flags, shape, name=b"inst_map", values=b"\1\0\0\0", stored=5):
    return element(14, flags + shape + element(1, name) + element(stored, values))


FLAGS, SHAPE = element(6, struct.pack("<II", 12, 0)), element(5, struct.pack("<ii", 1, 1))


@pytest.mark.parametrize(
    "content",
    [
        matrix(element(6, b""), SHAPE),
        matrix(element(9, struct.pack("<dd", float("nan"), 0)), SHAPE),
        matrix(element(9, struct.pack("<dd", float("inf"), 0)), SHAPE),
        matrix(element(6, struct.pack("<III", 12, 0, 0)), SHAPE),
        matrix(FLAGS, element(9, struct.pack("<dd", float("nan"), 1))),
        matrix(FLAGS, element(9, struct.pack("<dd", 1e308, 1e308))),
        matrix(FLAGS, element(5, b"")),
        matrix(FLAGS, element(5, struct.pack("<i", 1))),
        matrix(FLAGS, element(5, struct.pack("<ii", -1, 1))),
        matrix(FLAGS, element(5, struct.pack("<ii", 2**31 - 1, 2**31 - 1))),
        matrix(FLAGS, SHAPE, stored=14),
        matrix(FLAGS, SHAPE, values=b""),
        matrix(FLAGS, SHAPE) + matrix(FLAGS, SHAPE),
        element(15, zlib.compress(matrix(FLAGS, SHAPE))[:-9]),
        element(15, zlib.compress(struct.pack("<II", 14, 2**31) + FLAGS + SHAPE + element(1, b"inst_map"))),
        element(15, b"no deflate"),
    ],
)
def test_mat_elements_that_lie(tmp_path, content):
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x100) + b"IM" + content)
    with pytest.raises(BadInput, match=r"a\.mat"):
        hovernet.read(path, 1, 1)


def test_mat_variables_that_nobody_wants_are_not_unpacked(tmp_path):
    """Only the first bytes of a packed variable are, which tell its name."""
    bomb = element(15, zlib.compress(element(14, FLAGS + SHAPE + element(1, b"other") + element(2, bytes(64 << 20)))))
    good = matrix(FLAGS, SHAPE)
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x100) + b"IM" + bomb * 20 + good)
    start = time.process_time()
    assert hovernet.read(path, 1, 1).mask.tolist() == [[1]]
    assert time.process_time() - start < 1


def test_mat_nested_ten_thousand_deep(capsys, tmp_path):
    """Cells in cells in cells: never unpacked, since inst_map is not numeric."""
    element = b""
    for _ in range(10_000):
        body = struct.pack("<IIII", 6, 8, 1, 0) + struct.pack("<IIii", 5, 8, 1, 1)
        name = struct.pack("<HH4s", 1, 4, b"inst") if not element else struct.pack("<II", 1, 0)
        element = struct.pack("<II", 14, len(body + name + element)) + body + name + element
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x100) + b"IM"
    named = (
        struct.pack("<IIII", 6, 8, 1, 0) + struct.pack("<IIii", 5, 8, 1, 1) + struct.pack("<II8s", 1, 8, b"inst_map")
    )
    outer = struct.pack("<II", 14, len(named + element)) + named + element
    (with_picture(tmp_path / "mine") / "a.mat").write_bytes(header + outer)
    assert "found inst_map of kind cell" in refused(capsys, tmp_path, tmp_path / "mine")


@pytest.mark.parametrize("content", [b"[1, 2]", b'{"one": ["x"]}', b'{"1": [7]}', b'{"1": 5}', b"{", b"\xff"])
def test_type_info_that_is_none(capsys, tmp_path, content):
    savemat(with_picture(tmp_path / "mine") / "a.mat", {"inst_map": mask(), "inst_type": [[1], [1], [1]]})
    (tmp_path / "mine" / "type_info.json").write_bytes(content)
    assert "type_info.json: " in refused(capsys, tmp_path, tmp_path / "mine")


# .npy


def test_pickled_arrays_run_nothing(capsys, tmp_path):
    bomb = np.array([[[Bomb(tmp_path / "pwned")]]], object)
    (tmp_path / "patches").mkdir()
    np.save(tmp_path / "patches" / "a.npy", bomb, allow_pickle=True)
    assert "cannot be read as a NumPy array" in refused(capsys, tmp_path, tmp_path / "patches")
    folder = exported(tmp_path, "pannuke")
    for name in ("types", "masks", "images"):
        np.save(folder / "train" / f"{name}.npy", bomb, allow_pickle=True)
        assert f"{name}.npy: cannot be read as a NumPy array" in refused(capsys, tmp_path, folder)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((40, 48, 3), np.int32), "expected (H, W, 4) or (H, W, 5)"),
        (np.zeros((4,), np.int32), "expected (H, W, 4) or (H, W, 5)"),
        (np.full((40, 48, 4), 256), "found values from 256 to 256"),
        (np.full((40, 48, 4), -1), "found values from -1 to -1"),
        (np.full((40, 48, 4), np.inf), "not whole"),
        (np.zeros((40, 48, 4), complex), "expected integers"),
        (np.zeros((40, 48, 4), "U3"), "expected integers"),
        (np.zeros((0, 48, 4), np.int32), "expected (H, W, 3)"),
    ],
)
def test_patches_that_are_none(capsys, tmp_path, array, found):
    (tmp_path / "patches").mkdir()
    np.save(tmp_path / "patches" / "a.npy", array)
    assert found in refused(capsys, tmp_path, tmp_path / "patches")


def test_npy_header_that_claims_a_petabyte(capsys, tmp_path):
    (tmp_path / "patches").mkdir()
    with (tmp_path / "patches" / "a.npy").open("wb") as stream:
        shape = (1 << 25, 1 << 25, 4)
        np.lib.format.write_array_header_1_0(stream, {"descr": "<i4", "fortran_order": False, "shape": shape})
        stream.write(bytes(100))
    assert "a.npy: " in refused(capsys, tmp_path, tmp_path / "patches")


@pytest.mark.parametrize(
    ("name", "array", "found"),
    [
        ("masks", np.zeros((1, 40, 48, 5), np.uint16), "expected (n, H, W, 6)"),
        ("masks", np.zeros((2, 40, 48, 6), np.uint16), "expected (1, 40, 48, 6)"),
        ("masks", np.full((1, 40, 48, 6), -1), "negative ids"),
        ("masks", np.full((1, 40, 48, 6), 0.5), "not whole"),
        ("images", np.full((1, 40, 48, 3), 300), "found values from 300"),
        ("types", np.array(["a", "b"]), "expected 1 organ names"),
        ("types", np.array([1.0]), "expected 1 organ names"),
    ],
)
def test_pannuke_arrays_that_are_none(capsys, tmp_path, name, array, found):
    folder = exported(tmp_path, "pannuke")
    np.save(folder / "train" / f"{name}.npy", array)
    assert found in refused(capsys, tmp_path, folder)


# GeoJSON


def feature(coordinates, kind="Polygon"):
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": {}}


@pytest.mark.parametrize(
    ("features", "found"),
    [
        ([feature([[[1e300, 1], [5, 1], [5, 5]]])], "a vertex beyond"),
        ([feature([[[-1e8, 1], [5, 1], [5, 5]]])], "a vertex beyond"),
        ([feature([[["x", 1], [5, 1], [5, 5]]])], "not a list of [x, y]"),
        ([feature([[[1], [5], [5]]])], "not a list of [x, y]"),
        ([feature([[None, 1, 2]])], "not a list of [x, y]"),
        ([feature([[[1, 1], [[5], 1], [5, 5]]])], "not a list of [x, y]"),
        ([feature([5, 6, 7])], "not a list of [x, y]"),
        ([feature({"a": 1})], "found a Polygon without rings"),
        ([feature(7, "MultiPolygon")], "found a MultiPolygon without rings"),
        ([feature([[[500, 500], [600, 500], [600, 600]]])], "none of its 1 outlines covers a pixel"),
        ([7], "found no list of features"),
        ({"a": 1}, "found no list of features"),
        ([feature([[[10**400, 1], [5, 1], [5, 5]]])], "a.geojson"),
        ([feature([[[x, 40 * (x % 2)] for x in range(50_000)]])], "crosses the image"),
    ],
)
def test_geojson_with_absurd_geometry(capsys, tmp_path, features, found):
    (with_picture(tmp_path / "mine") / "a.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": features})
    )
    assert found in refused(capsys, tmp_path, tmp_path / "mine")


def test_geojson_with_a_huge_ring(capsys, tmp_path):
    ring = [[x % 40, 3] for x in range(1_000_001)]
    (with_picture(tmp_path / "mine") / "a.geojson").write_text(json.dumps({"features": [feature([ring])]}))
    assert "found a ring of 1,000,001 vertices" in refused(capsys, tmp_path, tmp_path / "mine")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "is not JSON"),
        (b"[" * 200_000, "is not JSON"),
        (b'{"features": [NaN]}', "found no list of features"),
        (b'{"features": [1' + b"0" * 10_000 + b"]}", "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        (gzip.compress(b"{}" * 500, mtime=0)[:-12], "broken gzip"),
    ],
)
@pytest.mark.parametrize("ending", [".geojson", ".geojson.gz"])
def test_geojson_that_is_no_json(capsys, tmp_path, content, found, ending):
    (with_picture(tmp_path / "mine") / f"a{ending}").write_bytes(content)
    assert found in refused(capsys, tmp_path, tmp_path / "mine")


def test_geojson_bomb(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(jsonfiles, "MAX_JSON_BYTES", 1 << 20)
    (with_picture(tmp_path / "mine") / "a.geojson.gz").write_bytes(gzip.compress(b" " * (64 << 20)))
    assert "found more than 1 MB of JSON" in refused(capsys, tmp_path, tmp_path / "mine")


# COCO


def coco(folder, segmentation, file_name="a.png", **more):
    with_picture(folder)
    entry = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": segmentation, "iscrowd": 0} | more
    content = {"images": [{"id": 1, "file_name": file_name, "width": 48, "height": 40}], "annotations": [entry]}
    (folder / "coco.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("segmentation", "found"),
    [
        ({"size": [40, 48], "counts": [0, 10**15]}, "found RLE of"),
        ({"size": [40, 48], "counts": [10, 10]}, "found RLE of 20 pixels, expected 1920"),
        ({"size": [40, 48], "counts": [-5, 1925]}, "neither a string nor whole numbers"),
        ({"size": [40, 48], "counts": [0.5]}, "neither a string nor whole numbers"),
        ({"size": [40, 48], "counts": None}, "neither a string nor whole numbers"),
        ({"size": [10**9, 10**9], "counts": [10**18]}, "found RLE of size"),
        ({"size": [40, 48], "counts": "oooooooooooooooooo"}, "broken RLE string"),
        ({"size": [40, 48], "counts": "o"}, "broken RLE string"),
        ({"size": [40, 48], "counts": "\x07"}, "broken RLE string"),
        ({"size": [40, 48], "counts": "é"}, "broken RLE string"),
        ({"size": [40, 48], "counts": "1" * 5000}, "more runs than the image has pixels"),
        ({"counts": "11"}, "found RLE of size None"),
        ([[1, 2, 3]], "odd number of coordinates"),
        ([[1e9, 2, 3, 4, 5, 6]], "a vertex beyond"),
        ([["a", 2, 3, 4, 5, 6]], "not a list of [x, y]"),
        ("polygon", "neither polygons nor RLE"),
        ([5], "neither polygons nor RLE"),
    ],
)
def test_coco_segmentations_that_are_none(capsys, tmp_path, segmentation, found):
    assert found in refused(capsys, tmp_path, coco(tmp_path / "mine", segmentation))


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "..\\a.png", "none.png", 7, "sub/../../secret.png"])
def test_coco_images_that_lie_elsewhere(capsys, tmp_path, name):
    Image.fromarray(picture()).save(tmp_path / "secret.png")
    (tmp_path / "mine" / "sub").mkdir(parents=True)
    sentence = refused(capsys, tmp_path, coco(tmp_path / "mine", [[2, 2, 9, 2, 9, 9]], name))
    assert "coco.json: found" in sentence


@pytest.mark.parametrize("content", ['{"images": [{}], "annotations": []}', '{"images": [], "annotations": [7]}'])
def test_coco_without_its_keys(capsys, tmp_path, content):
    (with_picture(tmp_path / "mine") / "coco.json").write_text(content)
    assert "coco.json: found an entry without" in refused(capsys, tmp_path, tmp_path / "mine")


# OME-TIFF


def test_ome_tiff_that_names_other_files_or_bombs(capsys, tmp_path):
    """Its XML names another file and holds entities: the file is never opened, the entities are refused."""
    folder = exported(tmp_path, "ome-tiff") / "train"
    tifffile.imwrite(tmp_path / "secret.ome.tif", mask(), photometric="minisblack")
    bomb = '<!DOCTYPE OME [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><OME>&b;</OME>'
    tifffile.imwrite(folder / "a_labels.ome.tif", mask(), photometric="minisblack", description=bomb, metadata=None)
    assert "its OME-XML is broken" in refused(capsys, tmp_path, folder)
    elsewhere = (
        '<OME><Image><Pixels Type="uint16" DimensionOrder="XYCZT" SizeX="48" SizeY="40" SizeC="1" SizeZ="1" SizeT="1">'
        '<TiffData IFD="0"><UUID FileName="../../secret.ome.tif">urn:uuid:1</UUID></TiffData></Pixels></Image></OME>'
    )
    tifffile.imwrite(
        folder / "a_labels.ome.tif", mask() * 0, photometric="minisblack", description=elsewhere, metadata=None
    )
    assert cli.main(["data", "import", str(folder), "-o", str(tmp_path / "set")]) == 0
    assert ", 0 nuclei" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "array", "found"),
    [
        ("a", picture().astype(np.uint16), "found uint16 pixels"),
        ("a", np.stack([mask(), mask()]), "2 pages that are not R, G and B"),
        ("a_labels", mask().astype(np.float32) + 0.5, "not whole"),
        ("a_labels", mask(41), "expected 40 x 48"),
    ],
)
def test_ome_tiff_of_another_kind(capsys, tmp_path, name, array, found):
    folder = exported(tmp_path, "ome-tiff") / "train"
    kind = "rgb" if array.shape[-1] == 3 else "minisblack"
    tifffile.imwrite(folder / f"{name}.ome.tif", array, photometric=kind)
    assert found in refused(capsys, tmp_path, folder)


def test_ome_tiff_cut_short_and_classes_that_are_none(capsys, tmp_path):
    folder = exported(tmp_path, "ome-tiff") / "train"
    whole = (folder / "a_labels.ome.tif").read_bytes()
    for size in (0, 7, 100, len(whole) // 2):
        (folder / "a_labels.ome.tif").write_bytes(whole[:size])
        assert "a_labels.ome.tif: " in refused(capsys, tmp_path, folder)
    notes = '<MapAnnotation><Value><M K="Classes">[7]</M></Value></MapAnnotation>'
    xml = f"<OME><StructuredAnnotations>{notes}</StructuredAnnotations></OME>"
    tifffile.imwrite(folder / "a_labels.ome.tif", mask(), photometric="minisblack", description=xml, metadata=None)
    assert "its classes are not JSON as SIAN writes it" in refused(capsys, tmp_path, folder)


# OME-Zarr


def spoil(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def store(tmp_path):
    return exported(tmp_path, "ome-zarr") / "train" / "a.ome.zarr"


ARRAY = "labels/nuclei/0/zarr.json"


@pytest.mark.parametrize(
    ("file", "change", "found"),
    [
        (ARRAY, lambda c: c.update(data_type="string"), "found type string"),
        (ARRAY, lambda c: c.update(data_type="complex64"), "found type complex64"),
        (ARRAY, lambda c: c.update(codecs=[{"name": "numcodecs.pickle"}]), "found codec numcodecs.pickle"),
        (ARRAY, lambda c: c.update(shape=[1 << 30, 1 << 30]), "expected at most"),
        (ARRAY, lambda c: c.update(shape=[-1, 4]), "metadata without shape"),
        (ARRAY, lambda c: c.update(shape=[40]), "need to have the same number"),
        (ARRAY, lambda c: c["chunk_grid"]["configuration"].update(chunk_shape=[1 << 30, 1 << 30]), "expected at most"),
        (ARRAY, lambda c: c.update(storage_transformers=[{"name": "x"}]), "found storage transformers"),
        (ARRAY, lambda c: c.pop("codecs"), "metadata without shape"),
        ("labels/zarr.json", lambda c: c["attributes"]["ome"].update(labels=["../../../secret"]), "a.ome.zarr"),
        ("labels/zarr.json", lambda c: c["attributes"]["ome"].update(labels=["a", "b"]), "found the labels a, b"),
        ("labels/zarr.json", lambda c: c["attributes"].pop("ome"), "found no labels"),
        ("zarr.json", lambda c: _path(c, "../../../real"), "leads out of"),
        ("zarr.json", lambda c: _path(c, "/etc"), "leads out of"),
        ("zarr.json", lambda c: _path(c, 7), "expected one inside"),
        ("zarr.json", lambda c: c["attributes"]["ome"].pop("multiscales"), "found no multiscales"),
        (
            "zarr.json",
            lambda c: c["attributes"]["ome"]["multiscales"][0].update(axes=["c", "c", "x"]),
            "found the axes",
        ),
    ],
)
def test_zarr_metadata_that_lie(capsys, tmp_path, store, file, change, found):
    spoil(store / file, change)
    assert found in refused(capsys, tmp_path, tmp_path / "out")


def _path(content, path):
    content["attributes"]["ome"]["multiscales"][0]["datasets"][0]["path"] = path


def test_zarr_links_that_lead_out(capsys, tmp_path, store):
    chunk = next(file for file in (store / "0").rglob("*") if file.is_file() and file.name != "zarr.json")
    (tmp_path / "secret").write_bytes(chunk.read_bytes())
    chunk.unlink()
    chunk.symlink_to(tmp_path / "secret")
    assert "leads out of" in refused(capsys, tmp_path, tmp_path / "out")


def test_zarr_chunks_that_are_broken_or_too_large(capsys, tmp_path, store):
    chunk = next(file for file in (store / "0").rglob("*") if file.is_file() and file.name != "zarr.json")
    chunk.write_bytes(b"nonsense")
    assert "found a broken chunk" in refused(capsys, tmp_path, tmp_path / "out")
    chunk.write_bytes(bytes(200_000))
    assert "larger than its numbers" in refused(capsys, tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"dtype": "|O", "filters": [{"id": "pickle"}]}, "found type |O"),
        ({"filters": [{"id": "pickle"}]}, "found filters"),
        ({"compressor": {"id": "pickle"}}, "found compressor pickle"),
        ({"dtype": [["a", "<i4"]]}, "found type"),
    ],
)
def test_zarr_2_with_pickle_runs_nothing(capsys, tmp_path, store, changed, found):
    """A Zarr 2 array whose one chunk is a pickle that would make a file."""
    import pickle

    place = store / "labels" / "nuclei" / "0"
    for file in sorted(place.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    metadata = {"zarr_format": 2, "shape": [40, 48], "chunks": [40, 48], "dtype": "<u2", "compressor": None}
    metadata |= {"fill_value": 0, "order": "C", "filters": None} | changed
    (place / ".zarray").write_text(json.dumps(metadata))
    (place / "0.0").write_bytes(pickle.dumps(Bomb(tmp_path / "pwned")))
    assert found in refused(capsys, tmp_path, tmp_path / "out")
    assert not (tmp_path / "pwned").exists()


# provenance.json


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda c: c.update(extra=1), "Extra inputs are not permitted"),
        (lambda c: c.update(format="sian.provenance/9"), "format"),
        (lambda c: c["items"][0].update(image="../../etc/passwd"), "leaves the data set"),
        (lambda c: c["items"][0].update(id="../a"), "not a plain file name"),
        (lambda c: c["items"][0].update(classes={"a": [0]}), "an id in two classes, or one below 1"),
        (lambda c: c.pop("dataset"), "dataset: Field required"),
    ],
)
def test_provenance_that_lies(capsys, tmp_path, change, found):
    writer = DatasetWriter(tmp_path / "real", DatasetInfo(name="toy"))
    writer.add("a", picture(), mask())
    export_dataset(tmp_path / "real", tmp_path / "out", "cellpose")
    spoil(tmp_path / "out" / "provenance.json", change)
    sentence = refused(capsys, tmp_path, tmp_path / "out")
    assert "provenance.json: " in sentence
    assert found in sentence


def test_splits_that_lead_out(capsys, tmp_path):
    writer = DatasetWriter(tmp_path / "real", DatasetInfo(name="toy"))
    writer.add("a", picture(), mask(), split="../../pwned")
    before = tree(tmp_path)
    code = cli.main(["data", "export", str(tmp_path / "real"), "-o", str(tmp_path / "out"), "--format", "coco"])
    assert (code, tree(tmp_path)) == (3, before)
    assert "found the split '../../pwned'" in capsys.readouterr().err


def test_zlib_is_what_mat_files_pack_with():
    """The bomb test above is about the real thing: the level of packing that scipy uses."""
    assert len(zlib.compress(bytes(1 << 20))) < 2000


def test_contours_that_cross_the_picture_again_and_again(monkeypatch):
    """Along its rows, which no count of crossed rows sees."""
    monkeypatch.setattr(regions, "MAX_BOX_PIXELS", 1 << 17)
    effort = regions.Effort("a.json", 10, 1_000)
    contour = np.stack([np.arange(1_000) % 2 * 999.0, np.full(1_000, 5.0)], axis=1)
    with pytest.raises(BadInput, match="many hundred times"):
        hovernet_json._region(contour, 10, 1_000, effort)


def test_own_exports_of_a_hundred_thousand_nuclei_are_not_too_large():
    y, x = np.mgrid[:24, :24]
    ring = trace_region((y - 12) ** 2 + (x - 12) ** 2 <= 100, 9_000, 9_000)
    nucleus = {
        "type": "Feature",
        "id": "5d0a8f3c-0000-5000-8000-000000000000",
        "geometry": qupath.geometry(ring),
        "properties": {"objectType": "detection", "name": "99999"},
    }
    text = json.dumps([nucleus]).encode()
    memory = sum(text.count(mark) * size for mark, size in jsonfiles.MEMORY_OF.items())
    assert 100_000 * memory < jsonfiles.MAX_MEMORY <= 1 << 30
