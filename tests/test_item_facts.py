"""Facts in columns beside plain lists of them."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from sian.data.dataset import Item
from sian.data.item_facts import FactTable, ItemFacts
from sian.data.pairs import Annotated
from sian.data.provenance import restored


def facts_of(number: int, image: int) -> ItemFacts:
    sha = hashlib.sha256(bytes([image])).hexdigest()
    item = Item(
        id=f"i{number}",
        image="images/a.png",
        mask="masks/a.png",
        width=9,
        height=9,
        nuclei=number % 7,
        sha256_image=sha,
        sha256_mask=sha,
    )
    return ItemFacts(item, ("uint8", "uint16")[number % 2], number % 7, 300 + number, 4.5, 1, number % 3, sha)


def test_it_is_a_sequence_of_what_was_added() -> None:
    facts = [facts_of(number, number % 40) for number in range(100)]
    table = FactTable([one.item for one in facts])
    readable = [number for number in range(100) if number % 10]  # the others' files were broken
    for number in readable:
        table.add(number, facts[number])
    assert list(table) == [facts[number] for number in readable]
    assert table[-1] == facts[99]
    assert table[3:20:5] == tuple(facts[number] for number in readable[3:20:5])
    with pytest.raises(IndexError):
        table[len(readable)]
    chosen = np.array(table.nuclei) == 3
    assert list(table.names(chosen)) == [f"i{n}" for n in readable if n % 7 == 3]


@pytest.mark.parametrize("images", [1, 3, 50, 199, 1000])
def test_same_images_are_those_of_a_dictionary(images) -> None:
    random = np.random.default_rng(images)
    facts = [facts_of(number, int(random.integers(images)) % 256) for number in range(200)]
    table, by_hash = FactTable([one.item for one in facts]), defaultdict(list)
    for number, one in enumerate(facts):
        table.add(number, one)
        by_hash[one.sha256_image].append(number)
    assert list(table.same_images()) == [places for places in by_hash.values() if len(places) > 1]


def test_nothing_is_like_nothing() -> None:
    assert list(FactTable([]).same_images()) == []
    one = FactTable([facts_of(0, 0).item])
    one.add(0, facts_of(0, 0))
    assert list(one.same_images()) == []


def test_facts_take_a_hundred_bytes_an_item() -> None:
    facts = facts_of(0, 0)
    table = FactTable([facts.item] * 4000)
    tracemalloc.start()
    try:
        for number in range(4000):
            table.add(number, replace(facts, nuclei=number, median_area=number / 3))
        assert tracemalloc.get_traced_memory()[1] < 4000 * 250  # while the columns grow; a hundred when they are there
    finally:
        tracemalloc.stop()


def test_regions_that_were_left_out_before_are_still_told():
    """A record of a data set that knows their number, but not their kinds."""
    known, _ = restored(Annotated(np.zeros((4, 4), np.int32)), {"dropped_regions": 2})
    assert known["dropped_regions"] == 2
