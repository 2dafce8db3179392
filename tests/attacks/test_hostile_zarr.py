"""Zarr chunks and metadata that lie, and stores as other programs write them."""

import bz2
import gzip
import json
import os
import struct
import time
import zlib

import numpy as np
import pytest

from sian.data import import_dataset
from sian.data.formats import zarrchunks, zarrfiles
from sian.errors import BadInput, SianWarning
from tiles import mask, picture

zarr = pytest.importorskip("zarr")

CYX = [{"name": "c", "type": "channel"}, *({"name": n, "type": "space", "unit": "micrometer"} for n in "yx")]


def multiscale(axes, scale=1.0, unit="micrometer", outer=None, levels=("0",)):
    described = [{"name": a, "type": "space", "unit": unit} if a in "yx" else {"name": a} for a in axes]
    own = [{"type": "scale", "scale": [scale if a in "yx" else 1.0 for a in axes]}] if scale else []
    found = {"axes": described, "datasets": [{"path": p, "coordinateTransformations": own} for p in levels]}
    if outer:
        found["coordinateTransformations"] = [{"type": "scale", "scale": [outer if a in "yx" else 1.0 for a in axes]}]
    return found


def write_image(group, image=None, ids=None, about=None, label=None, form=3, **options):
    """An image with labels, as OME-Zarr 0.5 (or 0.4) has them, by the zarr library."""
    image, ids = np.moveaxis(picture() if image is None else image, -1, 0), mask() if ids is None else ids
    attributes = {"multiscales": [about or multiscale("cyx")]}
    _put(group, attributes, form)
    group.create_array("0", data=image, **options)
    labels = group.create_group("labels")
    _put(labels, {"labels": ["nuclei"]}, form)
    nuclei = labels.create_group("nuclei")
    _put(nuclei, {"multiscales": [label or multiscale("yx", None, None)], "image-label": {}}, form)
    own = {key: value[-2:] if isinstance(value, tuple) else value for key, value in options.items()}
    nuclei.create_array("0", data=ids, **own)


def _put(group, attributes, form):
    group.attrs.update({"ome": {"version": "0.5", **attributes}} if form == 3 else attributes)


def store(tmp_path, name="a.ome.zarr", form=3, **options):
    (tmp_path / "in").mkdir(exist_ok=True)
    group = zarr.open_group(str(tmp_path / "in" / name), mode="w", zarr_format=form)
    write_image(group, form=form, **options)
    return tmp_path / "in" / name


def imported(tmp_path):
    result = import_dataset(tmp_path / "in", tmp_path / "out")
    data = result.folder
    for item in result.items:
        from PIL import Image

        np.testing.assert_array_equal(np.asarray(Image.open(data / item.image)), picture())
        np.testing.assert_array_equal(np.asarray(Image.open(data / item.mask)), mask())
    return result.items


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (1, 16, 16)},
        {"chunks": (1, 16, 16), "shards": (3, 32, 48)},
        {"chunks": (1, 8, 8), "shards": (1, 16, 16), "compressors": None},
        {"chunks": (3, 40, 48), "compressors": zarr.codecs.GzipCodec()},
        {"chunks": (1, 40, 48), "compressors": zarr.codecs.BloscCodec(cname="lz4")},
        {"chunks": (1, 40, 48), "compressors": [zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec()]},
        {"form": 2, "chunks": (1, 16, 16)},
        {"form": 2, "chunks": (1, 16, 16), "chunk_key_encoding": {"name": "v2", "separator": "/"}},
        {"name": "b.zarr"},
    ],
)
def test_stores_of_others(tmp_path, options):
    store(tmp_path, **options)
    (item,) = imported(tmp_path)
    assert (item.nuclei, item.mpp) == (3, 1.0)


def test_float_labels(tmp_path):
    store(tmp_path, ids=mask().astype(np.float32))
    assert imported(tmp_path)[0].nuclei == 3


def test_the_layout_of_bioformats2raw(tmp_path):
    root = zarr.open_group(str(tmp_path / "in" / "slide.zarr"), mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    write_image(root.create_group("0"), form=2)
    thumbnail = root.create_group("1")
    thumbnail.attrs["multiscales"] = [multiscale("cyx")]
    root.create_group("OME").attrs["series"] = ["0", "1"]
    (item,) = imported(tmp_path)
    assert item.id == "slide"
    write_image(root.create_group("2"), form=2)
    root["OME"].attrs["series"] = ["0", "1", "2"]
    result = import_dataset(tmp_path / "in", tmp_path / "both")
    assert [item.id for item in result.items] == ["slide-0", "slide-2"]


@pytest.mark.parametrize(
    ("about", "mpp"),
    [
        (multiscale("cyx", 0.25), 0.25),
        (multiscale("cyx", 1.0, outer=0.25), 0.25),
        (multiscale("cyx", 0.5, outer=0.5), 0.25),
        (multiscale("cyx", None, outer=0.25), 0.25),
        (multiscale("cyx", 250, "nanometer"), 0.25),
        (multiscale("cyx", 0.00025, "millimeter"), 0.25),
        (multiscale("cyx", 0.25, None), None),
        (multiscale("cyx", 0.25, "parsec"), None),
        (multiscale("cyx", 1e9), None),
    ],
)
def test_the_scale_of_all_levels_counts_as_well(tmp_path, about, mpp):
    store(tmp_path, about=about)
    assert imported(tmp_path)[0].mpp == mpp


def test_pixels_that_are_not_square_or_not_agreed_on(tmp_path):
    about = multiscale("cyx", 0.25)
    about["datasets"][0]["coordinateTransformations"][0]["scale"] = [1.0, 0.25, 0.5]
    store(tmp_path, about=about)
    with pytest.raises(BadInput, match=r"found pixels of 0\.5 x 0\.25 micrometres, expected square ones"):
        imported(tmp_path)
    store(tmp_path, about=multiscale("cyx", 0.25), label=multiscale("yx", 1.0))
    with pytest.warns(SianWarning, match="the image's are taken"):
        assert imported(tmp_path)[0].mpp == 0.25


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            lambda ome: ome.update(omero={"channels": [{"color": c} for c in ("0000FF", "00FF00", "FF0000")]}),
            "order red",
        ),
        (lambda ome: ome["multiscales"].append(ome["multiscales"][0]), "several images"),
        (lambda ome: ome.update(plate={"wells": []}), "a plate of wells"),
        (lambda ome: ome["multiscales"][0]["datasets"].insert(0, {"path": "small"}), "not the largest"),
    ],
)
def test_images_that_can_be_taken_in_two_ways(tmp_path, change, found):
    path = store(tmp_path)
    zarr.open_group(str(path), mode="a").create_array("small", data=np.ones((3, 20, 24), np.uint8))
    content = json.loads((path / "zarr.json").read_text())
    change(content["attributes"]["ome"])
    (path / "zarr.json").write_text(json.dumps(content))
    with pytest.raises(BadInput, match=found):
        imported(tmp_path)


# Chunks


@pytest.mark.parametrize("options", [{"chunks": (1, 16, 16)}, {"chunks": (1, 16, 16), "shards": (3, 48, 48)}])
def test_chunks_of_a_picture_that_are_not_stored(tmp_path, options):
    image = picture()
    image[:16, :16] = 0
    store(tmp_path, image=image, **options)
    with pytest.raises(BadInput, match="are not stored and would be read as 0"):
        imported(tmp_path)
    store(tmp_path, ids=mask() * (np.arange(48) < 12), config={"write_empty_chunks": False}, **options)
    result = import_dataset(tmp_path / "in", tmp_path / "out")  # empty parts of labels are left out by Zarr itself
    assert result.items[0].nuclei == 2


def test_labels_without_any_chunk(tmp_path):
    path = store(tmp_path, chunks=(1, 16, 16))
    for file in (path / "labels/nuclei/0/c").rglob("*"):
        if file.is_file():
            file.unlink()
    with pytest.raises(BadInput, match="expected the outline of at least one nucleus"):
        imported(tmp_path)
    result = import_dataset(tmp_path / "in", tmp_path / "out", empty=True)  # as Zarr writes a tile without nuclei
    assert result.items[0].nuclei == 0


@pytest.mark.parametrize("which", ["image", "label"])
def test_a_path_that_no_file_can_have(tmp_path, which):
    axes = ("cyx", 1.0) if which == "image" else ("yx", None)
    store(tmp_path, **{"about" if which == "image" else "label": multiscale(*axes, levels=("x" * 300,))})
    with pytest.raises(BadInput, match=r"a\.ome\.zarr: cannot be read \(file name too long\)"):
        import_dataset(tmp_path / "in", tmp_path / "out")


def test_a_series_that_no_file_can_have(tmp_path):
    place = store(tmp_path)
    group = zarr.open_group(str(place), mode="a", zarr_format=3)
    _put(group, {"bioformats2raw.layout": 3}, 3)
    _put(group.create_group("OME"), {"series": ["1" * 300]}, 3)
    with pytest.raises(BadInput, match=r"a\.ome\.zarr: found no image with labels"):
        import_dataset(tmp_path / "in", tmp_path / "out")


def spoilt(tmp_path, content=None, metadata=None, **options):
    """A store whose picture's first chunk, or whose picture's metadata, were changed."""
    path = store(tmp_path, **options)
    about = path / "0" / ("zarr.json" if (path / "0/zarr.json").exists() else ".zarray")
    if metadata:
        found = json.loads(about.read_text())
        metadata(found)
        about.write_text(json.dumps(found))
    if content is not None:
        chunk = path / ("0/c/0/0/0" if about.name == "zarr.json" else "0/0.0.0")
        chunk.write_bytes(content)
    return path


RAW = 3 * 40 * 48
ONE = {"chunks": (3, 40, 48)}
SHARD = {"chunks": (1, 40, 48), "shards": (3, 40, 48)}
ZSTD_BOMB = (
    struct.pack("<IB", 0xFD2FB528, 0) + b"\x58" + (struct.pack("<I", 128 << 13 | 2)[:3] + b"\0") * 2000 + b"\1\0\0"
)
BOMBS = [
    ("gzip", gzip.compress(bytes(2 << 20)), {"compressors": zarr.codecs.GzipCodec()}),
    ("zstd", ZSTD_BOMB, {}),
    ("blosc", struct.pack("<BBBBIII", 2, 1, 1, 1, 1 << 30, 1 << 18, 16), {"compressors": zarr.codecs.BloscCodec()}),
]


@pytest.mark.parametrize(("codec", "content", "options"), BOMBS)
def test_chunks_that_unpack_to_more_than_they_are(tmp_path, monkeypatch, codec, content, options):
    monkeypatch.setattr(zarrchunks, "SUSPICIOUS_BYTES", 1 << 18)
    spoilt(tmp_path, content, **ONE, **options)
    with pytest.raises(BadInput, match="unpacks to more than its"):
        imported(tmp_path)


@pytest.mark.parametrize(
    ("codec", "content"),
    [
        ("bz2", bz2.compress(bytes(1 << 20))),
        ("zlib", zlib.compress(bytes(1 << 20))),
        ("lz4", struct.pack("<I", 1 << 30)),
    ],
)
def test_chunks_of_zarr_2_that_unpack_to_more(tmp_path, monkeypatch, codec, content):
    monkeypatch.setattr(zarrchunks, "SUSPICIOUS_BYTES", 1 << 18)
    spoilt(tmp_path, content, lambda found: found.update(compressor={"id": codec}), form=2, **ONE)
    with pytest.raises(BadInput, match="unpacks to more than its"):
        imported(tmp_path)


@pytest.mark.parametrize("codec", ["gzip", "zstd", "blosc", None])
def test_chunks_that_are_broken(tmp_path, codec):
    codecs = {"gzip": zarr.codecs.GzipCodec(), "zstd": zarr.codecs.ZstdCodec(), "blosc": zarr.codecs.BloscCodec()}
    path = store(tmp_path, **ONE, compressors=codecs.get(codec))
    chunk = path / "0/c/0/0/0"
    whole = chunk.read_bytes()
    for content in (b"", whole[:7], whole[: len(whole) // 2], whole[:-9], whole[:-1]):
        chunk.write_bytes(content)
        with pytest.raises(BadInput, match=r"a\.ome\.zarr"):
            imported(tmp_path)


@pytest.mark.parametrize("place", [0, 8])
def test_shards_that_are_broken(tmp_path, place):
    path = store(tmp_path, **SHARD)
    shard = path / "0/c/0/0/0"
    whole = bytearray(shard.read_bytes())
    shard.write_bytes(whole[:30])
    with pytest.raises(BadInput, match="cut short"):
        imported(tmp_path)
    start = len(whole) - 4 - 3 * 16
    whole[start + place : start + place + 8] = struct.pack("<Q", 1 << 50)
    shard.write_bytes(whole)
    with pytest.raises(BadInput, match="beyond the end of its shard"):
        imported(tmp_path)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            lambda c: c["chunk_grid"]["configuration"].update(chunk_shape=[1, 1, 1]),
            "found 5,760 chunks, expected at most",
        ),
        (lambda c: c.update(shape=[3, 9000, 9000]), "of 1 chunks|chunks, expected at most|are not stored"),
        (lambda c: c.update(shape=[3, 90_000, 9000]), "expected at most"),
        (lambda c: c["codecs"].append(c["codecs"][-1]), "found the codecs"),
        (
            lambda c: c.update(chunk_key_encoding={"name": "default", "configuration": {"separator": "../"}}),
            "not named",
        ),
        (lambda c: c.update(codecs=7), "metadata without"),
        (lambda c: c.update(codecs=[{"name": ["bytes"]}]), "found codec"),
    ],
)
def test_metadata_that_ask_for_too_much(tmp_path, monkeypatch, change, found):
    monkeypatch.setattr(zarrfiles, "MAX_CHUNKS", 1000)
    spoilt(tmp_path, metadata=change, **ONE)
    start = time.process_time()
    with pytest.raises(BadInput, match=found):
        imported(tmp_path)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("name", ["0/c/0/0/0", "0/zarr.json", "0/.zattrs", "labels/nuclei/0/c/0/0"])
def test_pipes_where_files_should_be(tmp_path, name):
    path = store(tmp_path, **ONE)
    (path / name).unlink(missing_ok=True)
    os.mkfifo(path / name)
    with pytest.raises(BadInput, match="a pipe or a device"):
        imported(tmp_path)
