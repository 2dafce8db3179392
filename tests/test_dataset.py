"""The data set on disk: what is written is read back, and a manifest is never trusted."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from sian.data import Dataset, DatasetInfo, DatasetWriter, import_dataset, open_dataset
from sian.data.dataset import tcga_patient, tcga_preparation
from sian.data.tiles import read_tiles
from sian.errors import BadInput
from tiles import mask, picture, plain_folder


@pytest.fixture
def folder(tmp_path):
    """A data set of three items in two splits."""
    writer = DatasetWriter(tmp_path / "set", DatasetInfo(name="test", mpp=0.25, licence="CC0"))
    for number, split in enumerate(["train", "train", "test"]):
        writer.add(f"tile {number}", picture(number), mask(), split=split, organ=["kidney", "breast"][number % 2])
    return tmp_path / "set"


def lines_of(folder):
    return [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]


def rewrite(folder, **changes):
    """Change the first item's line."""
    first, *rest = lines_of(folder)
    lines = [first | changes, *rest]
    (folder / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_round_trip(folder):
    dataset = open_dataset(folder)
    assert len(dataset) == 3
    assert [item.id for item in dataset] == ["tile 0", "tile 1", "tile 2"]
    assert dataset.organs == ("breast", "kidney")
    assert dataset.splits == ("train", "test")
    assert [item.id for item in dataset.split("test")] == ["tile 2"]
    item = dataset["tile 1"]
    assert (item.width, item.height, item.nuclei, item.organ, item.mpp) == (48, 40, 3, "breast", None)
    np.testing.assert_array_equal(dataset.image(item), picture(1))
    np.testing.assert_array_equal(dataset.mask(item), mask())
    assert dataset.mask(item).dtype == np.int32


def test_files_are_what_other_readers_expect(folder):
    assert np.asarray(Image.open(folder / "images" / "tile 0.png")).shape == (40, 48, 3)
    assert np.asarray(Image.open(folder / "masks" / "tile 0.png")).dtype == np.uint16
    info = json.loads((folder / "dataset.json").read_text())
    assert info["format"] == "sian.dataset/1"
    line = lines_of(folder)[0]
    assert line["sha256_image"] == hashlib.sha256(picture(0).tobytes()).hexdigest()
    assert line["sha256_mask"] == hashlib.sha256(mask().astype("<i4").tobytes()).hexdigest()


def test_synthetic_items_say_so(tmp_path):
    writer = DatasetWriter(tmp_path / "set", DatasetInfo(name="painted", synthetic=True))
    writer.add("a", picture(), mask(), text={"Synthetic": "true"}, model="f" * 64, style="kidney", seed=3, plan=0)
    item = open_dataset(tmp_path / "set")["a"]
    assert (item.model, item.style, item.seed, item.plan) == ("f" * 64, "kidney", 3, 0)
    assert Image.open(tmp_path / "set" / "images" / "a.png").text == {"Synthetic": "true"}


def test_many_ids_go_to_tiff(tmp_path):
    many = np.arange(300 * 300, dtype=np.int32).reshape(300, 300)
    DatasetWriter(tmp_path / "set", DatasetInfo(name="x")).add("a", picture(0, 300, 300), many)
    dataset = open_dataset(tmp_path / "set")
    assert dataset["a"].mask == "masks/a.tif"
    assert tifffile.imread(tmp_path / "set" / "masks" / "a.tif").dtype == np.uint32
    np.testing.assert_array_equal(dataset.mask(dataset["a"]), many)


def test_adding_again_replaces(folder):
    writer = DatasetWriter(folder, DatasetInfo(name="test", mpp=0.25, licence="CC0"))
    writer.add("tile 0", picture(9), mask(), organ="colon")
    dataset = open_dataset(folder)
    assert [item.id for item in dataset] == ["tile 0", "tile 1", "tile 2"]
    assert dataset["tile 0"].organ == "colon"
    np.testing.assert_array_equal(dataset.image(dataset["tile 0"]), picture(9))


def test_a_line_cut_off_by_a_killed_writer_does_not_exist(folder):
    path = folder / "items.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    (folder / "images" / ".tile 2.png.0123.sian-part").touch()
    assert [item.id for item in open_dataset(folder)] == ["tile 0", "tile 1"]
    writer = DatasetWriter(folder, DatasetInfo(name="test", mpp=0.25, licence="CC0"))
    assert path.read_bytes().endswith(b"}\n")
    assert not list((folder / "images").glob(".*"))
    writer.add("tile 2", picture(2), mask())
    assert len(open_dataset(folder)) == 3


def test_writer_refuses(folder, tmp_path):
    with pytest.raises(BadInput, match="already holds the data set 'test'"):
        DatasetWriter(folder, DatasetInfo(name="other"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").touch()
    with pytest.raises(BadInput, match="found other files"):
        DatasetWriter(tmp_path / "full", DatasetInfo(name="x"))
    with pytest.raises(BadInput, match="found a file"):
        DatasetWriter(tmp_path / "full" / "thesis.doc", DatasetInfo(name="x"))
    writer = DatasetWriter(tmp_path / "new", DatasetInfo(name="x"))
    with pytest.raises(BadInput, match="40 x 48 and a mask of 9 x 9"):
        writer.add("a", picture(), np.zeros((9, 9), int))
    assert not (tmp_path / "new" / "images").exists()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"image": "../../secret.png"}, "leaves the data set"),
        ({"mask": "/etc/passwd"}, "leaves the data set"),
        ({"mask": "C:\\masks\\a.png"}, "leaves the data set"),
        ({"id": "../a"}, "not a plain file name"),
        ({"id": "tile 1"}, "found the id 'tile 1' twice"),
        ({"width": -3}, "width: Input should be greater than 0"),
        ({"width": "48"}, "width: Input should be a valid integer"),
        ({"mpp": 0}, "mpp"),
        ({"preparation": "fresh"}, "preparation"),
        ({"sha256_image": "0"}, "sha256_image"),
        ({"orgn": "kidney"}, r"unknown key 'orgn'; did you mean 'organ'\?"),
    ],
)
def test_wrong_lines(folder, changes, found):
    rewrite(folder, **changes)
    with pytest.raises(BadInput, match=rf"items\.jsonl.*{found}"):
        open_dataset(folder)


def test_all_wrong_lines_are_named(folder):
    lines = (folder / "items.jsonl").read_text().splitlines()
    (folder / "items.jsonl").write_text("\n".join(["not json", lines[1], "[]"]) + "\n")
    with pytest.raises(BadInput, match=r"line 1: is not JSON.*line 3"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("{", "is not JSON"),
        ("[]", "found format None"),
        ('{"format": "sian.dataset/9", "name": "x"}', "found format 'sian.dataset/9'"),
        ('{"format": "sian.dataset/1"}', "name: Field required"),
        ('{"format": "sian.dataset/1", "name": "x", "licens": "?"}', "did you mean 'licence'"),
        ("[" * 100_000, "is not JSON"),
        ("\0\xff", "is not JSON|cannot be read"),
    ],
)
def test_wrong_manifest(folder, content, found):
    (folder / "dataset.json").write_text(content, encoding="latin-1")
    with pytest.raises(BadInput, match=rf"dataset\.json.*({found})"):
        open_dataset(folder)


def test_what_is_no_data_set(tmp_path):
    with pytest.raises(BadInput, match="no such folder"):
        open_dataset(tmp_path / "none")
    with pytest.raises(BadInput, match=r"holds no dataset\.json"):
        open_dataset(tmp_path)


def test_sizes_are_checked_when_reading(folder):
    rewrite(folder, width=47)
    dataset = open_dataset(folder)
    item = dataset["tile 0"]
    for read in (dataset.image, dataset.mask):
        with pytest.raises(BadInput, match="found 40 x 48 pixels, expected 40 x 47"):
            read(item)


def test_links_out_of_the_data_set_are_refused(folder, tmp_path):
    outside = tmp_path / "outside.png"
    (folder / "images" / "tile 0.png").rename(outside)
    try:
        (folder / "images" / "tile 0.png").symlink_to(outside)
    except OSError:
        pytest.skip("links need rights here")
    dataset = open_dataset(folder)
    with pytest.raises(BadInput, match="leads out of the data set"):
        dataset.image(dataset["tile 0"])


def test_unknown_names_offer_the_nearest(folder):
    dataset = open_dataset(folder)
    with pytest.raises(BadInput, match="did you mean 'train'"):
        dataset.split("trian")
    with pytest.raises(BadInput, match="did you mean 'tile 1'"):
        dataset["tile1"]


def test_tiles_for_training(folder):
    dataset = open_dataset(folder)
    seen = []
    tiles = read_tiles(dataset.split("train"), {"breast": "lung"}, lambda *done: seen.append(done))
    assert [(tile.id, tile.organ) for tile in tiles] == [("tile 0", "kidney"), ("tile 1", "lung")]
    np.testing.assert_array_equal(tiles[0].image, picture(0))
    np.testing.assert_array_equal(tiles[0].layout.semantic, mask() > 0)
    assert seen == [(1, 2), (2, 2)]
    with pytest.raises(BadInput, match="found none"):
        read_tiles(Dataset(dataset.folder, dataset.info, []))


@pytest.mark.parametrize(
    ("name", "patient", "preparation"),
    [
        ("TCGA-HT-8564-01Z-00-DX1", "TCGA-HT-8564", "ffpe"),
        ("TCGA-A6-6782-01A-01-BS1", "TCGA-A6-6782", "frozen"),
        ("TCGA-44-2665-01B-06-BS6", "TCGA-44-2665", "frozen"),
        ("TCGA-EJ-A46H-01A-03-TSC", "TCGA-EJ-A46H", "frozen"),
        ("TCGA-XX-0001-01A-01-MS1", "TCGA-XX-0001", "frozen"),
        ("TCGA-A7-A13E", "TCGA-A7-A13E", "unknown"),
        ("slide_7", None, "unknown"),
    ],
)
def test_barcodes(name, patient, preparation):
    assert tcga_patient(name) == patient
    assert tcga_preparation(name) == preparation


def test_an_opened_set_says_what_it_is(tmp_path):
    import_dataset(plain_folder(tmp_path / "mine"), tmp_path / "set")
    folder = str(tmp_path / "set")
    assert repr(open_dataset(tmp_path / "set")) == (
        f"Dataset({folder!r}, 3 items; splits: train 3; organs: unknown 3; unknown magnification)"
    )
    none = Dataset(Path("none"), DatasetInfo(name="none", mpp=0.5), [])
    assert repr(none) == "Dataset('none', 0 items; 0.5 um a pixel)"
