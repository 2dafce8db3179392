"""All styles of a drawing: one by one, of one moment, as the model paints them; and as one sheet."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from tests.studio.test_server import a_mask, client, png  # noqa: F401 - `client` is a fixture

from sian.studio_app import messages
from sian.studio_app.all_styles import MOST_SHEETS
from sian.synthesis.sheet import GAP, LINE


def begun(client):  # noqa: F811
    client.post("/open?name=a.png", content=png(a_mask()))
    return client.post("/sheet").json()


def picture(client, number, place):  # noqa: F811
    answer = client.get(f"/sheet/{number}/{place}")
    assert answer.headers["content-type"] == "image/webp"
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")).astype(int)


def first_of(sheet):
    """The first painting on a sheet of all styles."""
    with Image.open(io.BytesIO(sheet)) as found:
        return np.asarray(found).astype(int)[LINE + GAP : LINE + GAP + 64, GAP : GAP + 80]


def test_each_style_comes_alone_as_the_model_paints_it(client, studio):  # noqa: F811
    sheet = begun(client)
    assert sheet["names"] == studio.shelf.names()
    for place in (0, len(sheet["names"]) - 1):
        expected = studio.model.synthesize(a_mask(), sheet["names"][place], seed=0).astype(int)
        found = picture(client, sheet["number"], place)
        assert found.shape == expected.shape
        assert np.abs(found - expected).mean() < 12  # WebP of noise at quality 88


def test_a_sheet_is_of_the_moment_that_it_was_asked_for(client, studio):  # noqa: F811
    sheet = begun(client)
    before = picture(client, sheet["number"], 0)
    studio.do(messages.parse('{"op":"delete","ids":[4]}'))
    studio.do(messages.parse('{"op":"settings","seed":9,"noise":0.25}'))
    png_of_all = client.get(f"/sheet/{sheet['number']}/all").content
    with Image.open(io.BytesIO(png_of_all)) as found:
        assert found.text["Synthetic"] == "true"
    first = first_of(png_of_all)
    assert np.array_equal(first, studio.model.synthesize(a_mask(), sheet["names"][0], seed=0))
    assert np.abs(first - before).mean() < 12
    fresh = client.post("/sheet").json()["number"]
    changed = studio.model.synthesize(studio.document.mask, sheet["names"][0], seed=9, noise=0.25)
    assert np.abs(picture(client, fresh, 0) - changed).mean() < 12
    assert np.array_equal(first_of(client.get(f"/sheet/{fresh}/all").content), changed)  # its seed and noise, exactly


def test_what_is_not_there_is_said(client):  # noqa: F811
    sheet = begun(client)
    for _ in range(MOST_SHEETS):
        client.post("/sheet")
    for address in (f"/sheet/{sheet['number']}/0", f"/sheet/{sheet['number']}/all", "/sheet/999/0"):
        answer = client.get(address)
        assert answer.status_code == 400
        assert "paint all styles again" in answer.json()["sentence"]
    answer = client.get(f"/sheet/{sheet['number'] + 1}/500")
    assert answer.status_code == 400
    assert "the place 500" in answer.json()["sentence"]
