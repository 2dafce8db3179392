"""Shards whose headers lie: judged before anything of them is read."""

import io
import tarfile
import time

import numpy as np
import pytest
from PIL import Image

import sian
from sian.data import import_dataset
from sian.errors import BadInput, SianWarning
from sian.files.tar import read_members
from tiles import mask, picture


def png(array):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


IMAGE, MASK = png(picture()), png(mask().astype(np.uint16))


def archive(members, format=tarfile.USTAR_FORMAT, **facts):  # noqa: A002 - tarfile's own name
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in facts.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def with_sum(header):
    """A header with its sum put right."""
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return header


def changed(content, place, value):
    header = bytearray(content[:512])
    header[place : place + len(value)] = value
    return bytes(with_sum(header)) + content[512:]


PAIR = [("a.image.png", IMAGE), ("a.mask.png", MASK)]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_where_tarfile_finds_them(tmp_path, format):  # noqa: A002
    long = "folder/" * 20 + "ä" * 60 + ".json"
    names = ["a.image.png", "sub/b.mask.png", "./c.json", *([] if format == tarfile.USTAR_FORMAT else [long])]
    content = archive([(name, name.encode() * 99) for name in names], format, mtime=1.5)
    (tmp_path / "a.tar").write_bytes(content)
    with tarfile.open(tmp_path / "a.tar") as tar:
        expected = [(member.name, member.offset_data, member.size) for member in tar]
    for found in (read_members(tmp_path / "a.tar"), read_members(tmp_path / "a.tar", content)):
        assert [(member.name, member.start, member.length) for member in found] == expected
    assert found[0].read() == names[0].encode() * 99


PAX = archive([("a" * 120, b"x")], tarfile.PAX_FORMAT)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (changed(archive(PAIR), 124, b"-0000000007\0"), "negative"),
        (changed(archive(PAIR), 124, b"\xff" * 12), "negative"),
        (changed(archive(PAIR), 124, b"\x80" + b"\xff" * 11), "expected at most"),
        (changed(archive(PAIR), 124, b"77777777777\0"), "expected at most"),
        (changed(archive(PAIR), 124, b"7777777777\0"[-10:]), "cut short|expected at most"),
        (changed(archive(PAIR), 124, b"0x10\0"), "negative or not a number"),
        (archive(PAIR)[:100] + b"!" + archive(PAIR)[101:], "sum is wrong"),
        (archive(PAIR)[:512], "cut short"),
        (archive(PAIR)[: 512 + -(-len(IMAGE) // 512) * 512], "cut short"),
        (archive(PAIR) + archive(PAIR), "something lies behind its end"),
        (archive([*PAIR, PAIR[0]]), "occurs twice"),
        (archive(PAIR, type=tarfile.SYMTYPE, linkname="/etc/passwd"), "is a link"),
        (archive(PAIR, type=tarfile.LNKTYPE, linkname="b"), "is a link"),
        (archive(PAIR, type=tarfile.FIFOTYPE), "neither a file nor a folder"),
        (archive(PAIR, tarfile.PAX_FORMAT, pax_headers={"size": "-512"}), "negative"),
        (archive(PAIR, tarfile.PAX_FORMAT, pax_headers={"size": "1" * 30}), "negative or not a number"),
        (archive(PAIR, tarfile.PAX_FORMAT, pax_headers={"GNU.sparse.size": "99"}), "sparse"),
        (PAX[:512] + PAX[512:].replace(b"130 path", b"999 path", 1), "broken extended header"),
        (PAX[:512] + PAX[512:].replace(b"130 path", b"001 path", 1), "broken extended header"),
        (b"\x1f\x8b" + bytes(600), "sum is wrong|cut short"),
    ],
)
def test_headers_that_lie(tmp_path, content, found):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tar").write_bytes(content)
    for read in (import_dataset, lambda source, _: sian.torch_dataset(source)):
        with pytest.raises(BadInput, match=rf"a\.tar.*({found})"):
            read(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_long_chain_of_extended_headers_takes_no_time(tmp_path):
    header = PAX[:1536]  # the extended header and its records, without the member
    (tmp_path / "a.tar").write_bytes(header[:1024] * 20_000)
    start = time.process_time()
    with pytest.raises(BadInput, match="cut short"):
        read_members(tmp_path / "a.tar")
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a.image.png", "a.png", "a.mask.png"], "expected one image a name"),
        (["a.image.png", "a.mask.png", "a.mask.tif"], "expected one mask a name"),
        (["a.b.image.png", "a.b.mask.png"], "expected a name without dots"),
    ],
)
def test_names_that_can_be_taken_in_two_ways(tmp_path, names, found):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tar").write_bytes(archive([(n, MASK if "mask" in n else IMAGE) for n in names]))
    for read in (import_dataset, lambda source, _: sian.torch_dataset(source)):
        with pytest.raises(BadInput, match=found):
            read(tmp_path / "in", tmp_path / "out")


def test_shards_of_others(tmp_path):
    """Names with folders, a picture without ".image", other members: read alike by both readers."""
    (tmp_path / "in").mkdir()
    members = [("./x/a.png", IMAGE), ("./x/a.mask.png", MASK), ("./x/a.cls", b"3")]
    (tmp_path / "in" / "a.tar").write_bytes(archive(members, tarfile.PAX_FORMAT, mtime=1.25))
    (item,) = import_dataset(tmp_path / "in", tmp_path / "out").items
    assert (item.id, item.nuclei) == ("a", 3)
    image, ids = sian.torch_dataset(tmp_path / "in")[0]
    np.testing.assert_array_equal(image.numpy().transpose(1, 2, 0), picture())
    np.testing.assert_array_equal(ids.numpy(), mask())


def test_an_archive_without_masks_is_no_shard(tmp_path):
    """Code or pictures, packed and left beside the tiles."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(IMAGE)
    (tmp_path / "in" / "a_labels.png").write_bytes(MASK)
    (tmp_path / "in" / "code.tar").write_bytes(archive([("link", b"")], type=tarfile.SYMTYPE, linkname="x"))
    (tmp_path / "in" / "pictures.tar").write_bytes(archive([("b.png", IMAGE)]))
    with pytest.warns(SianWarning, match=r"pictures\.tar: holds pictures without masks"):
        (item,) = import_dataset(tmp_path / "in", tmp_path / "out").items
    assert item.id == "a"


def test_shards_that_macos_packed(tmp_path):
    """Attributes as binary text, and a member ._NAME for each member."""
    (tmp_path / "in").mkdir()
    attribute = {"LIBARCHIVE.xattr.x": "aXYZb"}
    members = [
        (f"{start}{name}", b"\0\5\x16\7" if start else content) for name, content in PAIR for start in ("._", "")
    ]
    content = archive(members, tarfile.PAX_FORMAT, pax_headers=attribute).replace(b"aXYZb", b"a\xff\0\xfeb")
    (tmp_path / "in" / "a.tar").write_bytes(content)
    (item,) = import_dataset(tmp_path / "in", tmp_path / "out").items
    assert (item.id, item.nuclei) == ("a", 3)


def test_names_keep_letters_that_grow_in_lower_case(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tar").write_bytes(archive([("İa.IMAGE.png", IMAGE), ("İa.mask.png", MASK)]))
    (item,) = import_dataset(tmp_path / "in", tmp_path / "out").items
    assert item.id == "İa"
