"""Pictures and masks that programs read in two ways: refused, so that no data set holds the wrong one of the two."""

import io
import os
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import savemat

from sian.data import DatasetInfo, DatasetWriter, export_dataset, import_dataset, open_dataset
from sian.data.formats import pannuke
from sian.errors import BadInput
from sian.files import images, read_image, tiff
from sian.masks import read_mask
from sian.masks.files import tiff_arrays
from tiles import mask, picture


def png(width, height, depth, colour, lines, *more):
    """A PNG written by hand: header, further chunks, lines of bytes."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + line for line in lines))
    chunks = [(b"IHDR", header), *more, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (6, 4)])
def test_16_bits_a_channel_are_not_cut_to_8(tmp_path, colour, channels):
    line = np.full(4 * channels, 3824, ">u2").tobytes()
    (tmp_path / "a.png").write_bytes(png(4, 2, 16, colour, [line, line]))
    with pytest.raises(BadInput, match="found 16 bits a channel, expected 8-bit RGB"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"planarconfig": "separate"}, {"byteorder": ">"}])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.uint32])
def test_tiffs_of_more_bits_are_not_cut_to_8(tmp_path, options, dtype):
    array = picture(0, 16, 32).astype(dtype)
    array = np.moveaxis(array, -1, 0) if "planarconfig" in options else array
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", **options)
    with pytest.raises(BadInput, match=r"a\.tif"):
        read_image(tmp_path / "a.tif")


def test_tiffs_of_8_bits_are_read_as_tifffile_reads_them(tmp_path):
    for number, options in enumerate([{}, {"compression": "zlib"}, {"compression": "lzw"}, {"tile": (16, 16)}]):
        path = tmp_path / f"{number}.tif"
        tifffile.imwrite(path, picture(), photometric="rgb", **options)
        np.testing.assert_array_equal(read_image(path), tifffile.imread(path))
    tifffile.imwrite(tmp_path / "big.tif", picture(), photometric="rgb", bigtiff=True)
    np.testing.assert_array_equal(read_image(tmp_path / "big.tif"), picture())


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("orientation", [2, 6, 8])
def test_orientation(tmp_path, ending, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{ending}"
    if ending == "tif":
        tifffile.imwrite(path, picture(), photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    else:
        Image.fromarray(picture()).save(path, exif=exif)
    with pytest.raises(BadInput, match=f"found the orientation {orientation}"):
        read_image(path)


def test_orientation_of_masks(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(mask().astype(np.uint16)).save(tmp_path / "a.png", exif=exif)
    tifffile.imwrite(tmp_path / "a.tif", mask(), photometric="minisblack", extratags=[(274, "H", 1, 3, True)])
    for name in ("a.png", "a.tif"):
        with pytest.raises(BadInput, match="found the orientation 3"):
            read_mask(tmp_path / name)


def test_upright_is_said_and_read(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 1
    Image.fromarray(picture()).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), picture())


def test_a_colour_that_stands_for_transparent(tmp_path):
    line = bytes([255, 0, 0, 9, 9, 9])
    for colour, refused in ((9, True), (8, False)):
        key = struct.pack(">HHH", colour, colour, colour)
        (tmp_path / "a.png").write_bytes(png(2, 1, 8, 2, [line], (b"tRNS", key)))
        if refused:
            with pytest.raises(BadInput, match="transparent pixels"):
                read_image(tmp_path / "a.png")
        else:
            assert read_image(tmp_path / "a.png").tolist() == [[[255, 0, 0], [9, 9, 9]]]


def test_opaque_alpha_of_a_large_picture_is_left_out(tmp_path, monkeypatch):
    """In several strips, as large pictures are copied."""
    monkeypatch.setattr(images, "STRIP_BYTES", 4 * 48 * 7)
    image = np.dstack([picture(), np.full((40, 48), 255, np.uint8)])
    Image.fromarray(image).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), picture())
    image[39, 47, 3] = 254
    Image.fromarray(image).save(tmp_path / "a.png")
    with pytest.raises(BadInput, match="transparent"):
        read_image(tmp_path / "a.png")


# Masks


@pytest.mark.parametrize("value", [1, 255, 65_535])
def test_a_binary_mask_of_two_nuclei(tmp_path, value):
    array = np.zeros((40, 48), np.uint16)
    array[4:12, 4:12] = array[20:30, 30:40] = value
    Image.fromarray(array).save(tmp_path / "a.png")
    with pytest.raises(BadInput, match=f"found only the id {value} in 2 separate pieces"):
        read_mask(tmp_path / "a.png")
    (tmp_path / "in").mkdir()
    Image.fromarray(picture()).save(tmp_path / "in" / "a.png")
    savemat(tmp_path / "in" / "a.mat", {"inst_map": array})
    with pytest.raises(BadInput, match=f"found only the id {value} in 2 separate pieces"):
        import_dataset(tmp_path / "in", tmp_path / "out")


def test_a_nucleus_in_two_pieces_of_a_data_set_is_one(tmp_path):
    """Nobody doubts the ids of SIAN's own data sets, nor of what it exported."""
    writer = DatasetWriter(tmp_path / "set", DatasetInfo(name="toy"))
    array = np.zeros((40, 48), np.int32)
    array[4:12, 4:12] = array[20:30, 30:40] = 1
    item = writer.add("a", picture(), array)
    assert open_dataset(tmp_path / "set").mask(item).sum() == 164
    export_dataset(tmp_path / "set", tmp_path / "out", "stardist")
    assert import_dataset(tmp_path / "out", tmp_path / "again").nuclei == 1


def test_a_nucleus_with_a_crumb_or_of_another_id_is_one(tmp_path):
    array = np.zeros((40, 48), np.uint16)
    array[4:12, 4:12] = array[20, 30] = 1
    Image.fromarray(array).save(tmp_path / "crumb.png")
    Image.fromarray(array * 7).save(tmp_path / "seven.png")
    assert int(read_mask(tmp_path / "crumb.png").max()) == 1
    assert int(read_mask(tmp_path / "seven.png").max()) == 7


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_whole_numbers_in_floats_are_ids(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", mask().astype(dtype), photometric="minisblack")
    np.save(tmp_path / "a.npy", mask().astype(dtype))
    for name in ("a.tif", "a.npy"):
        np.testing.assert_array_equal(read_mask(tmp_path / name), mask())


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (0.5, "not whole"),
        (np.nan, "not whole"),
        (np.inf, "not whole"),
        (2.0**24, "which float32 rounds"),
        (-1, "negative"),
    ],
)
def test_floats_that_are_no_ids(tmp_path, value, found):
    array = mask().astype(np.float32)
    array[3, 3] = value
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack")
    with pytest.raises(BadInput, match=found):
        read_mask(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("photometric", "options", "found"),
    [
        ("miniswhite", {}, "grey levels of which 0 is white"),
        ("palette", {"colormap": np.zeros((3, 256), np.uint16)}, "a palette picture"),
    ],
)
def test_tiff_masks_whose_levels_are_no_ids(tmp_path, photometric, options, found):
    tifffile.imwrite(tmp_path / "a.tif", mask().astype(np.uint8), photometric=photometric, **options)
    with pytest.raises(BadInput, match=found):
        read_mask(tmp_path / "a.tif")


@pytest.mark.parametrize("tag", [322, 323])
def test_tiles_of_no_size(tmp_path, tag):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, mask().astype(np.uint16), photometric="minisblack", tile=(16, 16))
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<HH", tag, 4), struct.pack("<HH", 6016, 4)))
    assert path.read_bytes() != content
    with pytest.raises(BadInput, match="does not say how large its tiles are"):
        read_mask(path)
    if tag == 323:  # tifffile divides by it
        with pytest.raises(BadInput, match=r"cannot be read as a TIFF \(division by zero\)"):
            tiff_arrays(path)


def without_tile(path, number, tags):
    """Mark a strip or a tile as not stored: its place and its length become 0."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        for tag in tags:
            values = list(file.pages[0].tags[tag].value)
            values[number] = 0
            file.pages[0].tags[tag].overwrite(values)


@pytest.mark.parametrize(
    "options", [{"tile": (16, 16)}, {"rowsperstrip": 8}, {"tile": (16, 16), "compression": "zlib"}]
)
@pytest.mark.parametrize("kind", ["mask", "picture"])
def test_tiles_that_are_not_stored(tmp_path, options, kind):
    array = mask().astype(np.uint16) if kind == "mask" else picture()
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack" if kind == "mask" else "rgb", **options)
    read = read_mask if kind == "mask" else read_image
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), array)
    tags = ("TileOffsets", "TileByteCounts") if "tile" in options else ("StripOffsets", "StripByteCounts")
    without_tile(tmp_path / "a.tif", 2, tags)
    with pytest.raises(BadInput, match="the others are not stored and would be read as 0"):
        read(tmp_path / "a.tif")


def test_a_strip_that_is_shorter_than_its_pixels(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", mask(), photometric="minisblack", rowsperstrip=40)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        file.pages[0].tags["StripByteCounts"].overwrite(100)
    with pytest.raises(BadInput, match="shorter than its pixels"):
        read_mask(tmp_path / "a.tif")


def test_pages_are_counted_without_walking_them(tmp_path):
    """Forty thousand directories, and a chain of them that goes in circles."""
    page = struct.pack("<H", 1) + struct.pack("<HHII", 256, 3, 1, 1)
    places = [8 + 18 * number for number in range(40_000)]
    pages = b"".join(page + struct.pack("<I", after) for after in (*places[1:], 8))
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 8) + pages)
    with pytest.raises(BadInput, match=r"a\.tif: found 0 x 1 pixels"):
        read_image(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((3, 9, 9), np.uint8), photometric="minisblack")
    for read in (read_image, read_mask):
        with pytest.raises(BadInput, match="found more than one page"):
            read(tmp_path / "b.tif")


def test_a_tile_that_unpacks_to_more_than_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "SUSPICIOUS_BYTES", 1 << 20)
    tifffile.imwrite(tmp_path / "a.tif", mask(), photometric="minisblack", compression="zlib")
    bomb = zlib.compress(bytes(4 << 20))
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        place = file.filehandle.size
        file.pages[0].tags["StripOffsets"].overwrite(place)
        file.pages[0].tags["StripByteCounts"].overwrite(len(bomb))
    with (tmp_path / "a.tif").open("ab") as stream:
        stream.write(bomb)
    with pytest.raises(BadInput, match="unpacks to more than its"):
        read_mask(tmp_path / "a.tif")


def test_a_flipped_byte_of_a_tiff_never_crashes(tmp_path):
    """Whatever a damaged directory says, the answer is a picture or one sentence."""
    buffer, random = io.BytesIO(), np.random.default_rng(3)
    tifffile.imwrite(buffer, mask()[:8, :8].astype(np.uint8), photometric="minisblack", compression="zlib")
    whole = buffer.getvalue()
    for _ in range(150):
        broken = bytearray(whole)
        for place in random.integers(0, len(whole), 2):
            broken[place] = random.integers(256)
        (tmp_path / "a.tif").write_bytes(broken)
        for read in (read_mask, read_image):
            with suppress(BadInput):
                read(tmp_path / "a.tif")


# What is no file


def test_pipes_and_devices_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    for read in (read_image, read_mask):
        with pytest.raises(BadInput, match="found a pipe"):
            read(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("/dev/zero")
    with pytest.raises(BadInput, match="found a device"):
        read_image(tmp_path / "b.png")
    (tmp_path / "c.png").symlink_to("c.png")
    with pytest.raises(BadInput, match="cannot be read"):
        read_image(tmp_path / "c.png")
    with pytest.raises(BadInput, match=r"no such file|cannot be read"):
        read_image("a\0.png")


@pytest.mark.parametrize("header", [b"{'descr': '<i4', 'shape': (", b"{'descr': '<i4', (((", b"\xff\xfe", b"[" * 5000])
def test_npy_headers_that_are_no_python(tmp_path, header):
    """NumPy reads the header by Python's own parser, which fails in several ways."""
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(BadInput, match="cannot be read as a NumPy array"):
        read_mask(tmp_path / "a.npy")


def test_organ_names_that_are_no_characters(tmp_path):
    np.save(tmp_path / "types.npy", np.array(["liver"]))
    content = (tmp_path / "types.npy").read_bytes()
    (tmp_path / "types.npy").write_bytes(content[:-4] + b"\xff\xff\xff\x7f")
    with pytest.raises(BadInput, match="names that are not text"):
        pannuke.organs(tmp_path / "types.npy", 1)


@pytest.mark.parametrize("bits", [2, 4])
def test_a_mask_of_few_bits_keeps_its_ids(tmp_path, bits):
    ids = np.array([[0, 1, 2, 3], [3, 0, 0, 1]], np.uint8)
    numbers = np.unpackbits(ids[:, :, None], axis=2)[:, :, 8 - bits :].reshape(2, -1)
    lines = [np.packbits(row).tobytes() for row in numbers]
    (tmp_path / "a.png").write_bytes(png(4, 2, bits, 0, lines))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", numbered=True), ids)


def test_opaque_variables_of_matlab_are_skipped(tmp_path):
    """A string or table beside inst_map: its first element is followed by its name instead of a shape."""

    def element(kind, content):
        return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)

    ids = np.zeros((40, 48), np.int32)
    ids[4:12, 4:12] = 3
    (tmp_path / "in").mkdir()
    Image.fromarray(picture()).save(tmp_path / "in" / "a.png")
    savemat(tmp_path / "in" / "a.mat", {"inst_map": ids})
    flags = element(6, struct.pack("<II", 17, 0))
    opaque = element(14, flags + element(1, b"s") + element(1, b"MCOS") + element(1, b"string"))
    with (tmp_path / "in" / "a.mat").open("ab") as stream:
        stream.write(opaque)
    assert import_dataset(tmp_path / "in", tmp_path / "out").nuclei == 1
