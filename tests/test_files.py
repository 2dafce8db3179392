"""Pictures, atomic files and hashes, against Pillow, tifffile and hashlib."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from sian import files
from sian.errors import BadInput, MissingResource
from sian.files import atomic
from sian.files.numpy_files import map_npy
from tiles import picture


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp", "upper.TIF"])
def test_lossless_formats_give_the_same_pixels(tmp_path, name):
    image = picture()
    options = {"lossless": True} if name.endswith("webp") else {}
    Image.fromarray(image).save(tmp_path / name, **options)
    read = files.read_image(tmp_path / name)
    assert read.dtype == np.uint8
    assert read.flags.c_contiguous
    assert read.flags.writeable
    np.testing.assert_array_equal(read, image)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tif_from_another_writer(tmp_path, compression, planar):
    image = picture()
    stored = image if planar == "contig" else np.moveaxis(image, 2, 0)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar, compression=compression)
    np.testing.assert_array_equal(files.read_image(tmp_path / "a.tif"), image)


def test_jpeg_is_what_pillow_decodes(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.jpg", quality=90)
    expected = np.asarray(Image.open(tmp_path / "a.jpg"))
    np.testing.assert_array_equal(files.read_image(tmp_path / "a.jpg"), expected)


def test_opaque_alpha_is_left_out_and_transparency_refused(tmp_path):
    image = picture()
    rgba = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "opaque.png")
    np.testing.assert_array_equal(files.read_image(tmp_path / "opaque.png"), image)
    rgba[3, 4, 3] = 254
    Image.fromarray(rgba).save(tmp_path / "clear.png")
    with pytest.raises(BadInput, match=r"clear\.png: expected an 8-bit RGB picture, found transparent pixels"):
        files.read_image(tmp_path / "clear.png")


@pytest.mark.parametrize(
    ("array", "mode", "found"),
    [
        (np.zeros((4, 4), np.uint8), "L", "grey"),
        (np.zeros((4, 4), np.uint16), "I;16", "export it as 8-bit RGB"),
        (np.zeros((4, 4), np.uint8), "P", "palette"),
        (np.zeros((4, 4), np.uint8), "1", "black-and-white"),
    ],
)
def test_other_kinds_of_pixels_are_refused(tmp_path, array, mode, found):
    picture = Image.fromarray(array)
    picture = picture.convert(mode) if mode in ("P", "1") else picture
    picture.save(tmp_path / "a.png")
    with pytest.raises(BadInput, match=found):
        files.read_image(tmp_path / "a.png")


def test_several_pages_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([picture(), picture()]), photometric="rgb")
    with pytest.raises(BadInput, match="more than one page"):
        files.read_image(tmp_path / "a.tif")


def test_pixel_limit_is_checked_before_unpacking(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    with pytest.raises(BadInput, match="found 40 x 48 pixels, expected at most 1,000"):
        files.read_image(tmp_path / "a.png", max_pixels=1000)


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "a.jpg"])
@pytest.mark.parametrize("keep", [10, 100, 0.5, 0.9])
def test_cut_short(tmp_path, name, keep):
    Image.fromarray(picture()).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    with pytest.raises(BadInput, match=r"cannot be read as a (picture|TIFF)"):
        files.read_image(tmp_path / name)


def test_missing_folder_and_empty_file(tmp_path):
    (tmp_path / "empty.png").touch()
    for name, found in [("no.png", "no such file"), (".", "a folder"), ("empty.png", "0 bytes")]:
        with pytest.raises(BadInput, match=found):
            files.read_image(tmp_path / name)


def test_png_round_trip_with_text(tmp_path):
    image, text = picture(), {"Software": "sian", "Comment": "synthétique, 合成"}
    files.write_png(tmp_path / "new" / "a.png", image, text)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), image)
    assert files.read_png_text(tmp_path / "new" / "a.png") == text
    assert files.encode_png(image, text) == (tmp_path / "new" / "a.png").read_bytes()


@pytest.mark.parametrize("array", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_png_of_something_else(tmp_path, array):
    with pytest.raises(BadInput, match="expected an image"):
        files.write_png(tmp_path / "a.png", array)
    assert not list(tmp_path.iterdir())


def test_hashes(tmp_path):
    image = picture()
    (tmp_path / "a").write_bytes(image.tobytes())
    expected = hashlib.sha256(image.tobytes()).hexdigest()
    assert files.sha256_file(tmp_path / "a") == files.sha256_pixels(image) == expected
    assert files.sha256_pixels(np.asfortranarray(image)) == expected
    numbers = np.arange(5, dtype=">i4")
    assert files.sha256_array(numbers) == hashlib.sha256(np.arange(5, dtype="<i4").tobytes()).hexdigest()
    with pytest.raises(BadInput, match="uint8"):
        files.sha256_pixels(image.astype(np.int32))
    with pytest.raises(BadInput, match="cannot be read"):
        files.sha256_file(tmp_path / "none")


def test_atomic_file_keeps_the_old_one_on_error(tmp_path):
    target = tmp_path / "a.txt"
    files.write_text(target, "old\n")

    def fail_half_way():
        with files.atomic_file(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert target.read_text() == "old\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_atomic_json(tmp_path):
    files.write_json(tmp_path / "a.json", {"b": [1, "ü"]})
    assert (tmp_path / "a.json").read_bytes() == '{\n  "b": [\n    1,\n    "ü"\n  ]\n}\n'.encode()
    with pytest.raises(ValueError, match="Out of range float"):
        files.write_json(tmp_path / "a.json", float("nan"))


def test_killed_writer_leaves_the_old_file_and_one_leftover(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    script = (
        "import os, sys\nfrom sian.files import atomic_file\n"
        "with atomic_file(sys.argv[1]) as t:\n    t.write_text('half')\n    os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(target)])
    assert done.returncode not in (0, 1)
    assert target.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    assert files.remove_leftovers(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_places_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot be written"):
        files.write_text(tmp_path / "file" / "a.txt", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput, match="cannot be written"):
        files.write_text(tmp_path / "folder", "x")

    def full(_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MissingResource, match="the disk is full"):
        files.write_text(tmp_path / "a.txt", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.shared
def test_tiles_have_the_pixels_that_their_table_lists(shared):
    import csv

    folder = shared / "data" / "monuseg"
    rows = list(csv.DictReader((folder / "tiles.csv").read_text().splitlines()))
    for row in rows[::8]:
        image = files.read_image(folder / row["split"] / f"{row['tile']}.webp")
        assert files.sha256_pixels(image) == row["sha256_pixels"]


def test_files_that_belong_together_change_together(tmp_path, monkeypatch):
    paths = [tmp_path / name for name in ("a.json", "b.csv", "c.html")]
    atomic.write_together(dict.fromkeys(paths, "old"))
    write = Path.write_bytes

    def full(self, content):
        if content == b"c":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(MissingResource, match=r"c\.html: the disk is full"):
        atomic.write_together(dict(zip(paths, "abc", strict=True)))
    assert [path.read_text() for path in paths] == ["old", "old", "old"]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_file_that_is_too_large_for_the_place(tmp_path):
    code = (
        "import resource, sys\n"
        "from sian.files import write_bytes\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_bytes(sys.argv[1], bytes(5000))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], capture_output=True, text=True)
    assert "MissingResource: " in done.stderr
    assert "takes no file that large" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are Unix's")
def test_an_array_that_is_a_pipe_is_refused_and_not_waited_for(tmp_path):
    pipe, empty = tmp_path / "pipe.npy", tmp_path / "empty.npy"
    os.mkfifo(pipe)
    empty.touch()
    with pytest.raises(BadInput, match="found a pipe, expected a tissue map"):
        map_npy(pipe, "a tissue map")
    with pytest.raises(BadInput, match="empty file"):
        map_npy(empty)
