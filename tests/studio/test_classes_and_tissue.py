"""Classes of nuclei and what lies between them: drawn, undone, kept, saved, and painted as `synthesize` paints them."""

from __future__ import annotations

import io
import json
import warnings

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from tests.studio.conftest import NAMES
from tests.studio.test_server import HOST, TOKEN, connect, until

from sian.data import DatasetInfo, DatasetWriter, open_dataset
from sian.errors import BadInput, SianWarning
from sian.layout import describe
from sian.layout.tissue_map import CELL, tissue_layers
from sian.networks.drawn_tissue import DrawnTissue
from sian.nuclei import generate
from sian.studio_app import corrected, messages, saving
from sian.studio_app.errands import take
from sian.studio_app.server import application
from sian.studio_app.studio import Studio
from sian.studio_app.tissue_brush import as_map, layers_again, nothing_said, tissue_stroke
from sian.synthesis import load

SHAPE = (144, 200)  # no multiples of a cell in width


@pytest.fixture
def knowing(knowing_path, tmp_path):
    made = Studio(load(knowing_path), tmp_path, model_path=knowing_path)
    made.do(messages.parse(json.dumps({"op": "new", "width": SHAPE[1], "height": SHAPE[0]})))
    yield made
    made.close()


def say(studio: Studio, **message) -> dict:
    return studio.do(messages.parse(json.dumps(message)))


def draw(studio: Studio, x: float, y: float, kind: str = "") -> int:
    return say(studio, op="draw", points=[[x, y], [x + 6, y]], radius=5, kind=kind)["nucleus"]


def assert_described(studio: Studio) -> None:
    """The layout is what `sian.describe` says of mask, classes and map."""
    document = studio.document
    tissue = as_map(document.cells)
    expected = describe(document.mask, document.known_classes(), NAMES, tissue=tissue)
    for name in ("semantic", "direction", "distance", "classes", "tissue"):
        assert np.array_equal(getattr(document.layout, name), getattr(expected, name)), name


def test_the_layout_follows_classes_and_tissue_and_back(knowing):
    one = draw(knowing, 30, 30, "dead")
    two = draw(knowing, 70, 30, "stromal")
    three = draw(knowing, 110, 30)
    assert knowing.document.known_classes() == {one: "dead", two: "stromal"}
    assert knowing.state()["unclassed"] == 1
    say(knowing, op="tissue", what="lumen", points=[[50, 90], [80, 95]], radius=20)
    say(knowing, op="tissue", what="stroma", points=[[0, 60], [199, 130]], radius=25, density=-0.4)
    say(knowing, op="classify", ids=[three], kind="epithelial")
    say(knowing, op="classify", points=[[10, 10], [100, 10], [100, 50], [10, 50]], kind="dead")
    say(knowing, op="tissue", what="plain", points=[[60, 90]], radius=12)
    say(knowing, op="split", points=[[33, 15], [33, 45]])
    assert_described(knowing)
    steps = len(knowing.document.done)
    states = []
    while len(knowing.document.done) > 1:
        states.append((knowing.document.mask.copy(), knowing.document.known_classes(), knowing.document.cells.copy()))
        say(knowing, op="undo")
        assert_described(knowing)
    assert not knowing.document.mask.any()
    assert not knowing.document.cells.any()
    for mask, classes, cells in reversed(states):
        say(knowing, op="redo")
        assert np.array_equal(knowing.document.mask, mask)
        assert knowing.document.known_classes() == classes
        assert np.array_equal(knowing.document.cells, cells)
    assert len(knowing.document.done) == steps
    assert_described(knowing)


def test_classes_follow_their_nuclei(knowing):
    nucleus = draw(knowing, 60, 60, "stromal")
    say(knowing, op="split", points=[[66, 40], [66, 80]])
    assert knowing.document.known_classes() == {nucleus: "stromal", nucleus + 1: "stromal"}
    say(knowing, op="transform", nucleus=nucleus, dx=-20)
    say(knowing, op="classify", ids=[nucleus], kind="dead")
    say(knowing, op="merge", points=[[40, 60], [69, 60]])
    assert list(knowing.document.known_classes().values()) == ["dead"]
    say(knowing, op="delete", ids=[nucleus])
    assert draw(knowing, 100, 60) == nucleus  # the id is free again, and its class went with the old one
    assert knowing.document.known_classes() == {}
    filled = say(knowing, op="fill", points=[[2, 70], [198, 70], [198, 140], [2, 140]], organ="kidney", kind="dead")
    assert len(knowing.document.known_classes()) == filled["added"]


def test_strokes_say_what_is_there():
    cells = nothing_said(SHAPE)
    lumen = tissue_stroke(cells, SHAPE, "lumen", [(88, 72)], 40).after
    assert (lumen[..., 0] == 127).all()  # the first stroke says of the rest that it is ordinary tissue
    assert as_map(lumen)[72 // CELL, 88 // CELL].tolist() == [1, 0, 0, 0]
    assert as_map(lumen)[0, 0].tolist() == [0, 0, 0, 0]
    for angle in (0.0, 0.6, 1.3, 2.4):
        way = [(100 - 60 * np.cos(angle), 72 - 60 * np.sin(angle)), (100 + 60 * np.cos(angle), 72 + 60 * np.sin(angle))]
        change = tissue_stroke(lumen, SHAPE, "stroma", way, 24, 0.5)
        empty, density, cosine, sine = as_map(change.after)[72 // CELL - change.top, 100 // CELL - change.left]
        assert np.isclose(density, 0.5 * (1 - empty), atol=0.1)
        assert np.hypot(cosine, sine) == pytest.approx(0.4, abs=0.03)
        assert np.arctan2(sine, cosine) / 2 % np.pi == pytest.approx(angle, abs=0.08)
    with pytest.raises(BadInput, match="outside"):
        tissue_stroke(lumen, SHAPE, "lumen", [(900, 72)], 10)
    with pytest.raises(BadInput, match="draw lumen or stroma first"):
        tissue_stroke(cells, SHAPE, "forget")


@pytest.mark.parametrize("seed", range(4))
def test_a_part_of_the_layers_made_again_is_the_whole_made_anew(seed):
    random = np.random.default_rng(seed)
    cells = nothing_said(SHAPE)
    cells[..., 0] = 127
    cells[..., 1] = random.integers(0, 128, cells.shape[:2])
    cells[..., 2:] = random.integers(-127, 128, (*cells.shape[:2], 3))
    layers = tissue_layers(as_map(cells), SHAPE)
    top, left = random.integers(0, cells.shape[0] - 2), random.integers(0, cells.shape[1] - 3)
    cells[top : top + 2, left : left + 3, 1:] //= 3
    before = layers.copy()
    found = layers_again(layers, cells, (top, left, top + 2, left + 3))
    expected = tissue_layers(as_map(cells), SHAPE)
    assert np.array_equal(layers, expected)
    rows, columns = np.nonzero((layers != before).any(2))
    assert found[0] <= rows.min()
    assert rows.max() < found[2]
    assert found[1] <= columns.min()
    assert columns.max() < found[3]


def test_it_is_painted_as_synthesize_paints_it(knowing):
    knowing.start()
    for place, kind in ((30, "dead"), (70, "stromal"), (110, "epithelial")):
        draw(knowing, place, 40, kind)
    plain = knowing.painter.wait_until_settled(60)
    say(knowing, op="tissue", what="lumen", points=[[60, 100], [90, 100]], radius=20)
    mask, classes = knowing.document.mask, knowing.document.known_classes()
    found = knowing.painter.wait_until_settled(60)
    tissue = as_map(knowing.document.cells)
    assert np.array_equal(found, knowing.model.synthesize(mask, "kidney", classes=classes, tissue=tissue))
    assert (found != plain).any()
    others = dict.fromkeys(classes, "dead")
    assert (found != knowing.model.synthesize(mask, "kidney", classes=others, tissue=tissue)).any()


def test_a_stroke_says_nothing_of_the_rest_where_the_model_draws_it(knowing):
    generator = knowing.model.painter.generator
    vector = knowing.painter.wanted.style.vector
    law = np.stack([np.linspace(0, 1, 33), np.linspace(-1, 1, 33), np.linspace(0, 0.4, 33)]).astype(np.float32)
    generator.between = DrawnTissue({"kidney": law}, {"kidney": vector})
    knowing.start()
    draw(knowing, 30, 40, "dead")
    drawn = knowing.painter.wait_until_settled(60)
    say(knowing, op="tissue", what="lumen", points=[[60, 100], [70, 100]], radius=20)
    cells = knowing.document.cells
    assert 0 < np.count_nonzero(cells[..., 0]) < 30
    assert as_map(cells)[100 // CELL, 64 // CELL].tolist() == [1, 0, 0, 0]
    assert np.isnan(as_map(cells)[0, 0]).all()
    assert not cells[cells[..., 0] == 0].any()
    say(knowing, op="tissue", what="stroma", points=[[120, 20], [180, 60]], radius=20, density=-0.5)
    say(knowing, op="tissue", what="plain", points=[[70, 100]], radius=12)
    assert_described(knowing)
    found = knowing.painter.wait_until_settled(60)
    mask, classes = knowing.document.mask, knowing.document.known_classes()
    assert np.array_equal(found, knowing.model.synthesize(mask, "kidney", classes=classes, tissue=as_map(cells)))
    assert (found != drawn).any()
    say(knowing, op="tissue", what="forget")
    assert np.array_equal(knowing.painter.wait_until_settled(60), drawn)


def test_all_of_it_comes_back_after_a_restart(knowing, knowing_path, tmp_path):
    draw(knowing, 30, 30, "dead")
    say(knowing, op="tissue", what="stroma", points=[[10, 90], [180, 100]], radius=20)
    say(knowing, op="classify", ids=[1], kind="stromal")
    cells, classes = knowing.document.cells.copy(), knowing.document.known_classes()
    knowing.open(generate(64, 64, "kidney", seed=1), "another", classes={1: "dead"})
    knowing.close()
    again = Studio(load(knowing_path), tmp_path, model_path=knowing_path)
    assert again.document.known_classes() == {1: "dead"}
    assert not again.document.cells.any()
    assert_described(again)
    say(again, op="undo")
    assert np.array_equal(again.document.cells, cells)
    assert again.document.known_classes() == classes == {1: "stromal"}
    assert_described(again)
    say(again, op="undo")
    assert again.document.known_classes() == {1: "dead"}
    again.close()


def test_another_model_keeps_what_it_cannot_be_told(knowing, model, toy_path, tmp_path, knowing_path):
    draw(knowing, 30, 30, "dead")
    say(knowing, op="tissue", what="lumen", points=[[90, 90]], radius=20)
    cells = knowing.document.cells.copy()
    knowing.close()
    plain = Studio(model, tmp_path, model_path=toy_path)
    assert plain.document.layout.classes is None
    assert plain.document.layout.tissue is None
    say(plain, op="undo")
    say(plain, op="redo")
    for message, sentence in (
        ({"op": "tissue", "what": "lumen", "points": [[5, 5]]}, "knows no tissue maps"),
        ({"op": "classify", "ids": [1], "kind": "dead"}, "no nuclei of the class 'dead'"),
        ({"op": "draw", "points": [[50, 50]], "radius": 3, "kind": "dead"}, "no nuclei of the class 'dead'"),
    ):
        with pytest.raises(BadInput, match=sentence):
            say(plain, **message)
    plain.close()
    again = Studio(load(knowing_path), tmp_path, model_path=knowing_path)
    assert np.array_equal(again.document.cells, cells)
    assert again.document.known_classes() == {1: "dead"}
    again.close()


@pytest.fixture
def client(knowing):
    with TestClient(
        application(knowing, TOKEN, frozenset({HOST})), base_url=f"http://{HOST}", headers={"x-token": TOKEN}
    ) as found:
        yield found


def test_the_lines_make_the_same_picture_from_what_is_saved(client, knowing, tmp_path, monkeypatch):
    knowing.open(np.kron([[0, 0], [0, 7]], np.ones((64, 64), int)), "drawing", classes={7: "of another model"})
    draw(knowing, 30, 30, "dead")
    draw(knowing, 90, 30, "stromal")
    assert knowing.state()["unclassed"] == 1
    say(knowing, op="tissue", what="lumen", points=[[90, 100]], radius=30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SianWarning)  # one nucleus is large, and has no class that the model knows
        same_picture(client, tmp_path, monkeypatch)


def same_picture(client, tmp_path, monkeypatch):
    for what in ("mask", "classes", "tissue"):
        answer = client.get(f"/save/{what}")
        name = answer.headers["content-disposition"].split("''")[1]
        (tmp_path / name).write_bytes(answer.content)
    picture = np.asarray(Image.open(io.BytesIO(client.get("/save/image").content)))
    monkeypatch.chdir(tmp_path)
    lines = client.get("/lines").json()
    assert "its classes and the tissue map" in lines["note"]
    space: dict = {}
    exec(lines["python"], space)  # noqa: S102 - what the page shows is what is tested
    assert np.array_equal(space["image"], picture)
    from sian.cli.main import main

    assert main([*lines["command"].removeprefix("sian ").split()[:-1], str(tmp_path / "out")]) == 0
    painted = list((tmp_path / "out").glob("*.png"))
    assert np.array_equal(np.asarray(Image.open(painted[0])), picture)


def test_a_saved_tissue_map_can_be_opened_again(client, knowing, model, toy_path, tmp_path):
    say(knowing, op="tissue", what="lumen", points=[[90, 100]], radius=30)
    say(knowing, op="tissue", what="stroma", points=[[20, 20], [150, 40]], radius=20, density=-0.7)
    cells, content = knowing.document.cells.copy(), client.get("/save/tissue").content
    say(knowing, op="tissue", what="forget")
    answer = client.post("/open?name=drawing_tissue.npy", content=content)
    assert answer.json() == {"kind": "tissue"}
    assert np.array_equal(knowing.document.cells, cells)
    assert_described(knowing)
    say(knowing, op="undo")
    assert not knowing.document.cells.any()
    header = content[10:128]
    larger = content.replace(b"(9, 13, 4)", b"(9, 99, 4)")
    assert larger != content
    nested, unclosed, unhashable, descr = b"-" * 117 + b"1", b"(" * 118, b"{[]: 1}".ljust(118), b"('<f4',)"
    hostile = [content.replace(header, other) for other in (nested, unclosed, unhashable)]
    hostile.append(content.replace(header, header.replace(b"'<f4'", descr)[:118]))
    for damaged in (content[:-40], larger, *hostile):
        assert client.post("/open?name=drawing_tissue.npy", content=damaged).status_code == 400
    knowing.open(generate(64, 64, "kidney", seed=1), "another")
    answer = client.post("/open?name=drawing_tissue.npy", content=content)
    assert "open the mask that it belongs to first" in answer.json()["sentence"]
    knowing.close()
    plain = Studio(model, tmp_path, model_path=toy_path)
    with pytest.raises(BadInput, match="knows no tissue maps"):
        take(plain, "drawing_tissue.npy", content, "")
    plain.close()


def test_a_page_is_told_classes_and_cells(client, knowing):
    facts = client.get("/facts").json()
    assert (facts["classes"], facts["tissue"]) == (NAMES, True)
    with connect(client) as socket:
        socket.send_text('{"op":"draw","points":[[30,30]],"radius":6,"kind":"stromal","n":1}')
        head, _ = until(socket, lambda head: head["type"] == "mask" and not head["resized"])
        assert head["classes"] == {"1": 3}
        socket.send_text('{"op":"tissue","what":"lumen","points":[[90,90]],"radius":20,"n":2}')
        until(socket, lambda head: head["type"] == "done" and head["n"] == 2)
        socket.send_text('{"op":"tissue","what":"stroma","points":[[90,90],[100,90]],"radius":10,"n":3}')
        head, payload = until(socket, lambda head: head["type"] == "tissue" and head["height"] < 9)
        cells = np.frombuffer(payload, np.int8).reshape(head["height"], head["width"], 5)
        top, left = head["top"], head["left"]
        assert np.array_equal(cells, knowing.document.cells[top : top + head["height"], left : left + head["width"]])
    with connect(client, "late") as socket:
        head, payload = until(socket, lambda head: head["type"] == "tissue")
        assert payload == knowing.document.cells.tobytes()


def test_classes_of_tiles_come_and_go_back(knowing, tmp_path):
    folder = tmp_path / "mine"
    mask = np.zeros((64, 80), np.int32)
    mask[10:30, 10:30], mask[35:50, 40:60] = 4, 900
    writer = DatasetWriter(folder, DatasetInfo(name="mine", classes=["dead"]))
    writer.add("tile", np.full((64, 80, 3), 200, np.uint8), mask, classes={"dead": [4]})
    corrected.open_tiles(knowing, folder)
    assert knowing.document.known_classes() == {4: "dead"}
    say(knowing, op="split", points=[[20, 2], [20, 40]])
    say(knowing, op="classify", ids=[900], kind="stromal")
    corrected.keep(knowing, knowing.tiles)
    after = open_dataset(folder)
    assert after["tile"].classes == {"dead": [4, 901], "stromal": [900]}
    assert after.info.classes == ["dead", "stromal"]


def test_items_are_kept_with_their_classes(knowing):
    knowing.start()
    draw(knowing, 30, 30, "stromal")
    saving.item(knowing)
    draw(knowing, 80, 30, "dead")
    saving.item(knowing)
    kept = open_dataset(knowing.folder / "dataset")
    assert [item.classes for item in kept] == [{"stromal": [1]}, {"dead": [2], "stromal": [1]}]
    assert kept.info.classes == ["stromal", "dead"]
