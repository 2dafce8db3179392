"""The order of a plan's styles beside the lists that it replaced, and what a huge plan takes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from sian import seeds
from sian.production import Plan, Schedule
from sian.production.styleorder import BOOKMARK, StyleOrder


def by_lists(counts: list[int], seed: int) -> list[tuple[int, int]]:
    """Style and rank of every image, as the first versions of SIAN kept them: data sets of then must go on the same."""
    blocks = [style for style, count in enumerate(counts) for _ in range(count)]
    shuffled = seeds.generator(seed, "order of styles").permutation(np.array(blocks)).tolist()
    seen = [0] * len(counts)
    places = []
    for style in shuffled:
        places.append((style, seen[style]))
        seen[style] += 1
    return places


@pytest.mark.parametrize(
    "counts",
    [
        [10],
        [1, 1],
        [5, 0, 7],
        [BOOKMARK, BOOKMARK],
        [3 * BOOKMARK - 1, 2, BOOKMARK // 2],
        [30] * 300,  # more styles than a byte tells apart
        [1] * 300 + [9000],
    ],
)
def test_the_order_is_that_of_plain_lists(counts) -> None:
    for seed in (0, 12345):
        order = StyleOrder(counts, seed)
        assert [order.place(number) for number in range(sum(counts))] == by_lists(counts, seed)


def test_a_plans_images_are_those_of_plain_lists() -> None:
    """Styles by place, steps of a sweep by rank."""
    styles = [{"style": "kidney", "images": 40}, "colon", {"style": "kidney", "to": "breast", "share": 2}]
    plan = Plan.parse({"name": "p", "seed": 7, "images": 100, "styles": styles, "masks": {"size": 64}}, "p")
    schedule = Schedule(plan)
    for number, (style, rank) in enumerate(by_lists([40, 20, 40], 7)):
        image = schedule.image(number)
        assert image.organ == ("kidney", "colon", "mixed")[style]
        assert image.style.part == (rank / 39 if style == 2 else 0)


def test_a_million_images_take_a_byte_each() -> None:
    tracemalloc.start()
    try:
        order = StyleOrder([400_000, 599_999, 1], 0)
        style, rank = order.place(999_999)
        assert tracemalloc.get_traced_memory()[1] < 1.5 * 1_000_000
    finally:
        tracemalloc.stop()
    assert (style, rank) in [(0, 399_999), (1, 599_998), (2, 0)]  # the last image is the last of its style


def test_a_plan_of_one_style_takes_nothing() -> None:
    schedule = Schedule(
        Plan.parse({"name": "p", "images": 10_000_000, "styles": ["kidney"], "masks": {"size": 64}}, "p")
    )
    tracemalloc.start()
    try:
        assert schedule.image(9_999_999).id == "p-9999999"
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
