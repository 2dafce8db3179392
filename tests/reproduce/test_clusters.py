"""The densest cluster by hand, and against counting pixel by pixel."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from sian.reproduce.clusters import clusters, contacts, densest


def test_contacts_by_hand():
    mask = np.array([[1, 1, 2], [3, 0, 2], [3, 4, 2]])
    expected = [
        [1, 1, 0],  # 1 above 3; 1 left of 2
        [0, 0, 0],  # 3 above 3, background
        [1, 1, 0],  # 3 left of 4, 4 left of 2
    ]
    np.testing.assert_array_equal(contacts(mask, reach=1), expected)
    longer = np.array([[1, 2], [1, 2], [1, 2], [0, 3]])  # 1 and 2 touch along three pixels
    np.testing.assert_allclose(contacts(longer, reach=1), [[1 / 3, 0], [1 / 3, 0], [1 / 3, 1], [0, 0]])
    assert contacts(np.zeros((4, 4), int)).sum() == 0
    apart = np.array([[1, 0, 0, 2, 0, 0, 0, 3]])  # two pixels between 1 and 2, three between 2 and 3
    np.testing.assert_array_equal(contacts(apart), [[1, 0, 0, 0, 0, 0, 0, 0]])


def test_densest_equals_trying_every_place():
    mask = np.random.default_rng(0).integers(0, 3, (17, 13))
    found = contacts(mask)
    counts = {(y, x): found[y : y + 5, x : x + 5].sum() for y in range(13) for x in range(9)}
    y, x, n = densest(mask, 5)
    assert n == pytest.approx(max(counts.values()), abs=1e-6)
    assert n == pytest.approx(counts[y, x], abs=1e-6)


def test_clusters_are_of_different_tiles_densest_first():
    def window(tile: str, count: int) -> SimpleNamespace:
        mask = np.zeros((20, 20), int)
        for number in range(count):
            mask[4 * number, 0], mask[4 * number, 1] = 2 * number + 1, 2 * number + 2  # `count` pairs, far apart
        return SimpleNamespace(tile=tile, mask=mask)

    found = clusters([window("a", 2), window("a", 5), window("b", 3), window("c", 0)], 3, side=18)
    assert [(c.index, c.pairs) for c in found] == [(1, 5), (2, 3), (3, 0)]
    assert found[0].area == (slice(0, 18), slice(0, 18))
