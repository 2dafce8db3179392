"""The densest cluster by hand, and against counting pixel by pixel."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from sian.reproduce.clusters import clusters, contacts, densest


def test_contacts_by_hand():
    mask = np.array([[1, 1, 2], [3, 0, 2], [3, 4, 0]])
    expected = [
        [1, 1, 0],  # 1 above 3; 1 left of 2
        [0, 0, 0],  # 3 above 3, background
        [1, 0, 0],  # 3 left of 4
    ]
    np.testing.assert_array_equal(contacts(mask), np.array(expected, bool))


def test_densest_equals_trying_every_place():
    mask = np.random.default_rng(0).integers(0, 3, (17, 13))
    found = contacts(mask)
    counts = {(y, x): found[y : y + 5, x : x + 5].sum() for y in range(13) for x in range(9)}
    y, x, n = densest(mask, 5)
    assert n == max(counts.values()) == counts[y, x]


def test_clusters_are_of_different_tiles_densest_first():
    def window(tile: str, count: int) -> SimpleNamespace:
        mask = np.zeros((8, 8), int)
        mask[:count, 0], mask[:count, 1] = 1, 2  # `count` contacts
        return SimpleNamespace(tile=tile, mask=mask)

    found = clusters([window("a", 2), window("a", 5), window("b", 3), window("c", 0)], 3, side=6)
    assert [(c.index, c.contacts) for c in found] == [(1, 5), (2, 3), (3, 0)]
    assert found[0].area == (slice(0, 6), slice(0, 6))
