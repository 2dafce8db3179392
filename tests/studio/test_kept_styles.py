"""Styles that were added outlive the studio, and come in and go out as files."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from tests.studio.test_server import client  # noqa: F401 - a fixture

from sian.errors import SianWarning
from sian.studio_app.studio import Studio
from sian.synthesis.styles import Style


def added(studio):
    vector = studio.model.style("colon").vector + np.float32(0.1)
    return studio.add_style("my slide", Style(vector, "my slide", 0.9), "More unusual than 90%."), vector


def test_a_restart_brings_them_back_and_the_drawing_is_painted_in_them(studio, model, tmp_path):
    name, vector = added(studio)
    studio.wear(name)
    studio.close()
    again = Studio(model, tmp_path)
    try:
        assert again.settings["style"] == {name: 1.0}
        assert np.array_equal(again.painter.wanted.style.vector, vector)
        assert again.shelf.said()[-1] == {"name": name, "note": "More unusual than 90%."}
    finally:
        again.close()


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "sian.studio.styles/1", "model": "x", "styles": [{}]}'])
def test_a_damaged_file_is_said_and_the_studio_starts(studio, model, tmp_path, content):
    added(studio)
    studio.close()
    (path,) = studio.autosave.glob("styles-*.json")
    path.write_text(content)
    with pytest.warns(SianWarning, match=r"styles-.*\.json"):
        again = Studio(model, tmp_path)
    assert not again.shelf.added
    again.close()


def test_another_model_neither_sees_nor_loses_them(studio, model, tmp_path):
    name, _ = added(studio)
    studio.close()
    changed = copy.copy(model)
    changed.sha256 = "0" * 64
    other = Studio(changed, tmp_path)
    assert not other.shelf.added
    other.add_style("its own", Style(model.style("colon").vector, "its own"))
    other.close()
    again = Studio(model, tmp_path)
    assert list(again.shelf.added) == [name]
    again.close()


def test_a_saved_style_can_be_dropped_on_the_page_again(client, studio):  # noqa: F811
    name, vector = added(studio)
    studio.wear(name)
    saved = client.get("/save/style").content
    studio.shelf.added.clear()
    assert client.post("/open?name=mine.json", content=saved).json() == {"kind": "style"}
    assert studio.settings["style"] == {"@mine": 1.0}
    assert np.array_equal(studio.painter.wanted.style.vector, vector)


def test_a_style_of_another_model_is_refused_by_its_name(client, studio):  # noqa: F811
    saved = json.loads(client.get("/save/style").content)
    answer = client.post("/open?name=mine.json", content=json.dumps({**saved, "model": "0" * 64}))
    assert answer.status_code == 400
    assert answer.json()["sentence"].startswith("mine.json: ")
    assert str(studio.autosave) not in answer.json()["sentence"]
    assert not studio.shelf.added
