"""Instance masks: the check, files, outlines and statistics, against ray casting and scikit-image."""

import io

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.draw import polygon

from sian.data.formats.regions import Shape, draw
from sian.errors import BadInput
from sian.masks import (
    check_mask,
    decode_mask_png,
    encode_mask_png,
    median_area,
    nucleus_areas,
    nucleus_ids,
    nucleus_pieces,
    read_mask,
    write_mask,
)
from sian.masks.outlines import check_ring, fill_ring


def ray_cast(vertices, height, width):
    """The definition: a centre is inside when a ray to the left crosses the outline an odd number of times."""
    inside = np.zeros((height, width), bool)
    for i in range(height):
        for j in range(width):
            x, y, crossings = j + 0.5, i + 0.5, 0
            for (x0, y0), (x1, y1) in zip(vertices, [*vertices[1:], vertices[0]], strict=True):
                if (y0 <= y) != (y1 <= y):
                    crossings += x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x
            inside[i, j] = crossings % 2
    return inside


# check_mask


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.int64, np.uint64, ">u2"])
def test_integers_of_any_kind(dtype):
    checked = check_mask(np.array([[0, 3], [200, 3]], dtype))
    assert checked.dtype == np.int32
    assert checked.tolist() == [[0, 3], [200, 3]]


def test_a_good_mask_is_not_copied():
    good = np.zeros((4, 5), np.int32)
    assert check_mask(good) is good
    assert check_mask(np.asfortranarray(good)).flags.c_contiguous


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (
            np.zeros((4, 4, 3), np.uint8),
            r"a\.png: expected one id a nucleus.*found RGB \(4, 4, 3\)",
        ),
        (np.zeros((4, 4, 1), np.uint8), r"found shape \(4, 4, 1\)"),
        (np.zeros(4, np.uint8), r"found shape \(4,\)"),
        (np.zeros((0, 4), np.uint8), "0 x 4 pixels"),
        (np.zeros((4, 4)), "found float64, expected integer ids"),
        (np.zeros((4, 4), bool), "boolean"),
        (np.full((4, 4), -1), r"negative ids \(down to -1\)"),
        (np.full((4, 4), 2**31), "found id 2147483648"),
    ],
)
def test_what_is_not_an_instance_mask(array, found):
    with pytest.raises(BadInput, match=found):
        check_mask(array, "a.png")


def grid_of_squares(value=255):
    semantic = np.zeros((64, 64), np.uint8)
    for y in range(4, 60, 16):
        for x in range(4, 60, 16):
            semantic[y : y + 8, x : x + 8] = value
    return semantic


@pytest.mark.parametrize("value", [1, 255])
def test_a_semantic_mask_is_not_taken_for_ids(value):
    with pytest.raises(BadInput, match=rf"only the id {value} in 16 separate pieces.*skimage\.measure\.label"):
        check_mask(grid_of_squares(value))


def test_a_mask_of_classes_is_not_taken_for_ids():
    classes = np.kron(np.array([[1, 2], [2, 1]], np.uint8), np.ones((32, 32), np.uint8)) * (grid_of_squares() > 0)
    with pytest.raises(BadInput, match="only the ids 1, 2 in 16 separate pieces"):
        check_mask(classes)


def test_one_nucleus_in_three_pieces_is_legal():
    mask = np.zeros((9, 9), np.uint8)
    mask[::4, 4] = 5
    assert nucleus_pieces(check_mask(mask)).tolist() == [3]


# files


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_round_trip(tmp_path, name):
    mask = np.array([[0, 1, 65_535], [0, 300, 300]], np.int64)
    assert write_mask(tmp_path / name, mask) == tmp_path / name
    assert read_mask(tmp_path / name).dtype == np.int32
    np.testing.assert_array_equal(read_mask(tmp_path / name), mask)


def test_png_is_16_bit_grey_for_other_readers(tmp_path):
    write_mask(tmp_path / "a.png", np.array([[0, 40_000]]))
    other = np.asarray(Image.open(tmp_path / "a.png"))
    assert other.tolist() == [[0, 40_000]]


def test_ids_beyond_16_bits_go_to_tiff(tmp_path):
    mask = np.array([[0, 65_536], [2**31 - 1, 1]], np.int64)
    assert write_mask(tmp_path / "a.png", mask) == tmp_path / "a.tif"
    stored = tifffile.imread(tmp_path / "a.tif")
    assert stored.dtype == np.uint32
    np.testing.assert_array_equal(stored, mask)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif"), mask)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[0].compression.name == "ADOBE_DEFLATE"
    assert not (tmp_path / "a.png").exists()
    with pytest.raises(BadInput, match="2147483647"):
        encode_mask_png(mask.astype(np.int32))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_masks_of_other_writers(tmp_path, dtype):
    mask = np.array([[0, 1, 2], [0, 100, 100]], dtype)
    np.save(tmp_path / "a.npy", mask)
    tifffile.imwrite(tmp_path / "a.tif", mask)
    names = ["a.npy", "a.tif"]
    if dtype in (np.uint8, np.uint16):
        Image.fromarray(mask).save(tmp_path / "a.png")
        names.append("a.png")
    for name in names:
        np.testing.assert_array_equal(read_mask(tmp_path / name), mask)


def test_png_bytes_round_trip():
    mask = np.array([[0, 1, 65_535]], np.int32)
    np.testing.assert_array_equal(decode_mask_png(encode_mask_png(mask)), mask)


def test_files_that_are_no_masks(tmp_path):
    np.save(tmp_path / "float.npy", np.full((4, 4), 0.5))
    np.save(tmp_path / "object.npy", np.array([[{}]], object), allow_pickle=True)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "rgb.png")
    Image.fromarray(np.zeros((4, 4), np.uint8)).convert("P").save(tmp_path / "palette.png")
    tifffile.imwrite(tmp_path / "pages.tif", np.zeros((5, 4, 4), np.uint8), photometric="minisblack")
    buffer = io.BytesIO()
    np.savez(buffer, np.zeros((4, 4), int))
    (tmp_path / "zip.npy").write_bytes(buffer.getvalue())
    (tmp_path / "broken.tif").write_bytes(b"II*\0nonsense")
    tifffile.imwrite(tmp_path / "cut.tif", np.zeros((64, 64), np.uint16), compression="zlib")
    (tmp_path / "cut.tif").write_bytes((tmp_path / "cut.tif").read_bytes()[:-20])
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nonsense")
    (tmp_path / "empty.npy").touch()
    (tmp_path / "a.jpg").touch()
    for name, found in [
        ("float.npy", "not whole"),
        ("object.npy", "cannot be read as a NumPy array"),
        ("zip.npy", "cannot be read as a NumPy array"),
        ("rgb.png", "found RGB"),
        ("palette.png", "palette"),
        ("pages.tif", "more than one page"),
        ("broken.tif", "cut short or broken"),
        ("cut.tif", "cannot be read as a TIFF"),
        ("broken.png", "cannot be read as a picture"),
        ("empty.npy", "0 bytes"),
        ("a.jpg", "found .jpg"),
        ("none.png", "no such file"),
    ]:
        with pytest.raises(BadInput, match=f"{name}.*({found})"):
            read_mask(tmp_path / name)


def test_npy_that_claims_to_be_huge(tmp_path):
    np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, (100_000, 100_000))._mmap.close()
    with pytest.raises(BadInput, match=r"found shape \(100000, 100000\)"):
        read_mask(tmp_path / "a.npy")


# outlines


def filled(vertices, height, width):
    """What is inside of one outline: (height, width) bool."""
    top, left, inside = fill_ring(check_ring(vertices), height, width)
    whole = np.zeros((height, width), bool)
    whole[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return whole


@given(
    st.lists(
        st.tuples(st.floats(-6, 20, allow_subnormal=False), st.floats(-6, 18, allow_subnormal=False)),
        min_size=3,
        max_size=9,
    )
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_outline_equals_ray_casting(vertices):
    drawn = filled(np.array(vertices), 12, 14)
    np.testing.assert_array_equal(drawn, ray_cast(vertices, 12, 14))


@given(st.lists(st.tuples(st.integers(-4, 36), st.integers(-4, 28)), min_size=3, max_size=8))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_outlines_through_pixel_centres_equal_ray_casting(halves):
    vertices = [(x / 2, y / 2) for x, y in halves]
    drawn = filled(vertices, 12, 14)
    np.testing.assert_array_equal(drawn, ray_cast(vertices, 12, 14))


def test_outlines_equal_scikit_image_shifted_by_half_a_pixel():
    rng = np.random.default_rng(0)
    for _ in range(100):
        vertices = rng.uniform(-10, 60, (rng.integers(3, 12), 2))
        expected = np.zeros((50, 45), bool)
        expected[polygon(vertices[:, 1] - 0.5, vertices[:, 0] - 0.5, (50, 45))] = True
        np.testing.assert_array_equal(filled(vertices, 50, 45), expected)


def drawn_of(outlines, height, width):
    """Outlines as the readers of annotation files draw them."""
    rings = [check_ring(outline) for outline in outlines]
    filled = [fill_ring(ring, height, width) if len(ring) >= 3 else None for ring in rings]
    return draw("here", [Shape("outline", region) for region in filled], height, width)


def test_a_square_by_hand():
    drawn = drawn_of([[(1, 1), (3, 1), (3, 2), (1, 2)]], 3, 4)
    assert drawn.mask.tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert (drawn.facts, drawn.drawn, drawn.left_out) == ({"overlaps": 0, "lost_pixels": 0}, {"outline": 1}, {})


def test_the_first_drawn_keeps_the_pixel():
    first = [(0, 0), (4, 0), (4, 4), (0, 4)]
    second = [(2, 2), (6, 2), (6, 6), (2, 6)]
    drawn = drawn_of([first, second], 8, 8)
    assert nucleus_areas(drawn.mask).tolist() == [16, 12]
    assert drawn.facts == {"overlaps": 1, "lost_pixels": 4}


def test_neighbours_share_an_edge_without_gap_or_overlap():
    left = [(0, 0), (3.5, 0), (2.5, 6), (0, 6)]
    right = [(3.5, 0), (7, 0), (7, 6), (2.5, 6)]
    drawn = drawn_of([left, right], 6, 7)
    assert drawn.facts["overlaps"] == 0
    assert (drawn.mask > 0).all()


def test_dropped_and_vanished_regions_leave_no_gap_in_the_ids():
    outlines = [
        [(0, 0), (5, 5)],
        [],
        [(0, 0), (2, 0), (2, 2), (0, 2)],
        [(-9, -9), (-5, -9), (-5, -5)],
        [(0, 0), (2, 0), (2, 2), (0, 2)],
        [(4.6, 4.6), (4.9, 4.6), (4.9, 4.9)],
        [(4, 4), (6, 4), (6, 6), (4, 6)],
    ]
    drawn = drawn_of(outlines, 8, 8)
    assert nucleus_ids(drawn.mask).tolist() == [1, 2]
    assert (drawn.left_out, drawn.vanished) == ({"outline": 2}, 3)
    assert drawn.facts == {"overlaps": 1, "lost_pixels": 4}


def test_even_odd():
    bow_tie = [(0, 0), (8, 0), (0, 8), (8, 8)]
    np.testing.assert_array_equal(filled(bow_tie, 8, 8), ray_cast(bow_tie, 8, 8))
    twice_around = [(0, 0), (4, 0), (4, 4), (0, 4)] * 2
    assert not filled(twice_around, 4, 4).any()


@pytest.mark.parametrize("outline", [[1, 2, 3], [[1, 2, 3]] * 3, [(0, 0), (1, np.nan), (2, 2)]])
def test_outlines_that_are_none(outline):
    with pytest.raises(BadInput, match="expected"):
        check_ring(outline)


def test_no_outlines_give_background():
    assert not drawn_of([], 3, 4).mask.any()


# statistics


def random_mask(seed=0):
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, 30, (40, 50)).astype(np.int32)
    mask[mask == 7] = 100_000_000  # huge ids are legal
    return mask


def test_statistics_against_plain_loops():
    from scipy import ndimage

    mask = random_mask()
    ids = [i for i in np.unique(mask) if i]
    assert nucleus_ids(mask).tolist() == ids
    assert nucleus_areas(mask).tolist() == [(mask == i).sum() for i in ids]
    pieces = [ndimage.label(mask == i, np.ones((3, 3)))[1] for i in ids]
    assert nucleus_pieces(mask).tolist() == pieces


def test_median_area_of_one_and_of_several():
    one, two = np.array([[1, 1, 2]], np.int32), np.array([[5, 5, 5]], np.int32)
    assert median_area(one) == 1.5
    assert median_area([one, two]) == 2
    assert np.isnan(median_area(np.zeros((2, 2), np.int32)))
    assert nucleus_pieces(np.zeros((2, 2), np.int32)).tolist() == []
