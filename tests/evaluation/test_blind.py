"""The blind test: half real, no window twice, nothing that gives an answer away."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sian.errors import BadInput
from sian.evaluation.blind import blind_page, choose
from sian.evaluation.collection import Collection, Entry


def collection(label: str, value: int, count: int = 30) -> Collection:
    picture = np.full((32, 32, 3), value, np.uint8)
    return Collection(label, {f"window{i:02}": Entry(lambda: picture) for i in range(count)})


def test_half_is_real_and_no_window_comes_twice():
    shown = choose(collection("fake", 10), collection("real", 200), 20, seed=3)
    names = [name for name, _ in shown]
    assert len(set(names)) == 20
    assert sum(is_real for _, is_real in shown) == 10
    assert [is_real for _, is_real in shown] != sorted(is_real for _, is_real in shown)
    assert shown == choose(collection("fake", 10), collection("real", 200), 20, seed=3)
    assert shown != choose(collection("fake", 10), collection("real", 200), 20, seed=4)


def test_the_page_holds_the_pictures_and_no_names():
    page = blind_page(collection("fake", 10), collection("real", 200), 20)
    data = json.loads(page.split("const data = ")[1].split(";\n")[0])
    pairs = list(zip(data["pictures"], data["real"], strict=True))
    by_kind = {kind: {picture for picture, real in pairs if real == kind} for kind in (0, 1)}
    assert [len(pictures) for pictures in by_kind.values()] == [1, 1]  # one colour each, in the right order
    assert by_kind[0] != by_kind[1]
    assert "window0" not in page
    assert "http" not in page


def test_too_few_images():
    with pytest.raises(BadInput, match="needs 20 painted and 20 other real ones, found 20 and 10"):
        choose(collection("fake", 10), collection("real", 200))
