"""Classes of nuclei: as maps of a layout, beside mask files, in inspections."""

import json

import numpy as np
import pytest
from scipy.io import savemat

import sian
from sian.cli.main import main
from sian.data import DatasetInfo, DatasetWriter, inspect_dataset
from sian.data.class_file import classes_of
from sian.layout.class_map import as_numbered
from sian.masks import write_mask
from tiles import picture, write_picture

IDS = np.zeros((40, 48), np.uint16)
IDS[2:10, 2:10] = 1
IDS[20:30, 5:12] = 2
IDS[20:30, 12:20] = 7
NAMED = {1: "dead", 7: "neoplastic"}


def test_a_class_map_says_the_class_of_each_nucleus():
    layout = sian.describe(IDS, NAMED)
    assert layout.class_names == ("dead", "neoplastic")
    expected = np.zeros(IDS.shape, int)
    expected[IDS == 1], expected[IDS == 7] = 1, 2
    assert np.array_equal(layout.classes, expected)
    assert layout.classes.dtype == np.uint8
    assert sian.describe(IDS).classes is None


def test_the_order_of_classes_can_be_given():
    names = ("inflammatory", "neoplastic", "dead")
    layout = sian.describe(IDS, NAMED, names)
    assert [int(layout.classes[number == IDS][0]) for number in (1, 2, 7)] == [3, 0, 2]
    again = as_numbered(layout.classes, names, ("dead", "neoplastic"))
    assert np.array_equal(again, sian.describe(IDS, NAMED).classes)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("turns", range(4))
def test_classes_are_cut_and_turned_with_the_mask(turns, flip):
    turned = sian.describe(IDS, NAMED).turned(turns, flip)
    mask = np.rot90(np.fliplr(IDS) if flip else IDS, turns)
    assert np.array_equal(turned.classes, sian.describe(mask, NAMED).classes)
    assert turned.class_names == ("dead", "neoplastic")
    window = turned.window(3, 5, 20, 24)
    assert np.array_equal(window.classes, turned.classes[3:23, 5:29])


@pytest.mark.parametrize(
    ("classes", "names", "found"),
    [
        ({5: "dead"}, None, "a class for nucleus 5, which the mask does not hold"),
        ({0: "dead"}, None, "a class for nucleus 0"),
        ({1: " "}, None, "nucleus 1: its class has no name"),
        ({1: 4}, None, "nucleus 1: its class has no name .found 4."),
        ({1: "daed"}, ("dead",), "did you mean 'dead'"),
    ],
)
def test_classes_that_cannot_be(classes, names, found):
    with pytest.raises(sian.BadInput, match=found):
        sian.describe(IDS, classes, names)


def test_classes_beside_a_mask_file(tmp_path):
    path = write_mask(tmp_path / "a.png", IDS)
    assert classes_of(path) is None
    (tmp_path / "a.classes.json").write_text('{"dead": [1], "neoplastic": [7]}')
    assert classes_of(path) == NAMED


def test_classes_of_an_item_of_a_data_set(tmp_path):
    writer = DatasetWriter(tmp_path / "set", DatasetInfo(name="mine", classes=["neoplastic", "dead"]))
    writer.add("a", picture(1), IDS, classes={"neoplastic": [7], "dead": [1]})
    writer.add("b", picture(2), IDS)
    assert classes_of(tmp_path / "set" / "masks" / "a.png") == NAMED
    assert classes_of(tmp_path / "set" / "masks" / "b.png") is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[1]", "found list"),
        ('{"1": 4}', "class numbers need names"),
        ('{"": [1]}', "a class without a name"),
        ('{"dead": [0]}', "something other than ids under 'dead'"),
        ('{"dead": [1], "neoplastic": [1]}', "nucleus 1 is in two classes, 'dead' and 'neoplastic'"),
        ("{", "is not JSON"),
    ],
)
def test_broken_classes_beside_a_mask(tmp_path, text, found):
    path = write_mask(tmp_path / "a.png", IDS)
    (tmp_path / "a.classes.json").write_text(text)
    with pytest.raises(sian.BadInput, match=found):
        classes_of(path)


def test_inspect_counts_classes_by_organ(tmp_path, capsys):
    writer = DatasetWriter(tmp_path / "set", DatasetInfo(name="mine", classes=["neoplastic", "dead"]))
    writer.add("a", picture(1), IDS, organ="kidney", classes={"neoplastic": [7], "dead": [1]})
    writer.add("b", picture(2), IDS, organ="kidney", classes={"dead": [1, 2, 7]})
    writer.add("c", picture(3), IDS, organ="breast", classes={"immune": [2]})
    found = inspect_dataset(writer.folder)
    assert found.classes == {
        "breast": {"neoplastic": 0, "dead": 0, "immune": 1, "no class": 2},
        "kidney": {"neoplastic": 1, "dead": 4, "immune": 0, "no class": 1},
    }
    assert any("does not name the class 'immune'" in note for note in found.notes)
    assert "nuclei without a class in a, c" in found.notes
    assert main(["data", "inspect", str(writer.folder)]) == 0
    printed = capsys.readouterr().out
    assert "nuclei by class  neoplastic  dead  immune  no class" in printed
    assert main(["data", "inspect", str(writer.folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == found.classes


def test_a_class_number_without_a_name(tmp_path, capsys):
    folder = tmp_path / "Train"
    write_picture(folder / "Images" / "a.png", picture(1))
    (folder / "Labels").mkdir()
    savemat(
        folder / "Labels" / "a.mat",
        {"inst_map": IDS.astype(np.int32), "inst_type": np.array([[1], [4], [1]], np.int32)},
    )
    (folder / "type_info.json").write_text('{"0": ["nolabe", [0, 0, 0]], "1": ["dead", [9, 9, 9]]}')
    assert main(["data", "import", str(tmp_path), "-o", str(tmp_path / "set")]) == 3
    said = capsys.readouterr().err
    assert "found the class number 4, which type_info.json has no name for (it has 0, 1); add it there" in said
