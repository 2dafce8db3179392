"""Hostile and broken data through the command line: exit code 3, one sentence, nothing written."""

import gzip
import json
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from sian.cli import main as cli
from sian.data import imagescope
from tiles import SQUARE, mask, picture, plain_folder, tree, write_picture, xml

ENTITY_BOMB = (
    '<!DOCTYPE Annotations [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;">]>'
    "<Annotations><Annotation>&c;</Annotation></Annotations>"
)
EXTERNAL_ENTITY = '<!DOCTYPE Annotations [<!ENTITY a SYSTEM "file:///etc/passwd">]><Annotations><Annotation>&a;</Annotation></Annotations>'


def refused(capsys, tmp_path, *arguments):
    """Run sian, check that it refuses properly, and return its sentence."""
    before = tree(tmp_path)
    code = cli.main(list(map(str, arguments)))
    printed = capsys.readouterr()
    assert (code, printed.out) == (3, "")
    lines = printed.err.splitlines()
    assert lines[-1].startswith("sian: error: ")
    assert not any("Traceback" in line for line in lines)
    assert sum(line.startswith("sian: error: ") for line in lines) == 1
    assert tree(tmp_path) == before
    return lines[-1]


def import_refused(capsys, tmp_path, source):
    return refused(capsys, tmp_path, "data", "import", source, "-o", tmp_path / "set")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (xml([SQUARE])[:-30].encode(), "is not whole XML"),
        (b"x,y\n1,2\n", "is not whole XML"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is not whole XML"),
        (b"", "found an empty file"),
        (b"\n  \n", "found an empty file"),
        (xml([SQUARE], root="Slide").encode(), "found XML with root <Slide>"),
        (ENTITY_BOMB.encode(), "found a document type or entities"),
        (EXTERNAL_ENTITY.encode(), "found a document type or entities"),
        (b'<?xml version="1.0" encoding="klingon"?><Annotations/>', "is not whole XML"),
        (xml([[("nan", 1), (5, 1), (5, 5)]]).encode(), "expected pixel coordinates"),
        (xml([[("1e300", 1), (5, 1), (5, 5)]]).encode(), "expected pixel coordinates"),
        (xml([[("one", 1), (5, 1), (5, 5)]]).encode(), "without numbers for X and Y"),
        (xml([SQUARE]).replace('Y="2"', "").encode(), "without numbers for X and Y"),
        (xml([SQUARE]).replace('NegativeROA="0"', 'NegativeROA="1"').encode(), "cuts out of others"),
        (gzip.compress(xml([SQUARE]).encode(), mtime=0)[:-20], "broken gzip"),
        (b"\x1f\x8b" + b"nonsense" * 9, "broken gzip"),
    ],
)
def test_broken_annotation(capsys, tmp_path, content, found):
    write_picture(tmp_path / "mine" / "a.png", picture())
    (tmp_path / "mine" / "a.xml").write_bytes(content)
    sentence = import_refused(capsys, tmp_path, tmp_path / "mine")
    assert "a.xml: " in sentence
    assert found in sentence


def test_gzip_bomb(capsys, tmp_path, monkeypatch):
    """A small file that unpacks to more than the limit; the limit is lowered to keep the test quick."""
    monkeypatch.setattr(imagescope, "MAX_XML_BYTES", 1 << 20)
    write_picture(tmp_path / "mine" / "a.png", picture())
    bomb = gzip.compress(b" " * (64 << 20))
    assert len(bomb) < 100_000
    (tmp_path / "mine" / "a.xml.gz").write_bytes(bomb)
    assert "a.xml.gz: found more than 1 MB of XML" in import_refused(capsys, tmp_path, tmp_path / "mine")


def forged_png(width, height):
    """A PNG of a few bytes whose header claims any size."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 10_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(12_000, 12_000), (100_000, 100_000), (2_000_000_000, 3)])
def test_decompression_bomb(capsys, tmp_path, width, height):
    source = plain_folder(tmp_path / "mine", 1)
    (source / "images" / "tile 0.png").write_bytes(forged_png(width, height))
    sentence = import_refused(capsys, tmp_path, source)
    assert "tile 0.png: found" in sentence
    assert "expected at most 100,000,000" in sentence


def test_png_that_claims_more_than_it_holds(capsys, tmp_path):
    source = plain_folder(tmp_path / "mine", 1)
    (source / "images" / "tile 0.png").write_bytes(forged_png(48, 4000))
    assert "cannot be read as a picture" in import_refused(capsys, tmp_path, source)


@pytest.mark.parametrize("size", [0, 1, 20, 500])
def test_image_cut_short(capsys, tmp_path, size):
    source = plain_folder(tmp_path / "mine", 1)
    path = source / "images" / "tile 0.png"
    path.write_bytes(path.read_bytes()[:size])
    sentence = import_refused(capsys, tmp_path, source)
    assert "tile 0.png: " in sentence
    assert ("0 bytes" if size == 0 else "cannot be read as a picture") in sentence


@pytest.mark.parametrize(
    ("name", "array", "found"),
    [
        ("tile 0.png", picture(), "found RGB (40, 48, 3); export the instance mask as 16-bit grey"),
        ("tile 0.png", np.dstack([picture(), mask().astype(np.uint8)]), "found RGBA (40, 48, 4)"),
        ("tile 0.tif", mask().astype(np.float32) + 0.5, "found numbers that are not whole"),
        ("tile 0.npy", mask() * 2.0**60, "found numbers beyond"),
        ("tile 0.tif", mask().astype(np.int16) - 3, "found negative ids (down to -3)"),
        ("tile 0.npy", mask() > 0, "found a boolean mask"),
        ("tile 0.png", mask(41), "found 41 x 48 pixels, expected 40 x 48 as in tile 0.png"),
        ("tile 0.png", np.kron(np.eye(8), np.diag([255, 0, 0])).astype(np.uint8)[:, :], "which looks like classes"),
    ],
)
def test_wrong_masks(capsys, tmp_path, name, array, found):
    source = plain_folder(tmp_path / "mine", 1)
    if "classes" in found:
        write_picture(source / "images" / "tile 0.png", picture(0, *array.shape))
    (source / "masks" / "tile 0.png").unlink()
    path = source / "masks" / name
    if path.suffix == ".png":
        Image.fromarray(array).save(path)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        np.save(path, array)
    sentence = import_refused(capsys, tmp_path, source)
    assert f"{name}: " in sentence
    assert found in sentence


def test_pickled_mask_runs_nothing(capsys, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "pwned"), "w"))

    source = plain_folder(tmp_path / "mine", 1)
    (source / "masks" / "tile 0.png").unlink()
    np.save(source / "masks" / "tile 0.npy", np.array([[Bomb()]], object), allow_pickle=True)
    assert "cannot be read as a NumPy array" in import_refused(capsys, tmp_path, source)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("tile", ["../a", "..\\a", "/etc/passwd", "a/b"])
def test_tables_that_lead_elsewhere(capsys, tmp_path, tile):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "tiles.csv").write_text(f"tile,split,organ\n{tile},train,liver\n")
    assert "expected a plain name without folders" in import_refused(capsys, tmp_path, tmp_path / "mine")


def test_tables_that_are_none(capsys, tmp_path):
    (tmp_path / "mine").mkdir()
    for content, found in [
        (b"tile;split\na;train\n", "found no column organ, expected tile, split, organ"),
        (b"tile,split,organ\na,train,liver\na,test,liver\n", "found 'a' twice"),
        (b"tile,split,organ\n,train,liver\n", "a row without a name"),
        (b"tile,split,organ\na,train,0,25\n", "found 4 values for 3 columns in row 2"),
        (b"tile,split,split,organ\na,train,test,liver\n", "found a column twice"),
        (b"", "found no column"),
        (b"\xff\xfe\0", "cannot be read as a table"),
        (b"tile,split,organ\na,train,liver\n", "a has no image in train/"),
    ]:
        (tmp_path / "mine" / "tiles.csv").write_bytes(content)
        assert found in import_refused(capsys, tmp_path, tmp_path / "mine")


def test_source_and_target_that_cannot_be(capsys, tmp_path):
    assert "no such file or folder" in import_refused(capsys, tmp_path, tmp_path / "none")
    source = plain_folder(tmp_path / "mine", 1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").touch()
    sentence = refused(capsys, tmp_path, "data", "import", source, "-o", tmp_path / "full")
    assert "found other files" in sentence
    sentence = refused(capsys, tmp_path, "data", "import", source, "-o", tmp_path / "full" / "thesis.doc")
    assert "found a file" in sentence


def test_inspecting_what_is_no_data_set(capsys, tmp_path):
    assert "no such folder" in refused(capsys, tmp_path, "data", "inspect", tmp_path / "none")
    assert "holds no dataset.json" in refused(capsys, tmp_path, "data", "inspect", tmp_path)


def test_manifest_that_leads_out_of_the_data_set(capsys, tmp_path):
    folder = tmp_path / "set"
    assert cli.main(["data", "import", str(plain_folder(tmp_path / "mine", 1)), "-o", str(folder)]) == 0
    capsys.readouterr()
    line = json.loads((folder / "items.jsonl").read_text())
    (tmp_path / "secret.png").write_bytes((folder / "images" / "tile 0.png").read_bytes())
    (folder / "items.jsonl").write_text(json.dumps(line | {"image": "../secret.png"}) + "\n")
    assert "leaves the data set" in refused(capsys, tmp_path, "data", "inspect", folder)
    (folder / "items.jsonl").write_text(json.dumps(line | {"id": "../../a"}) + "\n")
    assert "not a plain file name" in refused(capsys, tmp_path, "data", "inspect", folder)
