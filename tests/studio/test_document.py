"""The layout stays what `describe` says of the mask, whatever is done; and all of it can be undone."""

from __future__ import annotations

import numpy as np
import pytest

from sian.errors import BadInput
from sian.layout import describe
from sian.nuclei import generate
from sian.studio_app import editing
from sian.studio_app.document import Document


def assert_described(document: Document) -> None:
    expected = describe(document.mask)
    for name in ("semantic", "direction", "distance", "centre", "boundary", "depth"):
        assert np.array_equal(getattr(document.layout, name), getattr(expected, name)), name


def some_change(document: Document, random: np.random.Generator) -> editing.Change:
    mask = document.mask
    point = random.uniform(0, 128, 2)
    way = [point.tolist(), (point + random.normal(0, 20, 2)).tolist()]
    tool = random.integers(6)
    if tool == 0:
        return editing.draw(mask, *editing.brushed(way, random.uniform(1, 12), *document.shape), document.next_id())
    if tool == 1:
        return editing.erase(mask, *editing.brushed(way, random.uniform(1, 6), *document.shape))
    if tool == 2:
        return editing.split(mask, way, document.next_id())
    if tool == 3:
        return editing.merge(mask, editing.ids_along(mask, way))
    nucleus = int(random.choice(np.unique(mask[mask > 0])))
    if tool == 4:
        return editing.delete(mask, [nucleus])
    return editing.transform(mask, nucleus, *random.normal(0, 8, 2), random.uniform(0, 6))


@pytest.mark.parametrize("seed", range(3))
def test_the_layout_follows_every_step_and_back(seed):
    random = np.random.default_rng(seed)
    document = Document(generate(128, 128, "kidney", seed))
    masks = [document.mask.copy()]
    while len(masks) < 15:
        try:
            document.apply(some_change(document, random))
        except BadInput:
            continue
        assert_described(document)
        masks.append(document.mask.copy())
    for before in masks[-2::-1]:
        document.undo()
        assert np.array_equal(document.mask, before)
    assert_described(document)
    for after in masks[1:]:
        document.redo()
        assert np.array_equal(document.mask, after)
    assert_described(document)


def test_what_was_tried_out_leaves_no_trace():
    document = Document(generate(64, 64, "kidney", 1))
    before = document.mask.copy()
    for x in (10, 20, 30):
        region = editing.brushed([(5, 5), (x, 30)], 5, 64, 64)
        document.try_out(editing.draw(document.mask, *region, document.next_id()))
        assert not np.array_equal(document.mask, before)
        assert_described(document)
        document.take_back()
        assert np.array_equal(document.mask, before)
        assert_described(document)
    assert document.take_back() is None
    assert not document.done


def test_another_mask_is_a_step_like_any_other():
    document = Document(generate(64, 64, "kidney", 1))
    before = document.mask.copy()
    document.replace(np.ones((40, 90), np.int32))
    assert document.shape == (40, 90)
    effect = document.undo()
    assert effect.resized
    assert np.array_equal(document.mask, before)
    assert_described(document)


def test_a_new_step_forgets_what_was_undone():
    document = Document(np.zeros((64, 64), np.int32))
    for x in (10, 30):
        document.apply(editing.draw(document.mask, *editing.brushed([(x, 20)], 4, 64, 64), document.next_id()))
    document.undo()
    document.apply(editing.draw(document.mask, *editing.brushed([(50, 50)], 4, 64, 64), document.next_id()))
    with pytest.raises(BadInput, match="nothing to do again"):
        document.redo()


@pytest.mark.parametrize("shape", [(31, 64), (64, 8193)])
def test_sizes_that_cannot_be_drawn_on_are_refused(shape):
    with pytest.raises(BadInput, match="a side"):
        Document(np.zeros(shape, np.int32))


@pytest.mark.parametrize(("ids", "expected"), [([1, 2, 9], 10), ([1, 2, 4, 2**31 - 1], 3), ([2**31 - 1], 1)])
def test_the_next_id_is_free_and_fits(ids, expected):
    mask = np.zeros((64, 64), np.int32)
    for place, number in enumerate(ids):
        mask[place * 8 : place * 8 + 6, 10:16] = number
    assert Document(mask).next_id() == expected
