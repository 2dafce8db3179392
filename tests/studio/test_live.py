"""What is painted first is nearly right, what is settled is what `synthesize` paints, and old paintings are dropped."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from sian.errors import BadInput
from sian.layout import describe
from sian.networks.folded import FoldedBrush
from sian.nuclei import generate
from sian.studio_app import messages
from sian.studio_app.live import DroppedError, LivePainter
from sian.synthesis.painting import MARGIN, Noise, paint, paint_area

DRAW = '{"op":"draw","points":[[%d,%d],[%d,%d]],"radius":8}'


@pytest.mark.parametrize("area", [(100, 100, 140, 150), (0, 0, 33, 21), (150, 201, 200, 230), (3, 90, 60, 230)])
def test_an_area_with_enough_reach_is_the_whole_painting(model, area):
    generator = model.painter.generator
    layout = describe(generate(200, 230, "kidney", 1))
    vector = torch.from_numpy(model.style("kidney").vector)
    whole = paint(generator, layout, vector, Noise(5, 1.0, (64, 32)))
    part = paint_area(generator, layout, vector, Noise(5, 1.0, (64, 32)), area, reach=256, margin=MARGIN)
    top, left, bottom, right = area
    assert np.abs(part.astype(int) - whole[top:bottom, left:right]).max() <= 1


def test_less_reach_is_further_off(model):
    generator = model.painter.generator
    layout = describe(generate(320, 320, "kidney", 1))
    vector = torch.from_numpy(model.style("kidney").vector)
    whole = paint(generator, layout, vector, Noise(5))[144:176, 144:176].astype(int)
    off = [
        np.abs(paint_area(generator, layout, vector, Noise(5), (144, 144, 176, 176), reach, MARGIN) - whole).mean()
        for reach in (0, 64, 144)
    ]
    assert off[0] > off[1] > off[2] == 0


def test_the_settled_picture_is_what_synthesize_paints(studio):
    studio.start()
    studio.do(messages.parse('{"op":"settings","style":{"colon":0.25,"breast":0.75},"seed":7,"noise":0.5}'))
    for place in (40, 80, 200):
        studio.do(messages.parse(DRAW % (place, place, place + 20, place)))
    found = studio.painter.wait_until_settled(60)
    expected = studio.model.synthesize(studio.document.mask, "colon=0.25+breast=0.75", seed=7, noise=0.5)
    assert np.array_equal(found, expected)


def test_a_step_is_painted_around_the_stroke_before_the_rest(studio):
    told = []
    studio.start()
    studio.painter.wait_until_settled(60)
    seen = threading.Event()
    studio.listeners.append(lambda head, _: (told.append(head), seen.set() if head["type"] == "pixels" else None))
    answer = studio.do(messages.parse(DRAW % (100, 100, 120, 100)))
    assert seen.wait(30)
    first = next(head for head in told if head["type"] == "pixels")
    assert not first["settled"]
    assert first["revision"] == answer["revision"]
    assert first["top"] <= 92 - 30 < 108 + 30 <= first["top"] + first["height"]
    assert first["height"] * first["width"] < 512 * 512 / 4


def test_a_stroke_is_painted_before_its_end_and_then_as_if_it_never_was(studio):
    studio.start()
    before = studio.painter.wait_until_settled(60)
    mask = studio.document.mask.copy()
    gesture = '{"op":"draw","points":[[100,100],[140,110]],"radius":8}'
    seen = threading.Event()
    studio.listeners.append(lambda head, _: seen.set() if head["type"] == "pixels" else None)
    studio.do(messages.parse(f'{{"op":"try","gesture":{gesture}}}'))
    assert seen.wait(30)
    assert (studio.painter.picture != before).any()
    studio.forget_tries()
    assert np.array_equal(studio.painter.wait_until_settled(60), before)
    assert np.array_equal(studio.document.mask, mask)
    assert not studio.document.done


def test_what_is_newer_drops_what_is_being_painted(studio, monkeypatch):
    """The whole picture is interrupted in its first convolution by a step, which is then painted first."""
    painter, interrupted = studio.painter, []
    coarse = FoldedBrush.coarse

    def draw_once(*arguments):
        if not interrupted:
            interrupted.append(True)
            studio.do(messages.parse(DRAW % (100, 100, 120, 100)))
        return coarse(*arguments)

    monkeypatch.setattr(FoldedBrush, "coarse", draw_once)
    told = []
    studio.listeners.append(lambda head, _: told.append(head))
    studio.start()
    assert painter.wait_until_settled(60) is not None
    pixels = [head for head in told if head["type"] == "pixels"]
    assert interrupted
    assert [head["revision"] for head in pixels] == sorted(head["revision"] for head in pixels)
    assert {head["revision"] for head in pixels} == {2}  # nothing of the first revision was shown
    assert not pixels[0]["settled"]


def test_a_revision_that_cannot_be_painted_does_not_end_the_painter(studio, monkeypatch):
    told = []
    studio.listeners.append(lambda head, _: told.append(head))
    studio.start()
    assert studio.painter.wait_until_settled(60) is not None
    with monkeypatch.context() as broken:
        broken.setattr("sian.studio_app.live.paint_area", lambda *_, **__: 1 / 0)
        studio.do(messages.parse(DRAW % (100, 100, 120, 100)))
        with pytest.raises(BadInput, match="division by zero"):
            studio.still(60)
    assert any(head["type"] == "remark" and head["bad"] for head in told)
    studio.do(messages.parse(DRAW % (200, 100, 220, 100)))
    still = studio.still(60)
    assert np.array_equal(still.picture, studio.model.synthesize(studio.document.mask, "kidney", seed=0))


def test_the_box_of_a_drawing_that_is_gone_is_not_painted_again(studio, monkeypatch):
    def replaced(*_, **__):
        studio.do(messages.parse('{"op":"new","width":64,"height":64}'))
        raise DroppedError

    studio.start()
    assert studio.painter.wait_until_settled(60) is not None
    monkeypatch.setattr("sian.studio_app.live.paint_area", replaced)
    studio.do(messages.parse(DRAW % (400, 400, 420, 400)))
    assert studio.still(60).picture.shape == (64, 64, 3)


def test_what_is_saved_is_of_one_moment(studio):
    """While one draws on and tries strokes out, each picture belongs to the mask beside it."""
    studio.do(messages.parse('{"op":"new","width":64,"height":64}'))
    studio.start()
    drawn = threading.Thread(
        target=lambda: [
            studio.do(messages.parse(DRAW % (8 + 12 * step, 20, 9 + 12 * step, 40)))
            and studio.do(messages.parse('{"op":"try","gesture":{"op":"draw","points":[[9,60]],"radius":5}}'))
            for step in range(4)
        ]
    )
    drawn.start()
    found = [studio.still(60) for _ in range(3)]
    drawn.join()
    for still in [*found, studio.still(60)]:
        assert np.array_equal(still.picture, studio.model.synthesize(still.drawn.mask, "kidney", seed=0))
    assert not studio.drawn().mask[58:].any()


def test_spade_is_painted_whole(studio, monkeypatch):
    """Its first features depend on the place, so an area alone is another picture."""
    monkeypatch.setattr("sian.studio_app.live.SpadeGenerator", type(studio.model.painter.generator))
    painter = LivePainter(studio.model, studio.document.layout, studio.painter.wanted, lambda _: None)
    monkeypatch.setattr("sian.studio_app.live.paint_area", lambda *_, **__: pytest.fail("an area was painted"))
    painter.start()
    with painter.lock:
        painter.step((100, 100, 120, 120))
    found = painter.wait_until_settled(60)
    painter.stop()
    assert found is not None
