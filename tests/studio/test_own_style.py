"""A drawing on a real picture is painted in that picture's style and tissue."""

import json
import time

import numpy as np
import pytest

import sian
from sian.data.dataset import open_dataset
from sian.data.writing import DatasetInfo, DatasetWriter
from sian.studio_app import corrected, dropped, errands, messages
from sian.studio_app.shelf import MOST_PASSING, Shelf
from sian.studio_app.studio import Studio
from sian.studio_app.tissue_brush import as_map
from sian.synthesis import load

SHAPE = (96, 128)


def wait_until(there):
    end = time.monotonic() + 60
    while not there():
        assert time.monotonic() < end
        time.sleep(0.02)


def a_mask():
    mask = np.zeros(SHAPE, np.int32)
    mask[10:30, 10:30], mask[60:75, 80:100] = 4, 900
    return mask


def a_picture(number):
    picture = np.random.default_rng(number).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    picture[:, 64:] = 250  # empty
    return picture


@pytest.fixture
def data(tmp_path):
    writer = DatasetWriter(tmp_path / "mine", DatasetInfo(name="mine"))
    for number in (1, 2):
        writer.add(f"tile-{number}", a_picture(number), a_mask())
    return tmp_path / "mine"


@pytest.fixture
def knowing(knowing_path, tmp_path):
    made = Studio(load(knowing_path), tmp_path, model_path=knowing_path)
    made.start()
    yield made
    made.close()


def undo(studio):
    studio.do(messages.parse(json.dumps({"op": "undo"})))


def test_a_tile_is_painted_in_its_own_style_and_tissue(knowing, data):
    before = dict(knowing.settings["style"])
    corrected.open_tiles(knowing, data)
    wait_until(lambda: list(knowing.settings["style"]) == ["@tile-1"])
    expected = sian.load(knowing.model_path).encode(a_picture(1))
    np.testing.assert_allclose(knowing.shelf.style(knowing.settings["style"]).vector, expected.vector, atol=1e-6)
    np.testing.assert_allclose(as_map(knowing.document.cells), sian.tissue_map(a_picture(1), a_mask()), atol=0.01)
    corrected.show(knowing, knowing.tiles, 1)
    wait_until(lambda: list(knowing.settings["style"]) == ["@tile-2"])
    assert knowing.shelf.passing == ["@tile-1", "@tile-2"]
    np.testing.assert_allclose(as_map(knowing.document.cells), sian.tissue_map(a_picture(2), a_mask()), atol=0.01)
    for _ in range(2):
        undo(knowing)  # the style, then the tissue
    assert list(knowing.settings["style"]) == ["@tile-1"]
    assert not knowing.document.cells.any()
    for _ in range(4):
        undo(knowing)  # the second tile, the first one's style and tissue, and that tile
    assert dict(knowing.settings["style"]) == before
    assert not knowing.document.mask.any()


def test_a_picture_that_was_dropped_for_its_nuclei_is_painted_like_itself(knowing, monkeypatch):
    class Finds:
        def predict(self, _):
            return a_mask()

    monkeypatch.setattr("sian.segmentation.load", lambda _: Finds())
    dropped.become_nuclei(knowing, "slide.png", a_picture(3))
    wait_until(lambda: list(knowing.settings["style"]) == ["@slide"])
    np.testing.assert_allclose(as_map(knowing.document.cells), sian.tissue_map(a_picture(3), a_mask()), atol=0.01)


def tell(studio, **message):
    return errands.do(studio, messages.parse(json.dumps(message)))


def test_two_pictures_of_one_name_are_painted_each_like_itself(knowing, monkeypatch):
    class Finds:
        def predict(self, _):
            return a_mask()

    monkeypatch.setattr("sian.segmentation.load", lambda _: Finds())
    numbers = []
    for number, worn in ((3, "@slide"), (4, "@slide-2"), (3, "@slide")):
        dropped.become_nuclei(knowing, "slide.png", a_picture(number))
        wait_until(lambda: knowing.jobs.state() is None)
        assert list(knowing.settings["style"]) == [worn]
        expected = sian.load(knowing.model_path).encode(a_picture(number)).vector
        np.testing.assert_allclose(knowing.painter.wanted.style.vector, expected, atol=1e-6)
        numbers.append(knowing.state()["below"])
    assert len(set(numbers)) == 3  # by it a page knows that the picture below is another one


def test_what_was_chosen_and_drawn_while_the_tile_was_encoded_stays(knowing, data):
    hold = []
    knowing.jobs.add("something that takes long", lambda _: wait_until(lambda: bool(hold)))
    corrected.open_tiles(knowing, data)
    other = next(name for name in knowing.model.styles if name not in knowing.settings["style"])
    tell(knowing, op="settings", style={other: 1})
    tell(knowing, op="tissue", what="lumen", points=[[40, 40], [60, 40]])
    cells = knowing.document.cells.copy()
    hold.append(True)
    wait_until(lambda: knowing.jobs.state() is None)
    assert list(knowing.settings["style"]) == [other]
    assert np.array_equal(knowing.document.cells, cells)
    assert "@tile-1" in knowing.shelf.names()  # a click away


def test_tiles_that_are_leafed_through_leave_room_for_other_jobs(knowing, data):
    hold, done = [], []
    knowing.jobs.add("something that takes long", lambda _: wait_until(lambda: bool(hold)))
    corrected.open_tiles(knowing, data)
    for _ in range(21):
        tell(knowing, op="tile", step=1)
    assert knowing.state()["job"]["waiting"] == 1
    knowing.jobs.add("another one", lambda _: done.append(True))
    hold.append(True)
    wait_until(lambda: bool(done))
    assert list(knowing.settings["style"]) == ["@tile-2"]  # that of the last one
    assert "@tile-1" not in knowing.shelf.names()


def test_a_comparison_says_nothing_of_another_tile(knowing, data, monkeypatch):
    class Finds:
        def predict(self, _):
            tell(knowing, op="tile", step=1)
            return a_mask()

    monkeypatch.setattr("sian.segmentation.load", lambda _: Finds())
    said = []
    knowing.listeners.append(lambda head, _: said.append(head.get("sentence", "")))
    corrected.open_tiles(knowing, data)
    corrected.compare(knowing)
    wait_until(lambda: knowing.jobs.state() is None)
    assert [sentence for sentence in said if sentence] == ["another drawing was opened meanwhile; compare again"]


def test_the_next_tile_is_that_after_the_one_that_undoing_brought_back(knowing, data):
    DatasetWriter(data, open_dataset(data).info).add("tile-3", a_picture(3), a_mask())
    corrected.open_tiles(knowing, data)
    hold = []
    knowing.jobs.add("something that takes long", lambda _: wait_until(lambda: bool(hold)))
    for _ in range(2):
        tell(knowing, op="tile", step=1)
    while knowing.name != "tile-2":
        undo(knowing)
    assert knowing.state()["tiles"]["place"] == 2
    tell(knowing, op="tile", step=1)
    assert (knowing.name, knowing.state()["tiles"]["place"]) == ("tile-3", 3)
    hold.append(True)


def test_a_restart_goes_on_with_the_tile_that_was_drawn_on(knowing_path, data, tmp_path):
    first = Studio(load(knowing_path), tmp_path, model_path=knowing_path)
    corrected.open_tiles(first, data)
    tell(first, op="tile", step=1)
    tell(first, op="delete", ids=[4])
    first.close()  # before the tile's style was encoded
    again = Studio(load(knowing_path), tmp_path, model_path=knowing_path)
    corrected.open_tiles(again, data)
    assert (again.name, again.state()["item"], again.state()["tiles"]["place"]) == ("tile-2", "tile-2", 2)
    assert np.array_equal(again.below.picture, a_picture(2))
    assert "1 nucleus" in tell(again, op="do", what="keep tile")["sentence"]
    changed = open_dataset(data)
    assert not (changed.mask(changed["tile-2"]) == 4).any()
    assert (changed.mask(changed["tile-1"]) == 4).any()
    again.start()
    wait_until(lambda: list(again.settings["style"]) == ["@tile-2"])
    undo(again)
    undo(again)  # the style and the tissue
    undo(again)
    assert (again.document.mask == 4).any()
    again.close()


def test_a_tile_whose_picture_is_another_one_now_is_opened_anew(knowing_path, data, tmp_path):
    first = Studio(load(knowing_path), tmp_path, model_path=knowing_path)
    corrected.open_tiles(first, data)
    tell(first, op="tile", step=1)
    first.close()
    DatasetWriter(data, open_dataset(data).info).add("tile-2", a_picture(9), a_mask())
    again = Studio(load(knowing_path), tmp_path, model_path=knowing_path)
    corrected.open_tiles(again, data)
    assert again.name == "tile-1"
    again.close()


def test_a_tile_that_was_left_meanwhile_changes_nothing(knowing, data):
    corrected.open_tiles(knowing, data)
    wait_until(lambda: list(knowing.settings["style"]) == ["@tile-1"])
    hold = []
    knowing.jobs.add("something that takes long", lambda _: wait_until(lambda: bool(hold)))
    corrected.show(knowing, knowing.tiles, 1)
    knowing.do(messages.parse(json.dumps({"op": "new", "width": 64, "height": 64})))
    hold.append(True)
    wait_until(lambda: knowing.jobs.state() is None)
    assert list(knowing.settings["style"]) == ["@tile-1"]
    assert "@tile-2" not in knowing.shelf.names()
    assert not knowing.document.cells.any()


def test_styles_of_tiles_make_room_for_each_other_but_not_for_what_was_asked_for(model, tmp_path):
    shelf = Shelf(model)
    style = model.style("kidney")
    mine = shelf.add("mine", style)
    tiles = [shelf.add(f"tile-{number}", style, passing=True) for number in range(MOST_PASSING + 2)]
    assert [name for name in shelf.names() if name.startswith("@")] == [mine, *tiles[2:]]
    shelf.add("tile-5", style)  # asked for now
    for number in range(100, 100 + MOST_PASSING):
        shelf.add(f"tile-{number}", style, passing=True)
    kept = [name for name in shelf.names() if name.startswith("@")]
    assert kept[:2] == [mine, "@tile-5"]
    assert len(kept) == 2 + MOST_PASSING


def test_a_style_that_is_worn_or_was_chosen_makes_no_room(model):
    shelf = Shelf(model)
    style = model.style("kidney")
    for number in range(MOST_PASSING):
        shelf.add(f"tile-{number}", style, passing=True)
    shelf.ask_for(["@tile-1"])
    for number in range(100, 101 + MOST_PASSING):
        shelf.add(f"tile-{number}", style, passing=True, worn=["@tile-0"])
    assert {"@tile-0", "@tile-1"} <= set(shelf.names())
    assert "@tile-2" not in shelf.names()
    shelf.add("mine", style)
    shelf.add("mine", style, passing=True)
    assert "@mine" not in shelf.passing


def test_a_restart_still_knows_which_styles_make_room(knowing_path, tmp_path):
    first = Studio(load(knowing_path), tmp_path, model_path=knowing_path)
    first.add_style("mine", first.model.style("kidney"))
    first.add_style("tile", first.model.style("kidney"), passing=True)
    first.close()
    again = Studio(load(knowing_path), tmp_path, model_path=knowing_path)
    assert again.shelf.passing == ["@tile"]
    assert {"@mine", "@tile"} <= set(again.shelf.names())
    tell(again, op="settings", style={"@tile": 1})
    again.close()
    third = Studio(load(knowing_path), tmp_path, model_path=knowing_path)
    assert third.shelf.passing == []  # it was chosen
    third.close()
