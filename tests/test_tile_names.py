"""Names, tables and folders as people have them."""

import json
import unicodedata

import numpy as np
import pytest
from scipy.io import savemat

from sian.data import DatasetInfo, DatasetWriter, export_dataset, import_dataset, open_dataset
from sian.data.formats.hovernet_json import read as read_hovernet
from sian.errors import BadInput, SianWarning
from tiles import SQUARE, mask, picture, write_picture, xml

TILE = "slide [x=0,y=0,w=48,h=40]"  # as QuPath's exporter names it


def imported(source, tmp_path, **options):
    import_dataset(source, tmp_path / "set", **options)
    return open_dataset(tmp_path / "set")


@pytest.mark.parametrize("mark", ["_labels", "-labelled", "-labeled", "_mask", "-mask", "-MASKS", "_labelled"])
@pytest.mark.parametrize("name", ["a", TILE, "it's 50 & more~"])
def test_a_mask_beside_its_picture(tmp_path, name, mark):
    write_picture(tmp_path / "in" / f"{name}.png", picture())
    write_picture(tmp_path / "in" / f"{name}{mark}.png", mask())
    (item,) = imported(tmp_path / "in", tmp_path)
    assert (item.id, item.nuclei) == (name, 3)
    assert [i.id for i in import_dataset(tmp_path / "in" / f"{name}.png", tmp_path / "one").items] == [name]


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
@pytest.mark.parametrize("layout", ["beside", "folders", "table"])
def test_letters_composed_or_not(tmp_path, forms, layout):
    image, label = (unicodedata.normalize(form, "Müller") for form in forms)
    folders = ("images", "masks") if layout == "folders" else (".", ".")
    write_picture(tmp_path / "in" / folders[0] / f"{image}.png", picture())
    write_picture(tmp_path / "in" / folders[1] / f"{label}_labels.png", mask())
    if layout == "table":
        (tmp_path / "in" / "items.csv").write_text(f"id\n{label}\n", encoding="utf-8")
    (item,) = imported(tmp_path / "in", tmp_path)
    assert item.id == unicodedata.normalize("NFC", "Müller")


def test_one_name_in_two_spellings_is_one_too_many(tmp_path):
    for number, form in enumerate(("NFC", "NFD")):
        name = unicodedata.normalize(form, "Müller")
        write_picture(tmp_path / "in" / str(number) / f"{name}.png", picture())
        write_picture(tmp_path / "in" / str(number) / f"{name}_labels.png", mask())
    with pytest.raises(BadInput, match="has the same name as"):
        imported(tmp_path / "in", tmp_path)


def table(tmp_path, text, encoding="utf-8"):
    for name in ("a", "b"):
        write_picture(tmp_path / "in" / f"{name}.png", picture(ord(name)))
        write_picture(tmp_path / "in" / f"{name}_labels.png", mask())
    (tmp_path / "in" / "items.csv").write_bytes(text.encode(encoding))
    return tmp_path / "in"


@pytest.mark.parametrize(
    "text",
    [
        "id,organ,mpp\na,kidney,0.25\nb,kidney,~0.5\n",
        "id;organ;mpp\r\na;kidney;0,25\r\nb;kidney;0,5\r\n",
        "id\torgan\tmpp\na\tkidney\t0.25\nb\tkidney\t0,5",
        '"id" , "organ", mpp\na, kidney ,0.25\nb,kidney,"0,5"\n\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_tables_of_spreadsheets(tmp_path, text, encoding):
    data = imported(table(tmp_path, text.replace('"id" , "organ"', "id,organ"), encoding), tmp_path)
    assert [(item.id, item.organ, item.mpp) for item in data] == [("a", "kidney", 0.25), ("b", "kidney", 0.5)]


@pytest.mark.parametrize("mpp", ["nan", "inf", "-inf", "-0.25", "0", "1e300", "250", "1e-9", "0.25 um", "0,2,5"])
def test_magnifications_that_cannot_be(tmp_path, mpp):
    with pytest.raises(BadInput, match=r"items.csv: found mpp '.*', expected micrometres per pixel from 0.01 to 100"):
        imported(table(tmp_path, f'id,mpp\na,0.25\nb,"{mpp}"\n'), tmp_path)
    assert not (tmp_path / "set").exists()


def test_organs_that_differ_in_case_and_spaces_are_one(tmp_path):
    with pytest.warns(SianWarning, match=r"the organ 'Adrenal  Gland' is written 'adrenal gland'"):
        data = imported(table(tmp_path, "id,organ\na, Adrenal  Gland \nb,adrenal gland\n"), tmp_path)
    assert data.organs == ("adrenal gland",)


@pytest.mark.parametrize("image", ["imgs", "img", "Images"])
@pytest.mark.parametrize("annotation", ["mat", "json", "."])
def test_folders_of_hovernet(tmp_path, image, annotation):
    """imgs/ with mat/ and json/ beside it as its inference writes them, or with the .mat files themselves."""
    write_picture(tmp_path / "in" / image / "a.png", picture())
    (tmp_path / "in" / annotation).mkdir(exist_ok=True)
    if annotation == "json":
        write_picture(tmp_path / "in" / "overlay" / "a.png", picture(1))
        (tmp_path / "in" / "json" / "a.json").write_text(json.dumps({"mag": 40, "nuc": nuclei()}))
        (tmp_path / "in" / "mat").mkdir()
    savemat(tmp_path / "in" / ("." if annotation == "." else "mat") / "a.mat", {"inst_map": mask()})
    data = imported(tmp_path / "in", tmp_path)
    np.testing.assert_array_equal(data.mask(data["a"]), mask())


def nuclei():
    """hover_net's entries of `mask()`: OpenCV's contours, the corners of a rectangle's own pixels."""
    boxes = {1: (2, 2, 10, 10), 2: (20, 5, 30, 12), 7: (20, 12, 30, 20)}
    return {
        str(nucleus): {
            "bbox": [[top, left], [bottom, right]],
            "centroid": [(left + right - 1) / 2, (top + bottom - 1) / 2],
            "contour": [[left, top], [left, bottom - 1], [right - 1, bottom - 1], [right - 1, top]],
            "type": 1 if nucleus == 7 else 0,
            "type_prob": 0.9,
        }
        for nucleus, (top, left, bottom, right) in boxes.items()
    }


def test_json_of_hovernet(tmp_path):
    write_picture(tmp_path / "in" / "a.png", picture())
    (tmp_path / "in" / "a.json").write_text(json.dumps({"mag": None, "nuc": nuclei()}))
    (tmp_path / "in" / "notes.json").write_text("{}")
    data = imported(tmp_path / "in", tmp_path)
    np.testing.assert_array_equal(data.mask(data["a"]), mask())
    assert data["a"].classes == {"type 1": [7]}


def test_contours_of_hovernet_are_opencv_s(tmp_path):
    """Pixels, traced around their border as OpenCV does; the same pixels come back, single ones and lines included."""
    contours = {"1": [[3, 3]], "2": [[10, 5], [20, 5]], "3": [[30, 10], [26, 14], [30, 18], [34, 14]]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"nuc": {name: {"contour": contour} for name, contour in contours.items()}}))
    found = read_hovernet(path, 40, 48).mask
    rows, columns = np.mgrid[:40, :48]
    np.testing.assert_array_equal(found == 1, (rows == 3) & (columns == 3))
    np.testing.assert_array_equal(found == 2, (rows == 5) & (columns >= 10) & (columns <= 20))
    np.testing.assert_array_equal(found == 3, abs(rows - 14) + abs(columns - 30) <= 4)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"nuc": []}, "found no nuclei"),
        ({"nuc": {}}, "no outline at all"),
        ({"nuc": {"1": {"contour": []}}}, "1 nucleus without a contour left out"),
        ({"nuc": {"1": {"contour": [[1, 1], [2, 2]], "type": "x"}}}, "found the type x"),
        ({"nuc": {"1": {"contour": [[1, float("nan")]]}}}, "a vertex beyond"),
        ({"nuc": {"1": {"contour": 7}}}, "not a list of"),
    ],
)
def test_json_that_is_not_hovernet_s(tmp_path, content, found):
    write_picture(tmp_path / "in" / "a.png", picture())
    (tmp_path / "in" / "a.json").write_text(json.dumps(content))
    with pytest.raises(BadInput, match=found):
        imported(tmp_path / "in", tmp_path)


@pytest.mark.parametrize(
    ("name", "ids", "fits"),
    [
        ("cellpose", ["x", "x_masks"], False),
        ("cellpose", ["x", "X_Masks"], False),
        ("cellpose", ["x", "x_img"], False),
        ("cellpose", ["x", "x_labels"], True),
        ("cellpose", ["x_masks", "y"], True),
        ("ome-tiff", ["x", "x_labels"], False),
        ("ome-tiff", ["x_labels", "y_masks"], True),
        ("qupath", ["x", "x_masks"], True),
    ],
)
def test_exports_whose_names_collide(tmp_path, name, ids, fits):
    writer = DatasetWriter(tmp_path / "set", DatasetInfo(name="toy"))
    for number, item in enumerate(ids):
        writer.add(item, picture(number), mask())
    if not fits:
        with pytest.raises(BadInput, match="could not be told apart; rename one"):
            export_dataset(tmp_path / "set", tmp_path / "out", name)
        assert not (tmp_path / "out").exists()
        return
    export_dataset(tmp_path / "set", tmp_path / "out", name)
    (tmp_path / "out" / "provenance.json").unlink()
    assert {item.id for item in import_dataset(tmp_path / "out", tmp_path / "back").items} == set(ids)


def test_links_that_go_in_circles_and_pipes(tmp_path):
    write_picture(tmp_path / "in" / "a.png", picture())
    (tmp_path / "in" / "a.xml").write_text(xml([SQUARE]))
    imported(tmp_path / "in", tmp_path)
    image = tmp_path / "set" / "images" / "a.png"
    image.unlink()
    image.symlink_to("a.png")
    data = open_dataset(tmp_path / "set")
    with pytest.raises(BadInput, match=r"a\.png"):
        data.image(data["a"])
