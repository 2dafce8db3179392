"""Exports: every format there and back, where it comes from, and what is refused."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from sian.cli import main as cli
from sian.data import DatasetInfo, DatasetWriter, export_dataset, import_dataset, open_dataset
from sian.data.formats import FORMATS
from sian.errors import BadInput, MissingResource
from sian.files import read_png_text
from sian.masks import read_mask
from tiles import picture, tree

from .toys import HOLDS_CLASSES, MODEL, assert_same, classes_of_all, difficult_mask, make_dataset


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
    assert "found images of 40 x 48, 41 x 48 pixels" in sentence
    assert "found the classes lymphocyte" in sentence
    assert "nuclei without a class in a" in sentence


def test_ome_zarr_without_zarr(toy, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingResource, match=r"pip install 'sian\[formats\]'"):
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
