"""Tile by tile is in one piece: layouts of parts, the halo, sizes, borders, seeds; indexes and lazy masks."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from skimage.measure import regionprops
from tests.synthesis.test_painting import difference, style
from tests.synthesis.toys import grid_mask, toy_painter

from sian.errors import BadInput
from sian.layout import describe
from sian.networks import FoldedGenerator
from sian.nuclei import scatter
from sian.slides.levels import Area
from sian.slides.mask_source import ScaledMask, open_mask, read_whole
from sian.slides.nucleus_index import index_nuclei
from sian.synthesis import painting, supertiles
from sian.synthesis.magnification import rescale_mask
from sian.synthesis.painting import Noise, paint
from sian.synthesis.supertiles import check_local, paint_supertile

from .slide_files import picture, write_ome, write_zarr


class Held:
    """A mask in memory, as the index and the painter see one."""

    def __init__(self, mask):
        self.path, self.shape, self.mask, self.areas = "held", mask.shape, mask, []

    def read(self, area):
        self.areas.append(area)
        return self.mask[area.top : area.bottom, area.left : area.right]


@pytest.fixture(scope="module")
def generator():
    return toy_painter().generator


def by_tiles(generator, mask, noise, side):
    """What `production.slide_painting` does, without files."""
    source = Held(mask)
    index = index_nuclei(source, block=100)
    image = np.zeros((*mask.shape, 3), np.uint8)
    for tile in supertiles.supertiles(mask.shape, side, generator.upsampling):
        window = index.around(tile.cut)
        inner = tile.cut.seen_from(window)
        layout = describe(source.read(window)).window(inner.top, inner.left, inner.height, inner.width)
        core = tile.core
        image[core.top : core.bottom, core.left : core.right] = paint_supertile(generator, layout, style(), noise, tile)
    return image


@pytest.fixture
def small_windows(monkeypatch):
    """Windows of 64 px, so that small pictures have many."""
    for module in (painting, supertiles):
        monkeypatch.setattr(module, "WINDOW", 64)


@pytest.mark.parametrize(
    ("size", "side"), [((1, 1), 64), ((40, 63), 64), ((65, 200), 64), ((700, 33), 320), ((390, 610), 320)]
)
def test_tiles_equal_one_piece_for_any_size(generator, size, side, small_windows):
    mask = grid_mask(*size, first=5, step=3)
    whole = paint(generator, describe(mask), style(), Noise(3), 1 << 14)
    assert difference(whole, by_tiles(generator, mask, Noise(3), side)) <= 1


@pytest.mark.parametrize(
    ("padding", "seed", "upsampling"), [("zeros", 0, "nearest"), ("reflect", 7, "nearest"), ("reflect", 1, "bilinear")]
)
def test_tiles_equal_one_piece_for_any_border_and_seed(padding, seed, upsampling, small_windows):
    generator = toy_painter(padding=padding, upsampling=upsampling).generator
    mask = grid_mask(670, 420)
    noise = Noise(seed, 0.7, (96, 32))
    whole = paint(generator, describe(mask), style(), noise, 1 << 14)
    assert difference(whole, by_tiles(generator, mask, noise, 320)) <= 1
    assert whole.std() > 10


@pytest.mark.parametrize(("upsampling", "needed"), [("nearest", 288), ("bilinear", 320)])
def test_the_halo_is_what_the_coarse_blocks_see(upsampling, needed):
    """At 288 px (bilinear: 320) the features around a core are those of the whole; at 256 px they are not quite.

    At 288 px what bilinear doubling misses is a quarter of a corner: too little to be told from rounding.
    """
    generator = toy_painter(upsampling=upsampling).generator
    layout = describe(scatter(1024, 1024, 0))

    def features(canvas_of, origin):
        canvas = painting._Canvas(generator, painting.PlainBrush(generator, style()[None]), canvas_of, style()[None],
                                  Noise(1, origin=(origin, origin)))  # fmt: skip
        with torch.inference_mode():
            return canvas.coarse()

    whole = features(layout, 0)
    first, last = (512 - 32) // 8, (544 + 32) // 8  # a core of 32 px and the margin of its fine windows
    wanted = whole[..., first:last, first:last]
    assert supertiles.halo(upsampling=upsampling) == needed

    def from_cut(halo):
        start = 512 - halo
        cut = features(layout.window(start, start, 32 + 2 * halo, 32 + 2 * halo), start)
        place = (halo - 32) // 8
        return cut[..., place : place + last - first, place : place + last - first]

    assert (from_cut(needed) - wanted).abs().max() < 3e-7  # rounding
    assert (from_cut(256) - wanted).abs().max() > 5e-7


def test_nuclei_at_a_cut_are_described_whole():
    mask = grid_mask(300, 300)
    mask[140:160, 90:230] = 999  # one that reaches over several parts, and one in two pieces
    mask[10:20, 100:110] = mask[60:70, 130:140] = 1000
    whole, index = describe(mask), index_nuclei(Held(mask), block=64)
    for area in (Area(0, 0, 100, 105), Area(96, 96, 64, 64), Area(150, 150, 150, 150), Area(299, 299, 1, 1)):
        window = index.around(area)
        inner = area.seen_from(window)
        ids = mask[window.top : window.bottom, window.left : window.right]
        found = describe(ids).window(inner.top, inner.left, inner.height, inner.width)
        expected = whole.window(area.top, area.left, area.height, area.width)
        for part in ("semantic", "direction", "distance", "centre", "boundary", "depth"):
            np.testing.assert_array_equal(getattr(found, part), getattr(expected, part), err_msg=part)


@pytest.mark.parametrize("scale", [1, 100_000])
def test_the_index_is_what_skimage_says(scale):
    mask = grid_mask(130, 210, first=4, step=7) * scale
    index = index_nuclei(Held(mask), block=50)
    expected = regionprops(mask)
    assert index.ids.tolist() == [region.label for region in expected]
    assert index.boxes.tolist() == [list(region.bbox) for region in expected]
    assert index.areas.tolist() == [region.area for region in expected]
    moved = mask.copy()
    moved[mask == mask.max()] = 0
    assert index_nuclei(Held(moved)).digest != index.digest
    assert len(index_nuclei(Held(np.zeros((5, 5), np.int32)))) == 0


def test_ids_that_begin_anew_in_each_tile_are_refused():
    tile = grid_mask(320, 320)
    with pytest.raises(BadInput, match=r"nucleus 1 reaches over \d+ x \d+ px, expected at most 512 .* number their"):
        index_nuclei(Held(np.tile(tile, (3, 3))))


def test_only_a_part_of_a_mask_is_read(tmp_path):
    mask = grid_mask(400, 600)
    path = write_ome(tmp_path / "m.ome.tif", mask.astype(np.uint16))
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].dataoffsets[0]
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(b"\xff" * 16)
    source = open_mask(path)
    np.testing.assert_array_equal(source.read(Area(100, 100, 90, 300)), mask[100:190, 100:400])
    with pytest.raises(BadInput, match="cannot be read as a TIFF"):
        source.read(Area(0, 0, 10, 10))
    source.close()


def test_masks_of_every_kind(tmp_path):
    mask = grid_mask(200, 300)
    np.save(tmp_path / "m.npy", mask.astype(np.uint16))
    tifffile.imwrite(tmp_path / "m.tif", mask.astype(np.float32))
    write_ome(tmp_path / "m.ome.tif", mask.astype(np.uint32), 0.25)
    write_zarr(tmp_path / "m.ome.zarr", picture(), 0.25, mask.astype(np.uint16))
    (tmp_path / "m.ome.zarr" / "labels" / "nuclei").rename(tmp_path / "labels.zarr")
    write_zarr(tmp_path / "m.ome.zarr", picture(), 0.25, mask.astype(np.uint16))
    for name in ("m.npy", "m.tif", "m.ome.tif", "m.ome.zarr", "labels.zarr"):
        source = open_mask(tmp_path / name)
        assert source.shape == (200, 300)
        np.testing.assert_array_equal(source.read(Area(30, 40, 120, 111)), mask[30:150, 40:151])
        source.close()


def test_what_is_no_mask(tmp_path):
    np.save(tmp_path / "m.npy", np.array([[-1, 3]]))
    with pytest.raises(BadInput, match="found ids from -1 to 3"):
        read_whole(tmp_path / "m.npy")
    with pytest.raises(BadInput, match="expected one id a nucleus in a single channel"):
        read_whole(write_ome(tmp_path / "a.ome.tif", picture()))
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        file.write(np.ones((100, 100), np.uint16), subifds=1, tile=(32, 32))
        file.write(np.ones((50, 99), np.uint16), subfiletype=1, tile=(32, 32))
    with pytest.raises(BadInput, match="level 1 has 50 x 99 px and level 0 100 x 100; expected a smaller copy"):
        open_mask(tmp_path / "b.tif")
    with pytest.raises(BadInput, match="expected a mask as"):
        open_mask(tmp_path / "a.jpg")


@pytest.mark.parametrize("shape", [(260, 391), (77, 100), (200, 300)])
def test_a_scaled_mask_is_the_whole_one_scaled(tmp_path, shape):
    mask = grid_mask(200, 300)
    np.save(tmp_path / "m.npy", mask)
    scaled = ScaledMask(open_mask(tmp_path / "m.npy"), shape, 0.25)
    expected = rescale_mask(mask, shape)
    np.testing.assert_array_equal(scaled.read(Area(0, 0, *shape)), expected)
    np.testing.assert_array_equal(scaled.read(Area(31, 17, 40, 53)), expected[31:71, 17:70])


def test_a_network_that_sees_all_is_refused():
    with pytest.raises(BadInput, match="paints an image as a whole"):
        check_local(torch.nn.Identity())


@pytest.mark.parametrize("margins", [(256, 256, 256, 256), (0, 256, 96, 0), (32, 64, 288, 160)])
def test_margins_of_the_coarse_blocks_are_left_out_early_without_a_difference(margins):
    """Folded and trimmed against plain and whole: a margin that is kept too small changes what is inside."""
    top, left, bottom, right = margins
    generator = toy_painter(padding="zeros").generator
    layout = describe(scatter(top + 64 + bottom, left + 96 + right, 1))
    vector = style()[None]
    features = []
    for brush in (painting.PlainBrush(generator, vector), FoldedGenerator(generator).brush(vector)):
        canvas = painting._Canvas(generator, brush, layout, vector, Noise(1))
        with torch.inference_mode():
            features.append((canvas.coarse(), canvas.coarse(margins)))
    (whole, plain), (_, folded) = features
    inside = whole[..., top // 8 : top // 8 + 8, left // 8 : left // 8 + 12]
    torch.testing.assert_close(plain, inside, rtol=0, atol=0)
    full = features[1][0][..., top // 8 : top // 8 + 8, left // 8 : left // 8 + 12]
    torch.testing.assert_close(folded, full, rtol=0, atol=2e-6)
