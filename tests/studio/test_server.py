"""The server answers the page that it sent, and nobody else; uploads go through the product's readers."""

from __future__ import annotations

import asyncio
import io
import json
import shlex
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from sian.data import DatasetInfo, DatasetWriter, open_dataset
from sian.errors import BadInput
from sian.files.images import encode_png, read_png_text
from sian.masks.files import encode_mask_png
from sian.studio_app import errands, messages, saving, server
from sian.studio_app.corrected import open_tiles
from sian.studio_app.server import application

HOST, TOKEN = "127.0.0.1:8642", "secret"
ORIGIN = {"origin": f"http://{HOST}"}


@pytest.fixture
def client(studio):
    app = application(studio, TOKEN, frozenset({HOST}))
    with TestClient(app, base_url=f"http://{HOST}", headers={"x-token": TOKEN}) as found:
        yield found


def png(array: np.ndarray) -> bytes:
    return encode_mask_png(array) if array.ndim == 2 else encode_png(array)


def a_mask() -> np.ndarray:
    mask = np.zeros((64, 80), np.int32)
    mask[10:30, 10:30], mask[35:50, 40:60] = 4, 900
    return mask


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        (ORIGIN, 200),
        ({"x-token": "wrong"}, 403),
        ({"x-token": ""}, 403),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1:9999"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
    ],
)
def test_only_the_page_is_answered(client, headers, status):
    assert client.get("/facts", headers=headers).status_code == status


def test_a_socket_needs_token_host_and_origin(client):
    for headers, query in (
        ({}, f"?token={TOKEN}"),
        ({"origin": "http://evil.example"}, f"?token={TOKEN}"),
        (ORIGIN, "?token=wrong"),
        ({**ORIGIN, "host": "evil.example"}, f"?token={TOKEN}"),
    ):
        with (
            pytest.raises(WebSocketDisconnect),
            client.websocket_connect(f"ws://{HOST}/socket{query}", headers={"x-token": "", **headers}),
        ):
            pass


def test_the_page_may_load_nothing_from_elsewhere(client):
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path", ["/page/../server.py", "/page/%2e%2e/server.py", "/page/..%2fserver.py", "/page//etc/passwd"]
)
def test_only_files_of_the_page_are_served(client, path):
    assert client.get(path).status_code == 404


def read(socket) -> tuple[dict, bytes]:
    message = socket.receive()
    if message.get("text") is not None:
        return json.loads(message["text"]), b""
    (length,) = struct.unpack_from("<I", message["bytes"])
    return json.loads(message["bytes"][4 : 4 + length]), message["bytes"][4 + length :]


def until(socket, wanted) -> tuple[dict, bytes]:
    for _ in range(300):
        head, payload = read(socket)
        if wanted(head):
            return head, payload
    raise AssertionError("it never came")


def connect(client, page="p"):
    return client.websocket_connect(f"ws://{HOST}/socket?token={TOKEN}&page={page}", headers=ORIGIN)


def test_a_stroke_changes_the_mask_of_every_page(client, studio):
    with connect(client, "one") as one, connect(client, "two") as two:
        one.send_text('{"op":"draw","points":[[100,100],[110,100]],"radius":5,"n":1}')
        done, _ = until(one, lambda head: head["type"] == "done")
        assert done["nucleus"] == 1
        for socket in (one, two):
            head, ids = (
                until(socket, lambda head: head["type"] == "mask" and not head["resized"])
                if socket is two
                else (None, None)
            )
            if head:
                part = np.frombuffer(ids, "<i4").reshape(head["height"], head["width"])
                top, left = head["top"], head["left"]
                assert np.array_equal(
                    part, studio.document.mask[top : top + part.shape[0], left : left + part.shape[1]]
                )
                assert part.any()


def test_a_gesture_that_is_sent_twice_is_done_once(client, studio):
    with connect(client) as socket:
        for _ in range(2):
            socket.send_text('{"op":"draw","points":[[100,100]],"radius":5,"n":4}')
            until(socket, lambda head: head["type"] == "done")
    assert len(studio.document.done) == 1
    with connect(client) as socket:
        assert read(socket)[0] == {"type": "welcome", "seen": 4}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "nonsense",
        '{"op":"format disk","n":7}',
        '{"op":"draw","points":[[1e999,3]],"radius":5}',
        '{"op":"draw","points":[[1,3]],"radius":1e9}',
        '{"op":"draw","points":[],"radius":5}',
        '{"op":"settings","style":{"/etc/passwd.png":1}}',
        '{"op":"settings","style":{"../../secret.json":1}}',
        '{"op":"settings","style":{"@nobody":1}}',
        '{"op":"settings","style":{"kidney#/../../../x.jpg":1}}',
        '{"op":"settings","style":{"kidney#1.webp":1}}',
        '{"op":"settings","seed":-1}',
        '{"op":"new","width":1000000,"height":1000000}',
        '{"op":"delete","ids":[5]}',
        "[" * 100_000,
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(client, studio, text):
    with connect(client) as socket:
        socket.send_text(text)
        head, _ = until(socket, lambda head: head["type"] in ("refused", "done"))
    assert head["type"] == "refused"
    assert head["sentence"]
    assert not studio.document.done


def test_a_mask_is_opened_and_saved_as_it_was(client, studio):
    mask = a_mask()
    answer = client.post("/open?name=my tile.png", content=png(mask))
    assert answer.json() == {"kind": "mask"}
    assert np.array_equal(studio.document.mask, mask)
    saved = client.get("/save/mask")
    assert "my_tile_mask.png" in saved.headers["content-disposition"]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(saved.content))), mask)


def test_outlines_come_back_as_the_same_pixels(client, studio):
    mask = a_mask()
    client.post("/open?name=a.png", content=png(mask))
    saved = client.get("/save/outlines").content
    client.post("/open?name=b.geojson", content=saved)
    height, width = studio.document.shape  # GeoJSON does not say how large the picture was
    assert np.array_equal(studio.document.mask, mask[:height, :width])
    assert not mask[height:].any()
    assert not mask[:, width:].any()


def test_outlines_hold_classes_both_ways(client, studio):
    """As QuPath writes them; whatever names they have, the studio keeps them."""
    mask = a_mask()
    client.post("/open?name=a.png", content=png(mask))
    saved = json.loads(client.get("/save/outlines").content)
    assert not any("classification" in feature["properties"] for feature in saved["features"])
    first, second, *_ = saved["features"]
    first["properties"]["classification"] = {"name": "Tumor", "color": [200, 0, 0]}
    second["properties"]["classification"] = {"name": "Nucleus", "color": [40, 200, 60]}  # of a segmenter: no class
    client.post("/open?name=b.geojson", content=json.dumps(saved).encode())
    number = int(first["properties"]["name"])
    assert studio.document.classes == {number: "Tumor"}
    again = json.loads(client.get("/save/outlines").content)["features"]
    said = {f["properties"]["name"]: f["properties"].get("classification", {}).get("name") for f in again}
    assert said == {f["properties"]["name"]: "Tumor" if f is first else None for f in saved["features"]}


def test_the_saved_picture_says_what_it_is(client, studio):
    client.post("/open?name=a.png", content=png(a_mask()))
    with Image.open(io.BytesIO(client.get("/save/image").content)) as picture:
        assert picture.text["Synthetic"] == "true"
        assert picture.text["Licence"] == "CC BY-NC-SA 4.0"
        pixels = np.asarray(picture)
    assert np.array_equal(pixels, studio.model.synthesize(a_mask(), "kidney", seed=0))


def test_items_are_added_to_a_data_set(client, studio):
    client.post("/open?name=a.png", content=png(a_mask()))
    assert "a-1" in client.post("/keep").json()["sentence"]
    assert "a-2" in client.post("/keep").json()["sentence"]
    data = open_dataset(studio.folder / "dataset")
    assert data.info.synthetic
    assert [item.id for item in data] == ["a-1", "a-2"]
    assert np.array_equal(data.mask(data["a-2"]), a_mask())


def test_two_clicks_at_once_keep_two_items(client, studio):
    client.post("/open?name=a.png", content=png(a_mask()))
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda _: saving.item(studio), range(4)))
    assert sorted(sentence.split()[0] for sentence in said) == ["a-1", "a-2", "a-3", "a-4"]
    assert [item.id for item in open_dataset(studio.folder / "dataset")] == ["a-1", "a-2", "a-3", "a-4"]


def test_names_are_quoted_in_the_command(studio):
    studio.model_path = Path("my model; rm.safetensors")
    command = shlex.split(saving.lines(studio)["command"])
    assert command[command.index("--model") + 1] == "my model; rm.safetensors"


def test_the_lines_make_the_same_picture(client, studio, tmp_path, monkeypatch):
    client.post("/open?name=a.png", content=png(a_mask()))
    studio.do(messages.parse('{"op":"settings","style":{"colon":0.5,"kidney":0.5},"seed":3,"noise":0.5}'))
    (tmp_path / "a_mask.png").write_bytes(client.get("/save/mask").content)
    image = client.get("/save/image").content
    monkeypatch.chdir(tmp_path)
    said = {}
    exec(client.get("/lines").json()["python"], said)  # noqa: S102 - it is what people will run
    assert np.array_equal(said["image"], np.asarray(Image.open(io.BytesIO(image))))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", b""),
        ("a.png", b"\x89PNG\r\n\x1a\n garbage"),
        ("a.exe", b"MZ"),
        ("a.npy", b"\x93NUMPY\x01\x00"),
        ("a.tif", b"II*\x00"),
        ("a.geojson", b'{"type": "FeatureCollection", "features": []}'),
        ("a.geojson", b"[" * 10_000),
        ("../../a.png", png(np.zeros((8, 8), np.int32))),
        ("a.png", png(np.zeros((20, 9000), np.int32))),
    ],
)
def test_hostile_uploads_end_in_a_sentence_and_change_nothing(client, studio, name, content):
    answer = client.post("/open", params={"name": name}, content=content)
    assert answer.status_code == 400
    assert answer.json()["sentence"]
    assert not studio.document.done
    assert not list((studio.folder / "autosave").glob("upload*"))


def test_a_thumbnail_is_a_picture(client):
    picture = Image.open(io.BytesIO(client.get("/thumb?style=kidney").content))
    assert picture.size == (96, 96)
    assert client.get("/thumb?style=/etc/passwd.png").status_code == 400


@pytest.fixture
def data(tmp_path):
    """A data set of two real tiles with classes."""
    writer = DatasetWriter(tmp_path / "mine", DatasetInfo(name="mine", mpp=0.5, classes=["dead"]))
    for number in (1, 2):
        image = np.random.default_rng(number).integers(0, 256, (64, 80, 3), dtype=np.uint8)
        facts = {"organ": "liver", "split": "test", "patient": "P1", "classes": {"dead": [4, 900]}, "mpp": 0.5}
        writer.add(f"tile-{number}", image, a_mask(), text={"Origin": "scanner"}, **facts)
    return tmp_path / "mine"


def test_a_corrected_mask_goes_back_and_the_rest_of_its_item_stays(client, studio, data):
    before = open_dataset(data)
    open_tiles(studio, data)
    errands.do(studio, messages.parse('{"op":"tile","step":1}'))
    below = np.asarray(Image.open(io.BytesIO(client.get("/below.png").content)))
    assert np.array_equal(below, before.image(before["tile-2"]))
    studio.do(messages.parse('{"op":"delete","ids":[4]}'))
    studio.do(messages.parse('{"op":"draw","points":[[5,50]],"radius":4}'))
    assert "2 nuclei" in errands.do(studio, messages.parse('{"op":"do","what":"keep tile"}'))["sentence"]
    after = open_dataset(data)
    assert np.array_equal(after.mask(after["tile-2"]), studio.document.mask)
    assert np.array_equal(after.mask(after["tile-1"]), a_mask())
    was, now = before["tile-2"], after["tile-2"]
    assert (now.organ, now.split, now.patient, now.mpp) == (was.organ, was.split, was.patient, was.mpp)
    assert now.sha256_image == was.sha256_image
    assert now.classes == {"dead": [900]}
    assert now.nuclei == 2
    assert read_png_text(data / now.image) == {"Origin": "scanner"}


def test_a_drawing_that_is_no_tile_any_more_is_not_saved_as_one(client, studio, data):
    open_tiles(studio, data)
    studio.do(messages.parse('{"op":"undo"}'))
    with pytest.raises(BadInput, match="no tile"):
        errands.do(studio, messages.parse('{"op":"do","what":"keep tile"}'))
    assert client.get("/below.png").status_code == 400
    studio.do(messages.parse('{"op":"redo"}'))
    errands.do(studio, messages.parse('{"op":"do","what":"keep tile"}'))


def test_a_tile_that_undoing_brings_back_can_be_kept(client, studio, data):
    open_tiles(studio, data)
    studio.do(messages.parse('{"op":"delete","ids":[4]}'))
    errands.do(studio, messages.parse('{"op":"tile","step":1}'))
    for _ in range(2):
        studio.do(messages.parse('{"op":"undo"}'))
    assert studio.state()["item"] == "tile-1"
    assert errands.do(studio, messages.parse('{"op":"do","what":"keep tile"}'))["sentence"].startswith("tile-1")
    studio.do(messages.parse('{"op":"redo"}'))
    studio.do(messages.parse('{"op":"redo"}'))
    assert studio.state()["item"] == "tile-2"


def test_a_tile_that_cannot_be_drawn_on_is_passed(studio, data):
    small = np.zeros((16, 80), np.int32)
    writer = DatasetWriter(data, open_dataset(data).info)
    writer.add("tile-3", np.zeros((16, 80, 3), np.uint8), small)
    told = []
    studio.listeners.append(lambda head, _: told.append(head))
    open_tiles(studio, data)
    names = []
    for step in (1, 1, -1):
        errands.do(studio, messages.parse(f'{{"op":"tile","step":{step}}}'))
        names.append((studio.name, studio.state()["tiles"]["place"]))
    assert names == [("tile-2", 2), ("tile-1", 1), ("tile-2", 2)]
    assert sum("tile-3 was passed over" in head.get("sentence", "") for head in told) == 2


def test_a_refused_drawing_renames_nothing(studio):
    with pytest.raises(BadInput):
        studio.open(np.zeros((16, 80), np.int32), "other")
    assert studio.name == "drawing"


def test_a_bug_in_a_gesture_is_told_and_the_line_stays(client, studio, monkeypatch):
    with connect(client) as socket:
        with monkeypatch.context() as broken:
            broken.setattr("sian.studio_app.gestures.editing.draw", lambda *_: 1 / 0)
            socket.send_text('{"op":"draw","points":[[100,100]],"radius":5,"n":4}')
            refused, _ = until(socket, lambda head: head["type"] == "refused")
        assert refused == {"type": "refused", "n": 4, "sentence": "a bug in SIAN: ZeroDivisionError: division by zero"}
        socket.send_text('{"op":"draw","points":[[100,100]],"radius":5,"n":5}')
        until(socket, lambda head: head["type"] == "done" and head["n"] == 5)


def test_without_a_data_set_there_are_no_tiles(studio):
    with pytest.raises(BadInput, match="no data set is open"):
        errands.do(studio, messages.parse('{"op":"tile","step":1}'))


class Line:
    """A connection that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send_text(self, text: str) -> None:
        self.sent.append(json.loads(text)["type"])

    async def send_bytes(self, _: bytes) -> None:
        self.sent.append("bytes")


def test_a_page_that_slept_still_gets_every_answer(studio, monkeypatch):
    monkeypatch.setattr(server, "MOST_WAITING", 5)

    async def run() -> list[str]:
        waiting: asyncio.Queue[tuple[dict, bytes]] = asyncio.Queue()
        for kind in ("state", "done", *["state"] * 6, "refused"):
            waiting.put_nowait(({"type": kind}, b""))
        line = Line()
        sender = asyncio.create_task(server._send(studio, line, waiting))  # type: ignore[arg-type]
        while not waiting.empty():
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        sender.cancel()
        return line.sent

    sent = asyncio.run(run())
    assert sent[:2] == ["done", "refused"]
    assert sent.count("state") == 1
