"""Style, seed and noise are steps like any other: undone, done again, and kept over a restart."""

from __future__ import annotations

import numpy as np
from tests.studio.test_autosave import drawn

from sian.studio_app import messages
from sian.studio_app.autosave import Journal, restore
from sian.studio_app.studio import Studio
from sian.synthesis.styles import Style

STROKE = '{"op":"draw","points":[[100,100]],"radius":6}'


def say(studio, *texts):
    for text in texts:
        studio.do(messages.parse(text))


def test_undo_takes_back_a_style_and_then_the_nucleus(studio):
    first = dict(studio.settings)
    say(studio, STROKE, '{"op":"settings","style":{"colon":1}}', '{"op":"settings","seed":7}')
    say(studio, '{"op":"undo"}')
    assert (studio.settings["seed"], studio.painter.wanted.seed) == (first["seed"], first["seed"])
    assert studio.painter.wanted.style.name == "colon"
    say(studio, '{"op":"undo"}')
    assert studio.settings == first
    assert studio.painter.wanted.style.name == "kidney"
    assert studio.document.mask.max() == 1
    say(studio, '{"op":"undo"}')
    assert studio.document.mask.max() == 0
    say(studio, '{"op":"redo"}', '{"op":"redo"}', '{"op":"redo"}')
    assert studio.painter.wanted.style.name == "colon"
    assert studio.settings["seed"] == 7


def test_an_undone_style_is_painted_again_and_told(studio):
    told = []
    studio.listeners.append(lambda head, _: told.append(head))
    say(studio, '{"op":"settings","style":{"colon":1}}')
    before = studio.painter.revision
    say(studio, '{"op":"undo"}')
    assert studio.painter.revision == before + 1
    assert told[-1]["style"] == {"kidney": 1.0}


def test_settings_can_be_undone_after_a_restart(studio, model, tmp_path):
    say(studio, STROKE, '{"op":"settings","style":{"colon":1}}', '{"op":"settings","noise":0.5}', '{"op":"undo"}')
    studio.close()
    again = Studio(model, tmp_path)
    try:
        assert again.settings["style"] == {"colon": 1.0}
        assert again.settings["noise"] == 1.0
        say(again, '{"op":"redo"}')
        assert again.settings["noise"] == 0.5
        say(again, '{"op":"undo"}', '{"op":"undo"}')
        assert again.settings["style"] == {"kidney": 1.0}
        assert again.document.mask.max() == 1
    finally:
        again.close()


def test_what_stays_as_it_is_is_no_step(studio):
    say(studio, '{"op":"settings","style":{"kidney":1},"seed":0}')
    assert not studio.document.done


def test_a_fit_that_takes_its_pictures_place_is_no_step(studio):
    vector = studio.model.style("colon").vector
    for name in ("slide", "slide-fitted"):
        studio.shelf.add(name, Style(vector, name))
    studio.wear("@slide")
    studio.wear("@slide-fitted", instead_of="@slide")
    assert studio.painter.wanted.style.name == "slide-fitted"
    assert len(studio.document.done) == 1
    say(studio, '{"op":"undo"}')
    assert studio.painter.wanted.style.name == "kidney"


def test_a_style_that_is_gone_is_said_and_the_one_before_stays(studio):
    told = []
    studio.shelf.add("slide", Style(studio.model.style("colon").vector, "slide"))
    studio.wear("@slide")
    say(studio, '{"op":"settings","style":{"breast":1}}')
    studio.shelf.added.clear()
    studio.listeners.append(lambda head, _: told.append(head))
    say(studio, '{"op":"undo"}')
    assert studio.settings["style"] == {"breast": 1.0}
    assert any("@slide" in head.get("sentence", "") for head in told)


def test_journals_of_before_hold_settings_that_are_no_steps(tmp_path):
    path = tmp_path / "drawing.journal"
    drawn(path, 2)
    journal = Journal(path)
    journal.say("settings", settings={"seed": 3})
    journal.say("undo")
    journal.close()
    found = restore(path).document
    assert found.settings == {"seed": 3}
    assert found.mask.max() == 1


def test_undoing_an_opened_file_brings_back_the_name(studio, model, tmp_path):
    mask = np.zeros((64, 80), np.int32)
    mask[10:20, 10:20] = 1
    studio.open(mask, "slide")
    say(studio, '{"op":"undo"}')
    assert studio.name == "drawing"
    say(studio, '{"op":"redo"}')
    assert studio.name == "slide"
    say(studio, '{"op":"undo"}')
    studio.close()
    again = Studio(model, tmp_path)
    try:
        assert again.name == "drawing"
        say(again, '{"op":"redo"}')
        assert again.name == "slide"
    finally:
        again.close()
