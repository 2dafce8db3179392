"""What `sian data inspect` finds, and that it finds all of it at once."""

import json

import numpy as np
import pytest

from sian.cli import main as cli
from sian.data import DatasetInfo, DatasetWriter, inspect_dataset
from tiles import mask, picture, write_picture


def ids(count=3, size=30):
    """A mask of squares of `size` pixels a side, one id each."""
    drawn = np.zeros((120, 120), np.int32)
    for number in range(count):
        y, x = divmod(number, 3)
        drawn[40 * y : 40 * y + size, 40 * x : 40 * x + size] = number + 1
    return drawn


@pytest.fixture
def writer(tmp_path):
    return DatasetWriter(tmp_path / "set", DatasetInfo(name="mine", licence="CC0"))


GOOD = {"organ": "kidney", "preparation": "ffpe", "mpp": 0.25}


def test_a_good_data_set_has_no_notes(writer):
    for number in range(3):
        split = "test" if number == 2 else "train"
        writer.add(f"t{number}", picture(number, 120, 120), ids(), split=split, patient=f"p{number}", **GOOD)
    found = inspect_dataset(writer.folder)
    assert (found.problems, found.notes, found.nuclei) == ((), (), 9)
    assert found.organs == {"kidney": {"train": 2, "test": 1}}
    assert found.preparations == {"ffpe": {"train": 2, "test": 1}}
    fact = found.facts[0]
    assert (fact.mask_dtype, fact.nuclei, fact.highest_id) == ("uint16", 3, 3)
    assert (fact.median_area, fact.smallest_area, fact.in_pieces) == (900, 900, 0)


def test_everything_worth_knowing_is_noted(writer):
    writer.add("a", picture(1, 120, 120), ids(), split="train", patient="p1", **GOOD)
    writer.add("b", picture(1, 120, 120), ids(), split="test", patient="p1", **GOOD)
    writer.add("c", picture(2, 120, 120), ids(size=4), organ="kidney", preparation="ffpe", mpp=0.5)
    pieces = ids()
    pieces[100:, 100:] = 1
    pieces[50, 50] = 77
    writer.add("d", picture(3, 120, 120), pieces, **(GOOD | {"mpp": 0.01}))
    writer.add("e", picture(4, 120, 120), np.zeros((120, 120), np.uint8))
    (writer.folder / "masks" / "left over.png").touch()
    notes = inspect_dataset(writer.folder).notes
    for expected in (
        "the same image in different splits: a, b",
        "patient p1 is in test and train: a, b",
        "micrometres per pixel unknown for e",
        "several magnifications: 0.01 to 0.5",
        "d: the median nucleus has 0.1 square micrometres",
        "1 nuclei in 1 items lie in several pieces",
        "nuclei of a single pixel in d",
        "no nuclei at all in e",
        "organ unknown for e",
        "preparation unknown for e",
        "1 files in masks/ belong to no item (left over.png)",
    ):
        assert [note for note in notes if note.startswith(expected)], expected
    assert len(notes) == 11


def test_ids_that_wrapped_at_eight_bits(writer):
    wrapped = np.arange(120 * 120).reshape(120, 120) // 9 % 256
    writer.add("a", picture(1, 120, 120), wrapped, **GOOD)
    assert [note for note in inspect_dataset(writer.folder).notes if "may have wrapped: a" in note]


def test_all_problems_are_named(writer):
    for number in range(6):
        writer.add(f"t{number}", picture(number), mask(), patient=f"p{number}", **GOOD)
    folder = writer.folder
    (folder / "images" / "t0.png").unlink()
    (folder / "images" / "t1.png").write_bytes(b"\x89PNG")
    write_picture(folder / "images" / "t2.png", picture(9, 30, 30))
    write_picture(folder / "images" / "t3.png", picture(99))
    write_picture(folder / "masks" / "t4.png", picture(9))
    write_picture(folder / "masks" / "t5.png", np.where(mask() == 2, 0, mask()))
    writer.add("t6", picture(6), mask())
    (folder / "masks" / "t6.png").write_bytes(b"")
    writer.add("t7", picture(7), mask())
    write_picture(folder / "masks" / "t7.png", mask(30, 30))
    problems = [problem.replace(str(folder), "").replace("\\", "/") for problem in inspect_dataset(folder).problems]
    expected = [
        "/images/t0.png: no such file",
        "/images/t1.png: cannot be read as a picture",
        "/images/t2.png: found 30 x 30 pixels, expected 40 x 48",
        "/images/t3.png: is not what was imported",
        "/masks/t4.png: expected one id a nucleus in a single channel",
        "/masks/t5.png: is not what was imported",
        "/masks/t5.png: found 2 nuclei, expected 3",
        "/masks/t6.png: found an empty file (0 bytes)",
        "/masks/t7.png: found 30 x 30 pixels, expected 40 x 48",
    ]
    assert [problem[: len(start)] for problem, start in zip(problems, expected, strict=True)] == expected


def test_progress_and_an_empty_data_set(writer):
    assert inspect_dataset(writer.folder).notes == ("the data set holds no items",)
    writer.add("a", picture(), mask())
    seen = []
    inspect_dataset(writer.folder, report=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 1)]


def test_monuseg_tiles(writer):
    writer.add("TCGA-18-5592-01Z-00-DX1", picture(1), mask(), **(GOOD | {"organ": "liver"}))
    writer.add("TCGA-A7-A13E-01Z-00-DX1", picture(2), mask(), split="test", **(GOOD | {"organ": "breast"}))
    notes = "\n".join(inspect_dataset(writer.folder).notes)
    assert "1 tiles that MoNuSeg calls liver carry TCGA's codes of lung cohorts (TCGA-18-5592-01Z-00-DX1)" in notes
    assert "1 of MoNuSeg's 30 train tiles are here" in notes
    assert "not in MoNuSeg's official split: TCGA-A7-A13E-01Z-00-DX1" in notes


def test_command_line_prints_a_table(writer, capsys):
    writer.add("a", picture(), mask(), **GOOD)
    writer.add("b", picture(1), mask(), organ="breast", split="test")
    assert cli.main(["data", "inspect", str(writer.folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mine: 2 items (real), 6 nuclei, licence CC0"
    assert lines[3].split() == [
        "a",
        "train",
        "kidney",
        "ffpe",
        "0.25",
        "40x48",
        "uint16",
        *["3", "70", "0", "0", "0", "0"],
    ]
    assert lines[4].split()[4] == "?"
    assert ["breast", "0", "1"] in [line.split() for line in lines]
    assert "Notes:" in lines


def test_command_line_prints_json(writer, capsys):
    writer.add("a", picture(), np.zeros((40, 48), np.uint8), **GOOD)
    assert cli.main(["data", "inspect", str(writer.folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["format"] == "sian.inspection/1"
    assert found["items"][0]["id"] == "a"
    assert found["items"][0]["median_area"] is None
    assert found["info"]["licence"] == "CC0"


def test_command_line_shows_the_table_and_fails_on_problems(writer, capsys):
    writer.add("a", picture(), mask(), **GOOD)
    writer.add("b", picture(1), mask(), **GOOD)
    (writer.folder / "images" / "b.png").unlink()
    assert cli.main(["data", "inspect", str(writer.folder)]) == 3
    printed = capsys.readouterr()
    assert "Problems:" in printed.out
    assert printed.err.splitlines()[-1].startswith("sian: error: ")
    assert "b.png: no such file" in printed.err


@pytest.mark.shared
def test_a_real_tile(shared, tmp_path):
    from sian.data import import_dataset

    source = tmp_path / "source"
    source.mkdir()
    for name in ("TCGA-B0-5710-01Z-00-DX1.webp", "TCGA-B0-5710-01Z-00-DX1.xml.gz"):
        (source / name).write_bytes((shared / "data" / "monuseg" / "train" / name).read_bytes())
    import_dataset(source, tmp_path / "set")
    found = inspect_dataset(tmp_path / "set")
    assert not found.problems
    assert (found.facts[0].nuclei, found.facts[0].in_pieces) == (359, 9)
